"""What the page says of a test: confusions, classes, calibration, mistakes."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_report_page import Tags
from train_parts import counted, scene
from train_reading import Cells, changed, decoded, facts, integers
from train_samples import (
    flawless,
    hundred,
    mnist,
    signals,
    thirty,
)

from cnnaudit.report.training import summaries
from cnnaudit.results import Report

Maker = Callable[[], Report]


@pytest.mark.parametrize("make", [mnist, thirty, signals])
def test_the_matrix_holds_every_count(make: Maker) -> None:
    (test,) = facts(make()).tests
    rows = Cells(make().html()).rows("matrix")[2:]
    assert [integers(row[1:-1]) for row in rows] == [list(row) for row in test.confusion]


def test_the_colour_of_a_cell_is_the_step_of_its_share() -> None:
    (test,) = facts(mnist()).tests
    confusion = ((200, 600, 100, 40, 30, 20, 6, 4, 0, 0), *test.confusion[1:])
    html = changed(mnist(), tests=(replace(test, confusion=confusion),)).html()
    row = html[html.index('class="true">200<') :].partition("</tr>")[0]
    assert re.findall(r'<td class="s(\d)"', row) == ["8", "5", "4", "4", "3", "2", "1"]


def test_many_classes_are_a_list_and_not_a_matrix() -> None:
    html = hundred().html()
    assert not Tags(html).of_class("matrix")
    assert html.count('<span class="for">taken for</span>') == 20


def test_confusions_and_confidence_are_those_of_the_answers() -> None:
    draw = np.random.default_rng(3)
    truth, chances = draw.integers(4, size=500), draw.dirichlet([0.4] * 4, size=500)
    test = counted("test", "abcd", truth, chances, lambda place: scene(0, draw), 3)
    pairs = Counter(zip(truth.tolist(), chances.argmax(1).tolist(), strict=True))
    expected = {("abcd"[a], "abcd"[b]): n for (a, b), n in pairs.items() if a != b}
    found = summaries.confusions(test, "abcd")
    assert {(each.label, each.predicted): each.count for each in found} == expected
    assert [each.count for each in found] == sorted(expected.values(), reverse=True)
    assert found[0].share == found[0].count / int((truth == "abcd".index(found[0].label)).sum())
    assert summaries.confidence(test) == pytest.approx(chances.max(1).mean())
    assert summaries.guessing(test) == np.bincount(truth).max() / 500


def test_classes_are_sorted_and_the_middle_is_left_out() -> None:
    html = hundred().html()
    values = [float(row[2].split()[0]) for row in Cells(html).rows("classes")[1:] if len(row) == 5]
    assert len(values) == 35
    assert values == sorted(values)
    assert "65 classes in between" in html


def test_classes_without_pictures_are_counted_and_not_drawn() -> None:
    html = thirty().html()
    assert len(Cells(html).rows("classes")[1:]) == 28
    assert "2 of 30 classes have no picture in this test" in html


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [(0.79, "is under-confident."), (0.82, "neither over- nor under"), (0.84, "is over-confident.")],
)
def test_the_verdict_compares_confidence_with_the_interval(confidence: float, verdict: str) -> None:
    (test,) = facts(mnist()).tests
    bins = tuple(replace(each, confidence=confidence) for each in test.reliability)
    accuracy = replace(test.accuracy, value=0.815, low=0.80, high=0.83)
    html = changed(mnist(), tests=(replace(test, reliability=bins, accuracy=accuracy),)).html()
    assert verdict in html[html.index('class="verdict"') :].partition("</p>")[0]


def test_bins_without_answers_are_not_drawn() -> None:
    (test,) = facts(mnist()).tests
    filled = [each for each in test.reliability if each.right.n]
    assert 0 < len(filled) < len(test.reliability)
    rows = [rows for name, rows in Cells(mnist().html()).tables if not name][1][1:]
    assert integers([row[1] for row in rows]) == [each.right.n for each in filled]


def test_mistakes_are_shown_pixel_by_pixel() -> None:
    (test,) = facts(mnist()).tests
    shown = [decoded(each["src"]) for each in Tags(mnist().html()).of_class("squares")]
    assert len(shown) == len(test.mistakes)
    for picture, mistake in zip(shown, test.mistakes, strict=True):
        assert np.array_equal(picture, mistake.picture[..., 0])


def test_large_mistakes_are_reduced() -> None:
    images = [each for tag, each in Tags(hundred().html()).tags if tag == "img"]
    assert max(decoded(each["src"]).shape[1] for each in images) == 160


def test_signals_are_lines() -> None:
    html = signals().html()
    (test,) = facts(signals()).tests
    assert len(Tags(html).of_class("signal")) == len(test.mistakes)
    first = test.mistakes[0].picture[0, :, 0]
    assert " ".join(f"{place},{255 - int(value)}" for place, value in enumerate(first)) in html


def test_a_flawless_test_is_a_sentence() -> None:
    html = flawless().html()
    assert "There is none: all 500 answers are right." in html
    assert "No class is taken for another" in html
