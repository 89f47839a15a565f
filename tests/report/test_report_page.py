"""The page as a file: its size, its bytes, its escaping, what it shows and what it refuses."""

import base64
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_samples import (
    CONTRAST,
    HOSTILE,
    METHODS,
    RUN,
    WOLF,
    card,
    contrasting,
    explanation,
    fallback,
    full_html,
    full_report,
    full_result,
    hostile_report,
    noisy,
    pair_html,
    report,
    result,
    smooth,
)

from cnnaudit.errors import CnnAuditError
from cnnaudit.report import save
from cnnaudit.results import Explanation, ImageFailure, Report

BUDGET = 1_500_000


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of_class(self, name: str) -> list[dict[str, Any]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


def one(made: Explanation) -> Report:
    return report(result([made]))


def test_the_page_of_one_photo_with_all_methods_is_small() -> None:
    assert len(full_html().encode()) < BUDGET


def test_the_page_stays_in_budget_when_every_map_is_pure_noise() -> None:
    draw = np.random.default_rng(0)
    made = [explanation(card(name, name), draw.uniform(-1, 1, (224, 224))) for name in METHODS]
    assert len(report(result(made)).html().encode()) < BUDGET


def test_the_bytes_do_not_depend_on_the_clock() -> None:
    first = full_result()
    slower = tuple(replace(each, seconds=99.0) for each in first.explanations)
    later = replace(report(replace(first, explanations=slower)), run=replace(RUN, started="2031", seconds=1e6))
    assert report(first).html() == later.html()


def test_maps_travel_as_deflated_bytes_with_a_limit() -> None:
    (found,) = Tags(one(explanation(*METHODS["lime"])).html()).of_class("map")
    codes = np.frombuffer(zlib.decompress(base64.b64decode(found["data-codes"])), np.int8).reshape(224, 224)
    values = METHODS["lime"][1]
    step = float(found["data-limit"]) / 126
    assert np.abs(codes * step - values).max() <= step * 0.51


def test_nothing_but_data_addresses_and_no_inline_handlers_or_styles() -> None:
    for tag, attributes in Tags(full_html()).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert all((attributes.get(name) or "data:").startswith(("data:", "#")) for name in ("src", "href"))


def test_hostile_strings_stay_text() -> None:
    html = hostile_report().html()
    tags = Tags(html).tags
    assert sum(tag == "script" for tag, _ in tags) == 2
    assert "<script>alert" not in html
    assert any(HOSTILE in (attributes.get("alt") or "") for _, attributes in tags)


def test_every_picture_has_a_text_for_those_who_cannot_see_it() -> None:
    images = [attributes for tag, attributes in Tags(full_html()).tags if tag == "img"]
    assert images
    assert all(attributes["alt"] for attributes in images)


def test_headings_skip_no_level() -> None:
    for html in (full_html(), pair_html()):
        levels = [int(tag[1]) for tag, _ in Tags(html).tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique() -> None:
    tags = Tags(pair_html()).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_an_all_zero_map_is_no_evidence_and_no_picture() -> None:
    html = one(explanation(card("lime", "LIME"), np.zeros((224, 224)))).html()
    assert "No evidence" in html
    assert not Tags(html).of_class("map")


def test_a_zero_map_beside_another_target_is_still_no_evidence() -> None:
    zero = explanation(card("lime", "LIME"), np.zeros((224, 224)))
    made = explanation(card("lime", "LIME"), contrasting(), target=CONTRAST)
    tags = Tags(report(result([zero, made])).html())
    assert (len(tags.of_class("empty")), len(tags.of_class("map"))) == (1, 1)


def test_targets_of_one_method_share_a_scale_and_methods_do_not() -> None:
    lime, cam = card("lime", "LIME"), card("grad_cam", "Grad-CAM", signed=False)
    made = [
        explanation(lime, contrasting(), target=WOLF),
        explanation(lime, contrasting() * 10, target=CONTRAST),
        explanation(cam, smooth()),
    ]
    limits = [float(each["data-limit"]) for each in Tags(report(result(made)).html()).of_class("map")]
    assert limits[0] == limits[1] >= contrasting().max() * 10
    assert limits[2] < limits[1]


def test_parts_share_the_scale_of_their_whole() -> None:
    made = explanation(card("ig", "IG"), contrasting(), parts={"black": contrasting() * 5})
    (found,) = Tags(one(made).html()).of_class("map")
    assert float(found["data-limit"]) >= contrasting().max() * 5


def test_a_negative_value_of_an_unsigned_method_is_shown_as_negative() -> None:
    made = explanation(card("cam", "CAM", signed=False), contrasting())
    assert Tags(one(made).html()).of_class("map")[0]["data-signed"] == "true"


def test_saturation_is_stated_in_the_legend() -> None:
    assert "Colour saturates at ±" in one(explanation(*METHODS["gradient"])).html()
    assert "saturates" not in one(explanation(*METHODS["grad_cam"])).html()


def test_yardsticks_come_last_and_apart() -> None:
    html = full_html()
    assert html.index("LIME") < html.index("Yardsticks: not explanations") < html.index("Sobel edges")


def test_declined_methods_and_failed_pictures_are_listed_with_their_reason() -> None:
    html = report(full_result(), failures=[ImageFailure("broken.jpg", "It ends too early.")]).html()
    assert "Score-CAM*" in html
    assert "none before its pooling" in html
    assert "It ends too early." in html


def test_notes_of_the_model_come_before_everything_else() -> None:
    html = report(full_result(), model=fallback()).html()
    assert html.index("could not be had") < html.index("<main>")


def test_a_report_of_failures_only_is_a_page() -> None:
    assert "gone.jpg" in report(failures=[ImageFailure("gone.jpg", "There is no such file.")]).html()


def test_grey_pictures_can_be_drawn() -> None:
    made = explanation(*METHODS["lime"])
    made = replace(made, pixels=made.pixels[:, :1])
    assert one(made).html()


@pytest.mark.parametrize("kind", ["inspect", "audit", "train"])
def test_other_kinds_show_the_model_and_the_run(kind: Any) -> None:
    html = Report(kind, RUN, fallback()).html()
    assert RUN.command in html
    assert "could not be had" in html


# Saving


def broken() -> Report:
    made = explanation(*METHODS["lime"])
    return one(replace(made, heatmap=torch.full((224, 224), float("nan"))))


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_map_that_is_not_finite_is_refused(form: str) -> None:
    with pytest.raises(CnnAuditError, match=r"lime for husky\.jpg.*not finite"):
        getattr(broken(), form)()


def test_a_fact_that_is_not_finite_never_reaches_the_page() -> None:
    with pytest.raises(CnnAuditError, match="finite"):
        one(replace(explanation(*METHODS["lime"]), facts={"r2": float("nan")})).html()


def test_save_writes_both_files_and_says_where(tmp_path: Path) -> None:
    of = one(explanation(card("lime", "LIME"), noisy()))
    assert of.save(tmp_path / "new" / "why.html") == tmp_path / "new" / "why.html"
    assert (tmp_path / "new" / "why.html").read_text(encoding="utf-8") == of.html()
    assert (tmp_path / "new" / "why.json").read_text(encoding="utf-8") == of.json()


def test_save_never_puts_page_and_twin_into_one_file(tmp_path: Path) -> None:
    page = one(explanation(*METHODS["lime"])).save(tmp_path / "why.json")
    assert page.name == "why.json.html"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failing_save_leaves_the_old_files(tmp_path: Path) -> None:
    page = save(full_report(), tmp_path / "why.html")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CnnAuditError):
        save(broken(), page)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
