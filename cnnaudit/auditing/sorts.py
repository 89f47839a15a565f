"""Pictures that fall into two sorts, those with a cue and those without: where they do so clearly, which is which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from cnnaudit import memory
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.measures import luma
from cnnaudit.shapes import Pixels

_LEVELS = (0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995)
_FEW_LEVELS = (0.005, 0.1, 0.5, 0.9, 0.995)
_SIDE = 64  # pixels of the shorter side that the levels are taken from, at most
_OCTAVES = 4
_SMALLEST = 6  # a side that detail is looked for in
_CELLS = 3  # a side
_BATCH = 64
_DARKEST = 1e-8  # a square of which a logarithm can be taken
_EVEN = 1e-6  # a deviation that is none
_SHRUNK = 0.05  # of the covariance, towards a multiple of the identity: levels of one channel are much alike
_STEPS, _SETTLED = 100, 1e-3
_FEWEST = 5  # pictures of a sort
_ROOM = 3  # pictures a measure
_AXES, _CUTS = 12, (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Sorts:
    """Two sorts of pictures.

    Attributes:
        present: the pictures of the sort that was looked for.
        mistaken: how many pictures are to be expected on the wrong side, as a share of the smaller sort.
    """

    present: Bool[np.ndarray, " n"]
    mistaken: float


def measured(asked: Asked, places: Int64[Tensor, " m"]) -> Float32[np.ndarray, "m d"]:
    """Some 70 numbers of each picture, none of which the network has a part in.

    Levels of each channel and of their differences, from floor to ceiling; how much there is of each octave of detail;
    and the colours of nine parts of the picture.
    """
    rows = (_of_pixels(asked.pictures.read(some.tolist())) for some in places.split(_BATCH))
    return memory.rows_of(rows, len(places)).numpy()


def _of_pixels(pixels: Pixels) -> Float32[Tensor, "n d"]:
    step = math.ceil(min(pixels.shape[2:]) / _SIDE)
    some = pixels[:, :, ::step, ::step].flatten(2)
    levels = [_levels(some, _LEVELS)]
    if pixels.shape[1] > 1:
        levels.append(_levels(some - some.roll(1, 1), _FEW_LEVELS))
    cells = F.adaptive_avg_pool2d(pixels, _CELLS).flatten(1)
    return torch.cat([*levels, _octaves(pixels), cells], 1).float().cpu()


def _levels(values: Float[Tensor, "n c p"], levels: Sequence[float]) -> Float[Tensor, "n l"]:
    ordered = values.sort(2).values
    return ordered[:, :, [round(level * (values.shape[2] - 1)) for level in levels]].flatten(1)


def _octaves(pixels: Pixels) -> Float[Tensor, "n o"]:
    """The logarithm of the mean square of the Laplacian of luma, at full size, half, a quarter ..."""
    kernel = pixels.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    light, found = luma(pixels), [pixels.new_empty(len(pixels), 0)]
    while len(found) <= _OCTAVES and min(light.shape[2:]) >= _SMALLEST:
        found.append(F.conv2d(light, kernel).square().mean((1, 2, 3)).clamp(min=_DARKEST).log()[:, None])
        light = F.avg_pool2d(light, 2)
    return torch.cat(found, 1)


def two_sorts(
    rows: Float[np.ndarray, "n d"], truth: Int64[np.ndarray, " n"], guess: Bool[np.ndarray, " n"]
) -> Sorts | None:
    """The two sorts that are found from a first guess on; None where there are none, or too few pictures to tell.

    In each class a mixture of two normal distributions, whose means differ alike in all classes and whose covariance
    is one (O'Neill, Journal of the American Statistical Association 73, 1978), by expectation and maximisation. How
    frequent the sorts are, each class says for itself: so its class alone puts no picture into a sort. The guess,
    which may look at one measure alone and be wrong of many pictures, only says where to begin.
    """
    own = np.unique(truth, return_inverse=True)[1]
    scaled, freedom = _scaled(rows, own), len(rows) - int(own.max()) - 1
    if not scaled.shape[1] or freedom < _ROOM * scaled.shape[1]:
        return None
    sure, squares = guess.astype(np.float64), scaled.T @ scaled
    for _ in range(_STEPS):
        found = _maximised(scaled, squares, own, sure, freedom)
        if found is None:
            return None
        before, sure = sure, found.expected(scaled, own)
        if np.abs(sure - before).max() < _SETTLED:
            break
    present = sure > 0.5
    smaller = min(int(present.sum()), int((~present).sum()))
    return Sorts(present, float(np.minimum(sure, 1 - sure).sum()) / smaller) if smaller else None


def guesses(rows: Float[np.ndarray, "n d"], truth: Int64[np.ndarray, " n"]) -> list[Bool[np.ndarray, " n"]]:
    """Where to begin to look for sorts of which nothing is known: each large principal axis cut in two, or an end off.

    A rare sort is begun from an end, and one that is as frequent as the other from the middle.
    """
    scaled = _scaled(rows, np.unique(truth, return_inverse=True)[1])
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :_AXES]
    return [column > np.quantile(column, cut) for column in (scaled @ axes).T for cut in _CUTS]


def _scaled(rows: Float[np.ndarray, "n d"], own: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """From each class's mean on, in units of the deviation within classes; without what is the same everywhere."""
    if not rows.shape[1]:
        return rows
    means = np.stack([np.bincount(own, column) for column in rows.T], 1) / np.bincount(own)[:, None]
    centred = rows - means[own]
    spread = centred.std(0)
    return centred[:, spread > _EVEN] / spread[spread > _EVEN]


@dataclass(frozen=True, slots=True, eq=False)
class _Mixture:
    """Of rows whose mean is 0 in each class.

    Attributes:
        between: from the mean of the one sort to that of the other.
        weights: of each measure in telling them apart.
        frequent: the share of the sort in each class, as the means have it.
    """

    between: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, " d"]
    frequent: Float[np.ndarray, " c"]

    def expected(self, scaled: Float[np.ndarray, "n d"], own: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """How likely each picture is of the sort; a class without any may still have one (Laplace's rule)."""
        counts = np.bincount(own)
        prior = (counts * self.frequent + 1) / (counts + 2)
        middle = (0.5 - self.frequent) * float(self.between @ self.weights)
        odds = scaled @ self.weights + (np.log(prior / (1 - prior)) - middle)[own]
        return 1 / (1 + np.exp(-odds.clip(-30, 30)))


def _maximised(
    scaled: Float[np.ndarray, "n d"],
    squares: Float[np.ndarray, "d d"],
    own: Int64[np.ndarray, " n"],
    sure: Float[np.ndarray, " n"],
    freedom: int,
) -> _Mixture | None:
    """The likeliest mixture if so sure is which picture is of which sort; None where all are of one.

    The inverse of a covariance that few pictures tell is too large: by as much the weights are less.
    """
    counts = np.bincount(own)
    frequent = np.bincount(own, sure) / counts
    varied = float((counts * frequent * (1 - frequent)).sum())
    if min(sure.sum(), (1 - sure).sum(), varied) < _FEWEST:
        return None
    between = sure @ scaled / varied
    covariance = (squares - varied * np.outer(between, between)) / len(scaled)
    target = np.trace(covariance) / len(between) * np.eye(len(between))
    weights = np.linalg.solve((1 - _SHRUNK) * covariance + _SHRUNK * target, between)
    return _Mixture(between, weights * (freedom - len(between) - 1) / freedom, frequent)
