"""Where, in the frame of the picture, one class differs from all others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cutting import drawn
from cnnaudit.auditing.segments import looked_at, map_layer
from cnnaudit.shapes import Pixels

_SIDE = 64
_CLASSES = 64  # those with the most pictures: sums are held of each
_FEWEST = 10  # pictures of a class, and of the others, before anything is said of it
_BATCH = 64
_SURE = 0.01  # chance of even one false place among all that are tried (Bonferroni)
_GROWN = 3.5, 1 / 3
"""What surrounds a peak belongs to its place where it is as sure as this, and this share as sure as the peak."""
_CONSTANT = 0.25  # ratio of variances below which a class is constant where the others vary
_TAILS = 4.0  # n times the variance of a logarithm of a variance: 2 for normal values, and more where tails are heavy
_STEP = 1 / 255  # a deviation below which nothing is told
_SMALLEST, _LARGEST = 0.003, 0.4  # of the picture
_A_CLASS = 3
_WATCHED = 300  # pictures


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place at which a class differs from all others.

    Attributes:
        label: an index into the network's labels.
        inside: where it is, at the bounded resolution.
        peak: its surest point.
        sure: how sure that is, in standard errors.
        attribution: the share of the absolute attribution of the class's pictures on it, divided by the share of the
            picture that it covers; None where there is none.
        weights: for colours, and for fine detail, a row each: how far the class's mean is from that of the others, by
            the variance.
    """

    label: int
    inside: Bool[np.ndarray, "h w"]
    peak: tuple[int, int]
    sure: float
    attribution: float | None
    weights: Float[np.ndarray, "2 e h w"]


class Sums:
    """Sums and sums of squares of each class's values, and of all together; the memory does not grow with pictures."""

    def __init__(self, labels: Sequence[int], shape: tuple[int, ...]) -> None:
        self.labels = list(labels)
        self._counts = torch.zeros(len(labels) + 1, dtype=torch.float64)
        self._sums = torch.zeros(2, len(labels) + 1, *shape, dtype=torch.float64)

    def add(self, truth: Int64[Tensor, " n"], values: Float[Tensor, "n e h w"]) -> None:
        """Take in the values of some pictures of these classes."""
        values = values.double()
        for label in truth.unique().tolist():
            some = values[truth == label]
            for row in {self.labels.index(label) if label in self.labels else -1, -1}:
                self._counts[row] += len(some)
                self._sums[0, row] += some.sum(0)
                self._sums[1, row] += (some**2).sum(0)

    def sides(self, label: int) -> tuple["Side", "Side"]:
        """The class, and all others."""
        row = self.labels.index(label)
        own = Side.of(self._counts[row], *self._sums[:, row])
        return own, Side.of(self._counts[-1] - self._counts[row], *(self._sums[:, -1] - self._sums[:, row]))


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """How many pictures, and the mean and variance of their values."""

    count: float
    mean: Float64[np.ndarray, "e h w"]
    variance: Float64[np.ndarray, "e h w"]

    @classmethod
    def of(cls, count: Tensor, total: Tensor, squares: Tensor) -> "Side":
        n = float(count)
        mean = total / max(n, 1)
        variance = (squares - n * mean**2).clamp(min=0) / max(n - 1, 1)
        return cls(n, mean.numpy(), variance.numpy() + _STEP**2)


def small(pixels: Pixels) -> Float[Tensor, "n e h w"]:
    """Colours, and fine detail, which is what a blur of five pixels takes away, with sides of at most 64 pixels.

    In detail a faint mark stands out: pictures vary least in it, and have none on average at any one place.
    """
    shrunk = F.interpolate(pixels, size_of(pixels), mode="area")
    blurred = F.avg_pool2d(shrunk, 5, 1, 2, count_include_pad=False)
    return torch.cat([shrunk, shrunk - blurred], 1)


