"""The first layer's kernels and the table of layers on the page."""

import re
from dataclasses import replace

import numpy as np
import pytest
from test_report_page import Tags
from train_parts import filters
from train_reading import Cells, changed, decoded, facts
from train_samples import (
    hundred,
    husky_wolf,
    mnist,
    signals,
    thirty,
)

from cnnaudit.report.training import kernels
from cnnaudit.results import Report

BUDGET = 1_500_000


def kernel_images(of: Report) -> list[np.ndarray]:
    html = of.html()
    part = html[html.index('class="kernels') :]
    return [decoded(each["src"]) for tag, each in Tags(part).tags if tag == "img" and "src" in each]


def test_colour_kernels_are_colours_on_one_scale() -> None:
    made = filters("0", 2, 3, 5, 5)
    weights = np.zeros((2, 3, 5, 5), np.float32)
    weights[0, 0, 0, 0], weights[0, 1, 0, 1], weights[0, 2, 4, 4] = 0.5, -0.5, 0.25
    start = np.zeros_like(weights)
    start[0] = 0.5
    images = kernel_images(changed(husky_wolf(), filters=replace(made, start=start, end=weights)))
    assert len(images) == 4
    assert images[0].tolist() == np.full((5, 5, 3), 255).tolist()
    assert images[2][0, 0].tolist() == [255, 128, 128]
    assert images[2][0, 1].tolist() == [128, 0, 128]
    assert images[2][4, 4].tolist() == [128, 128, 191]


def test_grey_kernels_are_on_the_signed_palette() -> None:
    weights = np.linspace(-1, 1, 25, dtype=np.float32).reshape(1, 1, 5, 5)
    made = replace(filters("0", 1, 1, 5, 5), start=weights, end=weights)
    image = kernel_images(changed(mnist(), filters=made))[0]
    assert image[0, 0].tolist() == [0x1E, 0x61, 0xA5]
    assert image[2, 2].tolist() == [0xF7] * 3
    assert image[4, 4].tolist() == [0xAB, 0x16, 0x2A]


def test_channels_that_are_no_colours_stand_beside_each_other() -> None:
    assert {image.shape for image in kernel_images(thirty())} == {(3, 12, 3)}


def test_kernels_of_one_row_are_bars() -> None:
    html = signals().html()
    weights = facts(signals()).filters
    assert weights is not None
    assert len(Tags(html).of_class("weights")) == 2 * len(weights.start)
    limit = kernels.limit(weights)
    first = html[html.index('class="weights"') :].partition("</svg>")[0]
    heights = [float(height) for height in re.findall(r'height="([\d.]+)%"', first)]
    assert heights == pytest.approx(50 * np.abs(weights.start[0, 0, 0]) / limit, abs=0.01)


def test_wide_layers_are_shown_in_part() -> None:
    html = changed(mnist(), filters=filters("1", 512, 1, 28, 28)).html()
    assert "The first 96 of 512" in html
    assert len(html.encode()) < BUDGET


def test_a_layer_that_did_not_move_has_not_changed() -> None:
    made = filters("0", 4, 1, 3, 3)
    assert kernels.change(replace(made, end=made.start)) == 0
    assert kernels.change(replace(made, end=3 * made.start)) == pytest.approx(2)
    assert kernels.change(replace(made, start=0 * made.start)) is None


def test_the_layers_are_a_table_with_its_sums() -> None:
    rows = Cells(mnist().html()).rows("layers")
    assert [row[0] for row in rows[1:-1]] == [str(place) for place in range(8)]
    assert rows[4][1:] == ["Conv2d", "5 × 5", "1 × 1", "0 × 0", "20 × 8 × 8", "5 020", "320 000", "14 × 14"]
    assert rows[-1] == ["all layers", "8 490", "467 200", ""]


def test_long_tables_are_folded() -> None:
    html = hundred().html()
    assert "<summary>All 81 layers</summary>" in html
    assert "6\u202f500 of which were trained" in html
    assert '<details class="folded">' not in mnist().html()
