"""The page of a training as a file: for every kind of run its claim, its curves, its bytes, and what it refuses."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from report_samples import HOSTILE
from test_report_page import Tags
from train_parts import epochs, filters, scene, simulated
from train_reading import Cells, changed, facts
from train_samples import (
    ALL,
    DIGITS,
    RTL,
    bare,
    hostile,
    hundred,
    husky_wolf,
    linear,
    mnist,
    report,
    training,
)

from cnnaudit.errors import CnnAuditError
from cnnaudit.results import Report

BUDGET = 1_500_000
Maker = Callable[[], Report]


# Every kind of run


@pytest.mark.parametrize("make", ALL)
def test_the_page_is_small_and_sound(make: Maker) -> None:
    html = make().html()
    assert len(html.encode()) < BUDGET
    tags = Tags(html).tags
    for tag, attributes in tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert all((attributes.get(name) or "data:").startswith(("data:", "#")) for name in ("src", "href"))
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
    assert (levels.count(1), levels[0]) == (1, 1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")


@pytest.mark.parametrize("make", ALL)
def test_places_in_charts_are_numbers_in_the_plot(make: Maker) -> None:
    for tag, attributes in Tags(make().html()).tags:
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            if (value := attributes.get(name) or "").endswith("%"):
                assert -0.01 <= float(value[:-1]) <= 100.01, (tag, attributes)


def test_the_bytes_do_not_depend_on_the_clock() -> None:
    of = mnist()
    slower = tuple(replace(epoch, seconds=99.0, images_per_second=1.5) for epoch in facts(of).epochs)
    later = changed(of, epochs=slower, seconds=1e6)
    later = replace(later, run=replace(of.run, started="2031", seconds=1e6))
    assert of.html() == later.html()
    assert of.json() != later.json()


def test_pages_of_explanations_carry_nothing_of_trainings() -> None:
    of = replace(mnist(), kind="explain", training=None)
    assert ".confusions" not in of.html()
    assert '"training"' not in of.json()


# The claim


def test_the_claim_is_the_accuracy_with_its_interval() -> None:
    html = mnist().html()
    (test,) = facts(mnist()).tests
    assert f"{100 * test.accuracy.value:.1f}\u202f%</span> of 10\u202f000 test pictures right" in html
    assert f"{100 * test.accuracy.low:.1f} to {100 * test.accuracy.high:.1f}\u202f%" in html
    assert "Training ended <bdi>after all 10 epochs</bdi>" in html
    assert "<title>conv10-20 on mnist: 99.3\u202f% right · cnnaudit</title>" in html


def test_each_test_has_its_claim_and_its_section() -> None:
    html = husky_wolf().html()
    heading = html[html.index("<h1") : html.index("</h1>")]
    for test in facts(husky_wolf()).tests:
        assert f"{100 * test.accuracy.value:.1f}\u202f%</span> right in “<bdi>{test.name}</bdi>”" in heading
        assert f"<h2>Test “<bdi>{test.name}</bdi>”" in html


def test_a_network_no_better_than_one_answer_does_not_learn() -> None:
    test = simulated("test", DIGITS, n=1000, accuracy=0.1, drawer=scene)
    html = report(training([test], epochs(3, loss=2.3, floor=2.2, accuracy=0.1)), arch="mlp").html()
    assert "does not learn" in html
    assert "Always answering with the most frequent class would be right in" in html
    assert "does not learn" not in mnist().html()


def test_a_run_without_epochs_says_so() -> None:
    html = bare().html()
    assert "was not trained on" in html
    assert "No epoch was finished: training ended <bdi>by Ctrl-C in epoch 1</bdi>." in html
    assert "2.32 nats" in html
    assert not Tags(html).of_class("chart")


def test_a_best_epoch_that_is_not_in_the_history_is_not_marked() -> None:
    html = changed(mnist(), best_epoch=0).html()
    assert "kept</text>" not in html
    assert len(Tags(html).of_class("chart")) == 3


# Curves


def polylines(html: str, column: str) -> list[tuple[float, float]]:
    (line,) = (each for tag, each in Tags(html).tags if tag == "polyline" and each.get("data-column") == column)
    return [(float(x), float(y)) for x, y in (point.split(",") for point in (line["points"] or "").split())]


def test_curves_lie_where_their_values_are() -> None:
    history = facts(linear()).epochs
    history = tuple(replace(history[0], epoch=epoch, loss=loss) for epoch, loss in ((1, 2.0), (2, 0.5), (4, 1.0)))
    of = changed(linear(), epochs=history, first_loss=2.5)
    assert polylines(of.html(), "loss") == [(25.0, 20.0), (50.0, 80.0), (100.0, 60.0)]


@pytest.mark.parametrize(("make", "dotted"), [(linear, True), (mnist, True), (hundred, False)])
def test_few_epochs_have_dots_and_many_do_not(make: Maker, dotted: bool) -> None:
    html = make().html()
    count = len(facts(make()).epochs)
    assert len(polylines(html, "validation_loss")) == count
    dots = [each for tag, each in Tags(html).tags if tag == "circle" and each.get("class") == "training"]
    assert len(dots) == (2 * count if dotted else 0)


def test_the_untrained_loss_and_the_loss_of_guessing_are_marked() -> None:
    html = mnist().html()
    assert "knows nothing: ln 10 = 2.3" in html
    assert len([each for tag, each in Tags(html).tags if tag == "circle" and each.get("class") == "start"]) == 1


def test_the_table_of_epochs_is_the_history() -> None:
    rows = next(rows for _, rows in Cells(mnist().html()).tables)[1:]
    history = facts(mnist()).epochs
    assert len(rows) == len(history)
    for row, epoch in zip(rows, history, strict=True):
        assert row[0] == f"epoch {epoch.epoch}" + (", kept" if epoch.epoch == facts(mnist()).best_epoch else "")
        assert float(row[1]) == pytest.approx(epoch.loss, rel=0.005)
        assert float(row[2]) == pytest.approx(epoch.validation_loss, rel=0.005)
        assert float(row[4].split()[0]) == pytest.approx(100 * epoch.validation_accuracy, abs=0.051)


# Foreign strings and numbers that are none


def test_hostile_strings_stay_text() -> None:
    html = hostile().html()
    tags = Tags(html).tags
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert "<script>alert" not in html
    assert '<b>"quoted' not in html
    assert f"<bdi>{RTL}</bdi>" in html
    assert any(HOSTILE in (attributes.get("title") or "") for _, attributes in tags)


@pytest.mark.parametrize("form", ["html", "json"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(form: str, bad: float) -> None:
    history = facts(mnist()).epochs
    (test,) = facts(mnist()).tests
    broken = {
        r"training\.epochs\[2\]\.validation_loss": {"epochs": (*history[:2], replace(history[2], validation_loss=bad))},
        r"training\.first_loss": {"first_loss": bad},
        r"training\.tests\[0\]\.loss": {"tests": (replace(test, loss=bad),)},
        r"training\.recipe\.momentum": {"recipe": {"momentum": bad}},
    }
    for place, changes in broken.items():
        with pytest.raises(CnnAuditError, match=place):
            getattr(changed(mnist(), **changes), form)()


@pytest.mark.parametrize("form", ["html", "json"])
def test_weights_that_are_not_finite_are_refused(form: str) -> None:
    made = filters("0", 2, 1, 3, 3)
    made.end[0, 0, 0, 0] = np.nan
    with pytest.raises(CnnAuditError, match="weights of 0 are not all finite"):
        getattr(changed(mnist(), filters=made), form)()
