"""Segments' values with their intervals: a table on the page, matched to the picture in both directions."""

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from report_opened import Opened
from report_samples import METHODS, card, explanation, report, result

from cnnaudit import Attribution, Classifier, explain
from cnnaudit.errors import MethodError
from cnnaudit.report import decode_labels
from cnnaudit.report.encoding import encode_labels
from cnnaudit.report.segments import Table, table
from cnnaudit.results import Explanation, Report

Opener = Callable[..., Opened]

LABELS = np.add.outer(np.arange(224) // 56 * 4, np.arange(224) // 56)
"""Sixteen squares, row by row."""

VALUES = np.array([0.5, -2.0, 0.1, *np.linspace(0.2, 0.4, 13)])
REACH = np.array([0.2, 0.25, 0.15, *np.full(13, 0.05)])
FACTS: dict[str, Any] = {
    "r2": 0.5,
    "coefficients": tuple(VALUES.tolist()),
    "low": tuple((VALUES - REACH).tolist()),
    "high": tuple((VALUES + REACH).tolist()),
}


def one(labels: np.ndarray = LABELS, values: np.ndarray = VALUES, **facts: Any) -> Explanation:
    made = explanation(card("x", "X"), values[labels], unsettled=labels == 2)
    return replace(made, facts=FACTS | facts, regions=torch.from_numpy(labels.astype(np.int32)))


def of(*made: Explanation) -> Report:
    return report(result(made))


def shown(made: Explanation) -> Table:
    found = table(made)
    assert found is not None
    return found


def test_rows_are_sorted_by_size_and_keep_their_numbers() -> None:
    first, second, *_, last = shown(one()).rows
    assert (first.number, first.value, first.interval, first.settled) == (1, "−2", "−2.25 to −1.75", True)
    assert (second.number, second.value, second.interval, second.settled) == (0, "+0.5", "+0.3 to +0.7", True)
    assert (last.number, last.value, last.interval, last.settled) == (2, "+0.1", "−0.05 to +0.25", False)


def test_whiskers_are_on_one_axis_from_end_to_end() -> None:
    found = shown(one())
    low, high = (VALUES - REACH).min(), (VALUES + REACH).max()
    for row in found.rows:
        ends = VALUES[row.number] + REACH[row.number] * np.array([-1, 0, 1])
        drawn = row.whisker.low, row.whisker.at, row.whisker.high
        np.testing.assert_allclose(drawn, 100 * (ends - low) / (high - low), atol=0.01)
    assert found.zero == pytest.approx(100 * -low / (high - low), abs=0.01)


def test_without_intervals_lines_begin_at_zero() -> None:
    made = replace(one(), facts={"coefficients": FACTS["coefficients"]}, unsettled=None)
    found = shown(made)
    assert not found.intervals
    assert all(row.interval is None and row.settled for row in found.rows)
    assert found.rows[0].whisker.high == found.zero == found.rows[1].whisker.low
    assert "95 % interval" not in of(made).html()


def test_thousands_of_segments_make_a_short_table() -> None:
    labels = np.arange(64 * 64).reshape(64, 64)
    values = np.random.default_rng(0).normal(size=64 * 64)
    made = replace(one(labels, values), facts={"coefficients": tuple(values.tolist())})
    assert [row.number for row in shown(made).rows] == np.argsort(-np.abs(values))[:200].tolist()
    html = of(made).html()
    assert "The other 3\u202f896 are in the JSON file" in html
    assert len(html) - len(of(replace(made, regions=None, facts={})).html()) < 120_000


@pytest.mark.parametrize(
    "other",
    [
        replace(one(), regions=None),
        replace(one(), facts={"r2": 0.5}),
        one(coefficients=(1.0, 2.0), low=(0.0, 1.0), high=(2.0, 3.0)),
    ],
)
def test_without_a_value_for_each_segment_there_is_no_table(other: Explanation) -> None:
    assert table(other) is None
    html = of(other).html()
    assert "<tr data-segment" not in html and "data-segments=" not in html
    assert ("coefficients, 95 % intervals" in html) == ("coefficients" in other.facts)


def test_the_page_stays_small_and_its_bytes_are_the_same_each_time() -> None:
    made = one()
    html = of(made).html()
    assert html == of(one()).html()
    assert len(html) - len(of(replace(made, regions=None, facts={})).html()) < 20_000
    assert html.count('class="segments"') == 1
    assert "coefficients, 95 % intervals" not in html  # the same numbers twice
    (packed,) = re.findall(r'data-segments="([^"]+)"', html)
    read = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<u4").reshape(LABELS.shape)
    assert np.array_equal(read, LABELS)


@pytest.mark.parametrize("labels", [LABELS, np.arange(300 * 300).reshape(300, 300), np.zeros((1, 1), int)])
def test_labels_come_back(labels: np.ndarray) -> None:
    record = json.loads(json.dumps(encode_labels(labels)))
    assert np.array_equal(decode_labels(record), labels)
    assert record["count"] == labels.max() + 1


def test_the_twin_has_the_segments_and_none_where_there_are_none() -> None:
    first, second = json.loads(of(one(), explanation(*METHODS["occlusion"])).json())["images"][0]["explanations"]
    labels = decode_labels(first["regions"])
    np.testing.assert_allclose(np.array(first["facts"]["coefficients"])[labels], VALUES[LABELS])
    assert second["regions"] is None


# From the methods


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3)), input_size=(16, 16))


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "shapley"])
def test_methods_on_segments_say_which_pixel_is_whose(method: str) -> None:
    own = np.arange(16 * 16).reshape(16, 16) // 64
    made = explain(classifier(), torch.rand(1, 3, 16, 16), method=method, options={"regions": own})
    assert made.regions is not None
    assert made.regions.dtype == torch.int32
    assert np.array_equal(made.regions, own)
    assert torch.equal(torch.tensor(made.facts["coefficients"])[made.regions], made.heatmap)
    assert len(shown(made).rows) == 4
    again = explain(classifier(), made.pixels, method=method, options={"regions": made.regions})
    assert torch.equal(again.heatmap, made.heatmap)


