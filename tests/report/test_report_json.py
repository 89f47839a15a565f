"""The JSON twin: its keys, its strictness, and that nothing on the page is missing from it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from report_samples import (
    METHODS,
    PREDICTIONS,
    RUN,
    WOLF,
    explanation,
    full_html,
    full_report,
    hostile_report,
    image,
    noisy,
    report,
    result,
    smooth,
)

from cnnaudit.errors import CnnAuditError
from cnnaudit.report import decode_heatmap
from cnnaudit.results import ImageFailure, Report

TOP = ["schema_version", "kind", "run", "model", "images", "findings", "figures"]
RUN_KEYS = {"command", "versions", "seed", "device", "dtype", "started", "seconds"}
MODEL_KEYS = {
    *("name", "architecture", "source", "sha256", "input_size", "mean", "std", "parameters", "labels", "notes"),
    *("channels", "resize_size", "interpolation"),
}
IMAGE_KEYS = {"name", "sha256", "size", "notes", "predictions", "explanations", "declined"}
EXPLANATION_KEYS = {
    *("method", "target", "layer", "params", "facts", "notes", "seconds", "forward_passes", "heatmap", "trust"),
}


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def twin(of: Report) -> dict[str, Any]:
    return json.loads(of.json(), parse_constant=refuse)


def test_the_keys_are_those_of_the_design() -> None:
    record = twin(full_report())
    assert list(record) == TOP
    assert record["schema_version"] == 1
    assert set(record["run"]) == RUN_KEYS
    assert set(record["model"]) == MODEL_KEYS
    (row,) = record["images"]
    assert set(row) == IMAGE_KEYS
    assert set(row["predictions"][0]) == {"label", "index", "probability", "logit"}
    assert set(row["declined"][0]) == {"method", "target", "flag", "reason"}
    assert len(row["explanations"]) == len(METHODS)
    for made in row["explanations"]:
        assert set(made) >= EXPLANATION_KEYS
        assert set(made["heatmap"]) == {"shape", "min", "max", "encoding", "scale", "data"}
        assert made["trust"] is None


def test_seconds_and_start_are_in_the_twin() -> None:
    record = twin(full_report())
    assert (record["run"]["started"], record["run"]["seconds"]) == (RUN.started, RUN.seconds)
    assert record["images"][0]["explanations"][0]["seconds"] == 1.5


def test_heatmaps_and_parts_come_back() -> None:
    made = explanation(METHODS["grad_cam"][0], smooth(), parts={"black": noisy()})
    row = twin(report(result([made])))["images"][0]["explanations"][0]
    for values, record in ((smooth(), row["heatmap"]), (noisy(), row["parts"]["black"])):
        expected = values.astype(np.float32)
        assert np.abs(decode_heatmap(record) - expected).max() <= record["scale"] / 2


def test_failed_pictures_are_rows_with_their_error() -> None:
    record = twin(report(result([explanation(*METHODS["lime"])]), failures=[ImageFailure("b.jpg", "cut off")]))
    assert record["images"][-1] == {"name": "b.jpg", "error": "cut off"}


def test_hostile_strings_survive_unchanged() -> None:
    of = hostile_report()
    assert twin(of)["images"][0]["name"] == of.images[0].image.name


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_fact_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    made = replace(explanation(*METHODS["lime"]), facts={"r2": bad})
    with pytest.raises(CnnAuditError, match=r"images\[0\]\.explanations\[0\]\.facts\.r2"):
        report(result([made])).json()


# Every number on the page


class Text(HTMLParser):
    """The text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.hidden = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(data)


SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:\s×\s10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *leaves(item))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def is_in(shown: str, values: list[float]) -> bool:
    """True when a number of the twin, or its percentage, rounds to what is shown."""
    mantissa, _, exponent = re.sub(r"\s×\s10", "e", shown).translate(SUPERSCRIPTS).partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    value = float(mantissa) * 10.0 ** int(exponent or 0)
    trailing = len(mantissa) - len(mantissa.rstrip("0")) if "." not in mantissa and value >= 1000 else 0
    slack = unit * 10**trailing * 0.5001
    return any(abs(abs(each) * factor - value) <= slack for each in values for factor in (1, 100))


def test_every_number_on_the_page_is_in_the_twin() -> None:
    of = full_report()
    reader = Text()
    reader.feed(full_html())
    seen = " ".join(reader.pieces).replace("< 0.01", "")
    seen = re.sub(r"(?<=\d)\u202f(?=\d)", "", seen)
    found = list(leaves(twin(of)))
    values = [float(each) for each in found if isinstance(each, int | float)]
    strings = " ".join(each for each in found if isinstance(each, str))
    shown = set(NUMBER.findall(seen)) - {"0"}
    assert len(shown) > 60
    missing = {each for each in shown if each not in strings and not is_in(each, values)}
    assert not missing


def test_a_single_prediction_is_enough() -> None:
    made = explanation(*METHODS["lime"], predictions=PREDICTIONS[:1], target=WOLF, of=image())
    assert len(twin(report(result([made])))["images"][0]["predictions"]) == 1
