"""How right a network is, with intervals, and how far its confidence can be believed."""

import math

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from cnnaudit.results import ReliabilityBin, Share

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
_BINS = 15

LARGEST_MATRIX = 300
"""With more classes the matrix of confusions, which grows with their square, is kept without its zeros."""


def share(right: int, n: int) -> Share:
    """`right` of `n` with Wilson's 95 % interval (JASA 22, 1927, p. 209)."""
    if n == 0:
        return Share(0, 0, 0.0, 0.0, 1.0)
    p, z2 = right / n, _Z * _Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Share(right, n, p, min(p, max(0.0, centre - reach)), max(p, min(1.0, centre + reach)))


def confusion(answers: Int64[Tensor, " n"], labels: Int64[Tensor, " n"], classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts; row: the true class, column: the answer."""
    counts = torch.bincount(labels * classes + answers, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.view(classes, classes).tolist())


def confused(answers: Int64[Tensor, " n"], labels: Int64[Tensor, " n"]) -> tuple[tuple[int, int, int], ...]:
    """The true class, the answer and the count of each pair that occurred."""
    pairs, counts = torch.stack((labels, answers), 1).unique(dim=0, return_counts=True)
    return tuple((truth, answer, n) for (truth, answer), n in zip(pairs.tolist(), counts.tolist(), strict=True))


def reliability(probabilities: Float32[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> tuple[ReliabilityBin, ...]:
    """The answers in 15 equal ranges of confidence, empty ones left out (Guo et al., ICML 2017, arXiv 1706.04599)."""
    confidence, answers = probabilities.max(1)
    right = answers == labels
    places = (confidence.double() * _BINS).ceil().long().clamp(1, _BINS) - 1
    found = []
    for place in range(_BINS):
        inside = places == place
        n = int(inside.sum())
        if n:
            mean = float(confidence[inside].double().mean())
            found.append(ReliabilityBin(place / _BINS, (place + 1) / _BINS, mean, share(int(right[inside].sum()), n)))
    return tuple(found)


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: mean distance of confidence and accuracy, weighted by count (Guo et al., eq. 3)."""
    total = sum(each.right.n for each in bins)
    return sum(each.right.n / total * abs(each.right.value - each.confidence) for each in bins) if total else 0.0
