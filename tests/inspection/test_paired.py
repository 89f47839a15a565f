"""Intervals of paired samples, against the paper's numbers, scipy, and what they promise."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from cnnaudit.inspection.paired import chance, difference, mean_change


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 1), (5, 5), (12, 2), (2, 12), (300, 240)])
def test_the_chance_is_the_binomial_test_s(lost: int, won: int) -> None:
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert chance(lost, won) == pytest.approx(expected)


def test_newcombe_s_own_example() -> None:
    """Of 50 pairs 36 agree on yes, 12 and 2 differ, none agree on no (table III of the paper, method 10)."""
    found = difference(50, 38, 2, 12)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-5)
    turned = difference(50, 48, 12, 2)
    assert (turned.low, turned.high) == pytest.approx((-0.3404, -0.0569), abs=5e-5)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    cells = np.array([0.55, 0.3, 0.05, 0.1])  # right both times, lost, won, wrong both times
    held = 0
    for both, lost, won, _ in rng.multinomial(120, cells, 2000):
        found = difference(120, int(both + lost), int(lost), int(won))
        held += found.low <= cells[2] - cells[1] <= found.high
    assert 0.93 <= held / 2000 <= 0.975


def test_nothing_changes() -> None:
    found = difference(100, 100, 0, 0)
    assert found.value == 0
    assert found.low < 0 < found.high


def test_the_mean_change_is_student_s() -> None:
    values = np.random.default_rng(1).normal(0.3, 2, 25)
    found, p = mean_change(25, float(values.sum()), float((values**2).sum()))
    expected: Any = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval()
    assert found is not None
    assert p == pytest.approx(expected.pvalue)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), interval.low, interval.high))
    assert mean_change(1, 1.0, 1.0) == (None, 1.0)
    assert mean_change(3, 0.0, 0.0)[1] == 1
    assert mean_change(3, 3.0, 3.0)[1] == 0
