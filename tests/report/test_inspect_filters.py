"""The filters on the page: their colours, their scale, what is counted, and the twin."""

import json
from dataclasses import replace

import numpy as np
import pytest
from one_section import page_of
from report_samples import HOSTILE
from test_report_page import Tags
from train_reading import decoded

from cnnaudit.report import decode_heatmap
from cnnaudit.report.inspection import filters as drawing
from cnnaudit.report.plain import plain
from cnnaudit.results import AlikeFilters, FilterBank, Filters


def bank(layer: str, n: int, c: int, h: int, w: int, *, kept: int | None = None) -> FilterBank:
    rng = np.random.default_rng(n + c)
    kernels = rng.normal(size=(n, kept or c, h, w)).astype(np.float32)
    lengths = np.sqrt(np.square(kernels).sum((1, 2, 3)))
    return FilterBank(
        layer=layer,
        shape=(n, c, h, w),
        groups=1,
        order=tuple(reversed(range(n))),
        kernels=kernels,
        channels=np.tile(np.arange(kept or c), (n, 1)),
        held=np.full(n, 1.0 if kept is None else 0.64, np.float32),
        lengths=lengths,
        pairs=0,
        duplicated=0,
        alike=(),
        near_zero=(),
    )


def section(*banks: FilterBank, first: str | None = "conv1") -> Filters:
    return Filters(banks, first, alike=0.95, near_zero=0.01)


def html(facts: Filters) -> str:
    return page_of("filters", drawing.view(facts), scripted=False)


def images(facts: Filters) -> list[np.ndarray]:
    return [decoded(each["src"]) for tag, each in Tags(html(facts)).tags if tag == "img"]


def text(facts: Filters) -> str:
    return " ".join(html(facts).split())


def test_colour_kernels_share_one_symmetric_scale() -> None:
    weights = np.zeros((3, 3, 5, 5), np.float32)
    weights[0, 0, 0, 0], weights[0, 1, 0, 1], weights[1, 2, 4, 4], weights[2] = 0.5, -0.5, 0.25, 0.5
    made = images(section(replace(bank("conv1", 3, 3, 5, 5), kernels=weights, order=(0, 1, 2))))
    assert made[0][0, 0].tolist() == [255, 128, 128]
    assert made[0][0, 1].tolist() == [128, 0, 128]
    assert made[1][4, 4].tolist() == [128, 128, 191]


def test_grey_kernels_are_red_and_blue() -> None:
    weights = np.linspace(-1, 1, 25, dtype=np.float32).reshape(1, 1, 5, 5)
    (made,) = images(section(replace(bank("conv1", 1, 1, 5, 5), kernels=weights)))
    assert made[0, 0].tolist() == [0x1E, 0x61, 0xA5]
    assert made[2, 2].tolist() == [0xF7] * 3
    assert made[4, 4].tolist() == [0xAB, 0x16, 0x2A]


def test_deep_kernels_stand_beside_each_other_with_gaps() -> None:
    facts = section(bank("conv1", 2, 3, 5, 5), bank("conv2", 3, 24, 3, 3, kept=4))
    deep = images(facts)[2:]
    assert {each.shape for each in deep} == {(3, 4 * 3 + 3, 4)}
    assert deep[0][0, :, 3].tolist() == [255, 255, 255, 0, 255, 255, 255, 0, 255, 255, 255, 0, 255, 255, 255]
    assert "the 4 strongest input channels" in text(facts)
    assert "64 % of its squared weights" in text(facts).replace("\u202f", " ")


def test_kernels_of_single_weights_are_strips() -> None:
    drawn = drawing.view(section(bank("conv1", 4, 16, 1, 1, kept=6), first=None)).deeper[0]
    assert drawn.shape == (1, 6)


def test_kernels_of_signals_are_bars() -> None:
    facts = section(bank("conv1", 4, 1, 1, 5), bank("conv2", 4, 15, 1, 3, kept=6))
    assert html(facts).count('<svg class="weights"') == 4
    assert {each.shape for each in images(facts)} == {(6, 3, 3)}


def test_they_come_in_the_order_of_likeness_and_of_many_the_longest() -> None:
    facts = section(bank("conv1", 5, 3, 3, 3), bank("conv2", 100, 8, 3, 3, kept=6))
    view = drawing.view(facts)
    assert view.first is not None
    assert [each.number for each in view.first.drawn] == [4, 3, 2, 1, 0]
    longest = set(np.argsort(-facts.banks[1].lengths)[:24].tolist())
    assert [each.number for each in view.deeper[0].drawn] == sorted(longest, reverse=True)
    assert "The 24 longest of 100" in text(facts)


def test_what_is_superfluous_is_counted() -> None:
    first = replace(bank("conv1", 8, 3, 3, 3), pairs=1, duplicated=2, alike=(AlikeFilters(1, 6, -0.987),))
    facts = section(first, replace(bank("conv2", 8, 8, 3, 3), near_zero=(3, 4, 5)))
    assert "2 are in a near-duplicate pair and 3 are near zero" in text(facts)
    assert "1 and 6, cosine −0.987" in text(facts)
    assert "from a |cosine| of 0.95" in text(facts)


def test_an_outlier_is_said_to_be_at_the_limit() -> None:
    made = bank("conv1", 40, 3, 3, 3)
    made.kernels[0, 0, 0, 0] = 50
    assert "The largest weight is 50; it is drawn as if it were at the limit." in text(section(made))
    assert "drawn as if" not in text(section(bank("conv1", 1, 1, 2, 2)))


def test_the_twin_has_the_numbers_and_the_first_layer_s_weights() -> None:
    facts = section(bank("conv1", 6, 3, 5, 5), bank("conv2", 6, 12, 3, 3, kept=4))
    record = json.loads(json.dumps(plain(drawing.twin(facts)), allow_nan=False))
    first, second = record["layers"]
    kernels = facts.banks[0].kernels[list(reversed(range(6)))]
    assert decode_heatmap(first["kernels"]) == pytest.approx(kernels, abs=1e-4)
    assert first["order"] == [5, 4, 3, 2, 1, 0]
    assert second["lengths"] == pytest.approx(facts.banks[1].lengths, rel=1e-5)
    assert "kernels" not in second
    view = drawing.view(facts)
    assert [each["display_limit"] for each in record["layers"]] == [
        each.limit for each in (view.first, *view.deeper) if each
    ]


def test_a_page_of_two_hundred_layers_stays_small() -> None:
    facts = section(bank("conv1", 64, 3, 7, 7), *(bank(f"c{k}", 256, 64, 3, 3, kept=6) for k in range(200)))
    assert len(html(facts)) < 2_000_000


def test_names_cannot_break_out() -> None:
    assert HOSTILE not in html(section(bank(HOSTILE, 2, 3, 3, 3), first=HOSTILE))


def test_without_the_first_layer_there_are_the_others() -> None:
    assert "The deeper layers" not in html(section(bank("conv9", 2, 8, 3, 3), first=None))
