"""Intervals, confusion and calibration, against scipy, scikit-learn and enumeration."""

import pytest
import torch
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from cnnaudit.training.metrics import calibration_error, confused, confusion, reliability, share


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 10), (9912, 10000), (1, 3)])
def test_wilson_s_interval_is_scipy_s(right, n):
    found = share(right, n)
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert found.value == right / n
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_asked_says_nothing():
    assert (share(0, 0).value, share(0, 0).low, share(0, 0).high) == (0.0, 0.0, 1.0)


def test_without_its_zeros_the_matrix_is_the_same():
    rng = torch.Generator().manual_seed(3)
    labels, answers = torch.randint(0, 400, (2, 300), generator=rng)
    dense = confusion_matrix(labels, answers, labels=range(400))
    assert confused(answers, labels) == tuple((i, j, int(dense[i, j])) for i, j in zip(*dense.nonzero(), strict=True))


def test_confusion_is_scikit_learn_s():
    rng = torch.Generator().manual_seed(0)
    labels, answers = (torch.randint(0, 5, (300,), generator=rng) for _ in range(2))
    assert [list(row) for row in confusion(answers, labels, 5)] == confusion_matrix(labels, answers).tolist()


def test_a_class_that_never_occurs_has_its_row():
    assert confusion(torch.tensor([0, 0]), torch.tensor([0, 0]), 3) == ((2, 0, 0), (0, 0, 0), (0, 0, 0))


def test_reliability_is_scikit_learn_s_for_two_classes():
    rng = torch.Generator().manual_seed(1)
    second = 0.5 + 0.5 * torch.rand(500, generator=rng).double()  # the answer is always the second class
    labels = (torch.rand(500, generator=rng) < second).long()
    bins = reliability(torch.stack([1 - second, second], 1).float(), labels)
    right, confidence = calibration_curve(labels, second.float(), n_bins=15)
    assert [each.right.value for each in bins] == pytest.approx(right.tolist())
    assert [each.confidence for each in bins] == pytest.approx(confidence.tolist())


def test_calibration_error_by_hand():
    """Four answers at 0.9, three of them right; two at 0.55, one of them right: (4 * 0.15 + 2 * 0.05) / 6."""
    sure, unsure = [0.9, 0.1], [0.55, 0.45]
    probabilities = torch.tensor([sure] * 4 + [unsure] * 2)
    labels = torch.tensor([0, 0, 0, 1, 0, 1])
    bins = reliability(probabilities, labels)
    assert [each.right.n for each in bins] == [2, 4]
    assert calibration_error(bins) == pytest.approx((4 * 0.15 + 2 * 0.05) / 6, abs=1e-6)


def test_certainty_that_is_right_is_calibrated():
    bins = reliability(torch.eye(3), torch.arange(3))
    assert calibration_error(bins) == 0
    assert bins[0].high == 1.0
