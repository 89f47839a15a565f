"""Heatmaps as integers: what is lost, what is shared, what is refused."""

import numpy as np
import pytest
import torch
from report_samples import METHODS, contrasting, noisy, smooth

from cnnaudit.errors import MethodError
from cnnaudit.report.encoding import (
    STEPS,
    checked,
    decode_heatmap,
    display_codes,
    display_limit,
    encode_heatmap,
)

SCALES = [1.0, 1e-30, 1e30, 1e-44]


@pytest.mark.parametrize("name", METHODS)
def test_the_twin_keeps_every_value_to_half_a_step(name: str) -> None:
    values = METHODS[name][1].astype(np.float32).astype(np.float64)
    record = encode_heatmap(values)
    assert record["shape"] == list(values.shape)
    assert (record["min"], record["max"]) == (values.min(), values.max())
    assert np.abs(decode_heatmap(record) - values).max() <= record["scale"] / 2


@pytest.mark.parametrize("factor", SCALES)
def test_the_round_trip_holds_for_very_small_and_very_large_maps(factor: float) -> None:
    values = (noisy() * factor).astype(np.float32).astype(np.float64)
    record = encode_heatmap(values)
    assert np.abs(decode_heatmap(record) - values).max() <= record["scale"] / 2


@pytest.mark.parametrize("factor", SCALES)
def test_display_codes_are_exact_to_half_a_step_up_to_the_limit(factor: float) -> None:
    values = (noisy() * factor).astype(np.float32).astype(np.float64)
    limit = display_limit([values])
    codes = display_codes(values, limit).astype(int)
    within = np.abs(values) <= limit
    assert np.abs(codes[within] * (limit / STEPS) - values[within]).max() <= limit / STEPS * 0.5001
    assert set(np.abs(codes[~within])) <= {STEPS + 1}
    assert np.array_equal(np.sign(codes[~within]), np.sign(values[~within]))


def test_a_few_outliers_do_not_hide_the_rest() -> None:
    values = contrasting()
    values[0, 0] = 1000.0
    assert display_limit([values]) < 1
    assert display_codes(values, display_limit([values]))[0, 0] == STEPS + 1


def test_without_outliers_the_largest_value_is_the_limit() -> None:
    largest = smooth().max()
    assert largest <= display_limit([smooth()]) <= largest * 1.01


def test_a_single_pixel_of_evidence_is_shown() -> None:
    values = np.zeros((224, 224))
    values[3, 4] = -0.5
    assert display_limit([values]) == 0.5
    assert display_codes(values, 0.5)[3, 4] == -STEPS


def test_compared_maps_share_the_larger_limit() -> None:
    assert display_limit([smooth(), smooth() * 10]) == display_limit([smooth() * 10])


def test_the_limit_of_an_all_zero_map_is_zero() -> None:
    zeros = np.zeros((5, 7))
    assert display_limit([zeros]) == 0
    assert not display_codes(zeros, 0).any()
    assert np.array_equal(decode_heatmap(encode_heatmap(zeros)), zeros)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused_with_their_number(bad: float) -> None:
    heatmap = torch.zeros(4, 4)
    heatmap[1, 2] = bad
    with pytest.raises(MethodError, match=r"lime for a\.jpg: 1 of 16 values"):
        checked(heatmap, "lime for a.jpg")