def size_of(pixels: Pixels) -> tuple[int, int]:
    """The bounded resolution."""
    height, width = pixels.shape[2:]
    shrink = min(1.0, _SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def batches(n: int) -> Iterator[list[int]]:
    """All pictures, some at a time."""
    for start in range(0, n, _BATCH):
        yield list(range(start, min(start + _BATCH, n)))


def places(asked: Asked) -> list[Place]:
    """Connected places at which a class differs from the others, the surest first.

    In the mean (Welch's t, Biometrika 34, 1947, as a normal score by Wallace, Ann. Math. Stat. 30, 1959) of its
    colours, its detail or of what is looked at, or in constancy; corrected for all pixels and classes.
    """
    truth = asked.pictures.truth
    classes, counts = truth.unique(return_counts=True)
    common = classes[counts.argsort(descending=True, stable=True)][:_CLASSES].tolist()
    shown, watched = _shown(asked, common), _watched(asked, common)
    found: list[Place] = []
    for label in common:
        own, others = shown.sides(label)
        if min(own.count, others.count) < _FEWEST:
            continue
        sure = np.concatenate([_apart(own, others), _constant(own, others)])
        looked = None if watched is None else watched.sides(label)
        if looked is not None:
            sure = np.concatenate([sure, _apart(*looked).clip(min=0)])
        threshold = _threshold(sure.size * len(common))
        for peak, sureness, inside in _peaks(np.abs(sure).max(0), threshold):
            if _has_it(own, others, inside):
                attribution = None if looked is None else float(looked[0].mean[0, inside].mean())
                found.append(Place(label, inside, peak, sureness, attribution, _weights(own, others, inside)))
    return sorted(found, key=lambda place: -place.sure)


def _shown(asked: Asked, common: Sequence[int]) -> Sums:
    sums = Sums(common, tuple(small(asked.pictures.read([0])).shape[1:]))
    for some in batches(len(asked.pictures)):
        sums.add(asked.pictures.truth[some], small(asked.pictures.read(some)))
        asked.told(some[-1], len(asked.pictures))
    return sums


def _watched(asked: Asked, common: Sequence[int]) -> Sums | None:
    """Shares of the absolute attribution, 1 on average, of some pictures; None where the network has no maps."""
    layer = map_layer(asked.classifier)
    if layer is None:
        return None
    sums = Sums(common, (1, *size_of(asked.pictures.read([0]))))
    places = torch.tensor(drawn(asked, torch.ones(len(asked.pictures), dtype=torch.bool), _WATCHED))
    for some in places.split(_BATCH):
        pixels = asked.pictures.read(some.tolist())
        shares = looked_at(asked.classifier, pixels, layer)[1].abs()
        if not bool(shares.isfinite().all()):
            return None
        spread = F.interpolate(shares[:, None], size_of(pixels), mode="bilinear", align_corners=False)
        spread = spread / spread.mean((2, 3), keepdim=True).clamp(min=1e-12)
        sums.add(asked.pictures.truth[some], spread)
    return sums


def _threshold(tests: int) -> float:
    from scipy.stats import norm

    return float(norm.isf(_SURE / 2 / tests))


def _apart(own: Side, others: Side) -> Float[np.ndarray, "e h w"]:
    """How far the means are apart, as a normal score; 0 where there are too few pictures."""
    if min(own.count, others.count) < _FEWEST:
        return np.zeros_like(own.mean)
    parts = own.variance / own.count, others.variance / others.count
    t = (own.mean - others.mean) / np.sqrt(parts[0] + parts[1])
    freedom = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (own.count - 1) + parts[1] ** 2 / (others.count - 1))
    return np.sign(t) * np.sqrt(freedom * np.log1p(t**2 / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)


def _constant(own: Side, others: Side) -> Float[np.ndarray, "e h w"]:
    """How sure it is that the class varies less; 0 where it does not vary far less."""
    ratio = np.log(others.variance / own.variance)
    return np.where(ratio > -np.log(_CONSTANT), ratio / np.sqrt(_TAILS * (1 / own.count + 1 / others.count)), 0.0)


def _peaks(
    sure: Float[np.ndarray, "h w"], threshold: float
) -> Iterator[tuple[tuple[int, int], float, Bool[np.ndarray, "h w"]]]:
    """The surest points, each with what is connected with it."""
    from scipy.ndimage import binary_dilation

    left = sure
    for _ in range(_A_CLASS):
        row, column = divmod(int(left.argmax()), left.shape[1])
        peak = float(left[row, column])
        if peak < threshold:
            return
        inside = _round(left >= max(_GROWN[0], _GROWN[1] * peak), row, column)
        left = np.where(binary_dilation(inside, iterations=2), 0.0, left)
        if _SMALLEST <= inside.mean() <= _LARGEST:
            yield (row, column), peak, inside


def _weights(own: Side, others: Side, inside: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "2 e h w"]:
    difference = (own.mean - others.mean) / (own.variance + others.variance) * inside
    detail = np.arange(len(difference))[:, None, None] >= len(difference) // 2
    return np.stack([difference * ~detail, difference * detail]).astype(np.float32)


def _round(some: Bool[np.ndarray, "h w"], row: int, column: int) -> Bool[np.ndarray, "h w"]:
    """What is connected with a point, without gaps; a frame is not filled."""
    from scipy.ndimage import binary_closing, binary_fill_holes, label

    named: Any = label(np.pad(some, 2), np.ones((3, 3)))
    inside = binary_closing(named[0] == named[0][row + 2, column + 2], np.ones((3, 3)))
    filled: Any = binary_fill_holes(inside)
    return (filled if filled.sum() <= 2 * inside.sum() else inside)[2:-2, 2:-2]


def _has_it(own: Side, others: Side, inside: Bool[np.ndarray, "h w"]) -> bool:
    """Whether it is the class that shows something there, and not the others: detail on average, or always the same."""
    detail = slice(len(own.mean) // 2, None)
    shown, elsewhere = (
        float((side.mean**2 - side.variance / side.count)[detail, inside].sum()) for side in (own, others)
    )
    varies, there = (float(side.variance[:, inside].sum()) for side in (own, others))
    return shown > elsewhere or varies < _CONSTANT * there
