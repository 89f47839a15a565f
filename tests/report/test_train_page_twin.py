"""The JSON twin of a training: its keys, its strictness, and that nothing on the page is missing from it."""

import base64
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from test_report_json import NUMBER, Text, is_in, leaves, refuse
from train_parts import filters
from train_reading import changed, facts
from train_samples import ALL, bare, hundred, husky_wolf, mnist, signals, thirty

from cnnaudit.report import decode_heatmap
from cnnaudit.results import Report

TOP = ["schema_version", "kind", "run", "model", "images", "training", "findings", "figures"]
KEYS = {
    *("dataset", "labels", "pictures", "recipe", "ended", "best_epoch", "seconds", "first_loss", "guessing_loss"),
    *("epochs", "tests", "filters", "architecture"),
}
EPOCH_KEYS = {
    *("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"),
    *("seconds", "images_per_second"),
}
TEST_KEYS = {
    *("name", "accuracy", "loss", "calibration_error", "mean_confidence", "most_frequent_class", "confusions"),
    *("classes", "reliability", "mistakes", "confusion"),
}


def twin(of: Report) -> dict[str, Any]:
    return json.loads(of.json(), parse_constant=refuse)


@pytest.mark.parametrize("make", ALL)
def test_the_twin_is_strict_and_has_the_keys_of_its_kind(make: Callable[[], Report]) -> None:
    record = twin(make())
    assert list(record) == TOP
    assert (record["schema_version"], record["kind"]) == (1, "train")
    assert set(record["training"]) == KEYS
    assert all(set(epoch) == EPOCH_KEYS for epoch in record["training"]["epochs"])
    assert all(set(test) == TEST_KEYS for test in record["training"]["tests"])


def test_times_are_in_the_twin() -> None:
    record = twin(mnist())["training"]
    assert record["seconds"] == 4321.5
    assert record["epochs"][0]["seconds"] == facts(mnist()).epochs[0].seconds
    assert record["epochs"][0]["images_per_second"] == 14_250.5


def test_counts_and_labels_come_back() -> None:
    record = twin(thirty())["training"]
    (test,) = facts(thirty()).tests
    (found,) = record["tests"]
    assert found["confusion"] == [list(row) for row in test.confusion]
    assert [each["label"] for each in found["classes"]] == record["labels"] == list(facts(thirty()).labels)
    assert [each["right"]["n"] for each in found["classes"]] == [sum(row) for row in test.confusion]
    assert record["guessing_loss"] == math.log(30)


def test_many_classes_are_counted_without_zeros_and_say_the_same() -> None:
    (test,) = facts(hundred()).tests
    sparse = twin(changed(hundred(), tests=(replace(test, confusion=(), confused=test.answers),)))
    (dense,), (found,) = twin(hundred())["training"]["tests"], sparse["training"]["tests"]
    assert (found["confusion"], found.pop("confused")) == ([], [list(each) for each in test.answers])
    assert found == dense | {"confusion": []}


@pytest.mark.parametrize("make", [mnist, signals, husky_wolf])
def test_small_pictures_of_mistakes_come_back(make: Callable[[], Report]) -> None:
    for test, record in zip(facts(make()).tests, twin(make())["training"]["tests"], strict=True):
        for mistake, found in zip(test.mistakes, record["mistakes"], strict=True):
            with PillowImage.open(io.BytesIO(base64.b64decode(found["png"]))) as picture:
                assert np.array_equal(np.asarray(picture).reshape(found["shape"]), mistake.picture)
            assert found["index"] == mistake.index
            assert found["probability"] == mistake.probability


def test_large_pictures_stay_out() -> None:
    assert all(each["png"] is None for each in twin(hundred())["training"]["tests"][0]["mistakes"])


@pytest.mark.parametrize("shape", [(10, 1, 5, 5), (16, 3, 5, 5), (15, 1, 1, 3)])
def test_kernels_come_back(shape: tuple[int, int, int, int]) -> None:
    made = filters("0", *shape)
    record = twin(changed(mnist(), filters=made))["training"]["filters"]
    assert record["count"] == shape[0]
    for values, found in ((made.start, record["start"]), (made.end, record["end"])):
        assert np.abs(decode_heatmap(found) - values).max() <= found["scale"]


def test_the_twin_of_a_wide_layer_holds_what_is_shown() -> None:
    record = twin(changed(mnist(), filters=filters("1", 512, 1, 28, 28)))["training"]["filters"]
    assert (record["count"], record["start"]["shape"]) == (512, [96, 1, 28, 28])


def test_what_was_not_measured_is_null() -> None:
    record = twin(bare())["training"]
    assert (record["epochs"], record["tests"], record["filters"], record["architecture"]) == ([], [], None, None)


class Prose(Text):
    """The text that a reader sees outside of drawings, whose ticks are no results."""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        super().handle_starttag(tag, attrs)
        self.hidden = self.hidden or tag == "text"


@pytest.mark.parametrize("make", [mnist, husky_wolf, signals])
def test_every_number_on_the_page_is_in_the_twin(make: Callable[[], Report]) -> None:
    html = make().html()
    reader = Prose()
    reader.feed(re.sub(r'<p class="steps">.*?</p>', "", html, flags=re.DOTALL))
    seen = re.sub(r"(?<=\d)\u202f(?=\d)", "", " ".join(reader.pieces).replace("< 0.01", ""))
    found = list(leaves(twin(make())))
    values = [float(each) for each in found if isinstance(each, int | float)]
    values += [math.floor(1e4 * each) / 1e4 for each in values if 0.995 <= each < 1]  # never rounded up to all
    strings = " ".join(each for each in found if isinstance(each, str) and len(each) < 200)
    shown = set(NUMBER.findall(seen)) - {"0", "95", "32,767", "32", "767"}
    assert len(shown) > 100
    assert {each for each in shown if each not in strings and not is_in(each, values)} == set()