@pytest.mark.parametrize("wrong", [torch.zeros(3, 3).long(), torch.zeros(16, 16), torch.full((16, 16), -1)])
def test_regions_that_do_not_fit_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(MethodError, match=r"regions of .* expected whole numbers from 0 of \(16, 16\)"):
        explain(
            classifier(), torch.rand(1, 3, 16, 16), method=lambda query: Attribution(torch.ones(16, 16), regions=wrong)
        )


# In the browser


def box_of(opened: Opened) -> tuple[float, float, float, float]:
    """The outline in pixels of the picture: left, top, width, height."""
    path = opened.page.locator(".outline path").first
    return tuple(
        opened.evaluate("p => {const b = p.getBBox(); return [b.x, b.y, b.width, b.height]}", path.element_handle())
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_row_outlines_its_segment(open_page: Opener, scheme: str) -> None:
    opened = open_page(of(one()), color_scheme=scheme)
    opened.draw_all()
    opened.page.locator("[data-segment='1']").hover()
    assert box_of(opened) == (56, 0, 56, 56)
    opened.page.locator("h1").hover()
    assert box_of(opened)[2:] == (0, 0)
    assert opened.complaints == []


def test_the_arrow_keys_go_through_the_rows(open_page: Opener) -> None:
    opened = open_page(of(one()))
    opened.draw_all()
    opened.page.locator("[data-segment]").first.focus()
    opened.page.keyboard.press("ArrowDown")
    assert box_of(opened) == (0, 0, 56, 56)
    assert opened.page.locator("tr:focus").get_attribute("data-segment") == "0"
    assert opened.page.locator("[data-segment][tabindex='0']").count() == 1


def test_pointing_at_the_picture_finds_the_row(open_page: Opener) -> None:
    opened = open_page(of(one()))
    opened.draw_all()
    opened.point(10, 150)
    text = opened.page.locator(".readout").inner_text()
    assert text == "Segment 2: +0.1 (−0.05 to +0.25), sign not settled, at row 10, column 150"
    row = opened.page.locator(".pointed")
    assert row.get_attribute("data-segment") == "2"
    table, inside = opened.page.locator(".segments .scroll").bounding_box(), row.bounding_box()
    assert table["y"] < inside["y"] < table["y"] + table["height"] - inside["height"] + 1
    opened.page.mouse.move(1, 1)
    assert row.count() == 0


def test_the_table_fits_a_phone_and_is_there_without_javascript(open_page: Opener) -> None:
    opened = open_page(of(one()), java_script_enabled=False, viewport={"width": 390, "height": 800})
    assert opened.page.locator("[data-segment]").count() == 16
    box = opened.page.locator(".segments .scroll").bounding_box()
    rows = opened.page.locator(".segments table").bounding_box()
    assert rows["width"] <= box["width"]
