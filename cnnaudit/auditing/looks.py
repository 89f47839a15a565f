"""What a cue looks like, in words: its colour, its place, whether it is the same everywhere."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32
from torch import Tensor

from cnnaudit.auditing.copies import PLAIN, differences
from cnnaudit.auditing.place_statistics import size_of
from cnnaudit.auditing.scenery import View

_COPY = 0.1
"""Patches of one size that differ by less than this (root mean square, of 1) and by little of their own pattern are
copies of each other."""
_COPIES = 0.4
"""Share of the pictures with the cue that must hold a copy of one patch: nothing in nature repeats so often."""
_PIECES = 6  # of a picture that are looked at, the largest
_FIXED = 0.04
"""Deviation of the middle, of the picture's side, below which a cue is always at one place."""
_SMALL = 0.25
_CROP = 8
_NONE = 1e-9  # an energy of rounding errors
_ALIGNED = 3.0
"""Variance of the detail beside a cue, in energies of its mean: in pictures that are this much alike, parts of the
objects themselves repeat. It is 1 for digits of 8 x 8, 5 for MNIST's, and above 20 for photos."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What a cue looks like.

    Attributes:
        copied: whether it is all but the same in every picture.
        fixed: whether it is always at the same place.
    """

    kind: Literal["patch", "place"]
    name: str
    copied: bool
    fixed: bool
    evidence: tuple[str, ...]


def described(views: Sequence[View], where: Callable[[View], Bool[np.ndarray, "h w"]], *, around: bool) -> Looks:
    """What the cue looks like in these pictures, at least one of which has it.

    Args:
        around: whether it belongs to the surroundings of what the pictures show.
    """
    masks = [where(view) for view in views]
    shown = [(view, mask) for view, mask in zip(views, masks, strict=True) if mask.any()]
    area = float(np.mean([mask.mean() for _, mask in shown]))
    middles = np.array([np.argwhere(mask).mean(0) / mask.shape for _, mask in shown])
    fixed = len(shown) > 2 and area < _SMALL and bool((middles.std(0) < _FIXED).all())
    copies = _copies([_pieces(view, mask) for view, mask in shown])
    copied = len(shown) > 4 and copies >= _COPIES and beside(shown) > _ALIGNED
    colour = np.mean([view.pixels[:, mask].mean(1) for view, mask in shown], 0)
    place = _place(middles.mean(0), middles.std(0), area)
    evidence = []
    if copied:
        evidence.append(f"It is a copy: {copies:.0%} of the pictures looked at hold all but the same patch.")
    if fixed:
        evidence.append(f"It is always at the same place, {place}.")
    shade = _colour(colour)
    article = "an" if shade[0] in "aeiou" else "a"
    name = f"{shade} background {place}" if around and area >= _SMALL else f"{article} {shade} patch {place}"
    return Looks("place" if fixed else "patch", name, copied, fixed, tuple(evidence))


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A connected part of a cue: what its box holds, at one size, and how many pixels it has."""

    crop: Float32[np.ndarray, "c 8 8"]
    area: int


def _pieces(view: View, mask: Bool[np.ndarray, "h w"]) -> list[_Piece]:
    from scipy.ndimage import find_objects, label

    named: Any = label(mask)
    named = named[0]
    found: list[_Piece] = []
    for place, box in enumerate(find_objects(named), 1):
        at = [np.linspace(side.start, side.stop - 1, _CROP).round().astype(int) for side in box]
        found.append(_Piece(view.pixels[:, at[0][:, None], at[1][None, :]], int((named[box] == place).sum())))
    return sorted(found, key=lambda piece: -piece.area)[:_PIECES]


def _copies(pictures: Sequence[Sequence[_Piece]]) -> float:
    """The largest share of pictures that hold copies of one patch which is not plain."""
    pieces = [piece for each in pictures for piece in each]
    owner = np.repeat(np.arange(len(pictures)), [len(each) for each in pictures])
    crops = np.stack([piece.crop for piece in pieces])
    areas = np.log([piece.area for piece in pieces])
    far, own = differences(crops, crops)
    alike = (far < _COPY**2) & own & (np.abs(areas[:, None] - areas) < np.log(1.5))
    patterned = crops.std((2, 3)).max(1) > PLAIN
    shares = [len(np.unique(owner[row])) / len(pictures) for row, some in zip(alike, patterned, strict=True) if some]
    return max(shares, default=0.0)


def beside(shown: Sequence[tuple[View, Bool[np.ndarray, "h w"]]]) -> float:
    """How much pictures differ where a cue is not: the variance of fine detail, in energies of its mean.

    Infinite where nothing is the same in them, and where the cue leaves nothing of them. The energy is without what
    the mean of so few pictures has by chance.
    """
    pixels = torch.from_numpy(np.stack([view.pixels for view, _ in shown])).double()
    covered = torch.from_numpy(np.stack([mask for _, mask in shown])).double()[:, None]
    colours = F.interpolate(pixels, size_of(pixels), mode="area")
    free = (F.adaptive_max_pool2d(covered, size_of(pixels)) == 0).double()
    detail = (colours - _blurred(colours * free) / _blurred(free).clamp(min=1e-9)) * free
    counts = free.sum(0)
    used = counts[0] > max(1, len(shown) / 2)
    many = counts[:, used]
    means = detail.sum(0)[:, used] / many
    variance = (detail.square().sum(0)[:, used] - many * means.square()) / (many - 1)
    energy = float((means.square() - variance / many).sum())
    return float(variance.sum()) / energy if energy > _NONE else math.inf


def _blurred(values: Tensor) -> Tensor:
    return F.avg_pool2d(values, 5, 1, 2)


def _colour(colour: Float32[np.ndarray, " c"]) -> str:
    """A word for a colour with channels in [0, 1]."""
    import colorsys

    if len(colour) != 3:
        return ("black", "dark", "grey", "light", "white")[min(4, int(colour.mean() * 5))]
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(each) for each in colour))
    if saturation < 0.15 or value < 0.12:
        return ("black", "dark grey", "grey", "light grey", "white")[min(4, int(value * 5))]
    names = ("red", "orange", "yellow", "green", "green", "cyan", "blue", "blue", "purple", "pink", "red")
    word = names[round(hue * 10)]
    if word in ("orange", "yellow") and value < 0.6:
        word = "brown"
    tone = "dark " if value < 0.35 else "pale " if saturation < 0.35 and value > 0.6 else ""
    return tone + word


def _place(middle: np.ndarray, spread: np.ndarray, area: float) -> str:
    """Where it is, in words."""
    if area > 0.6:
        return "over most of the picture"
    if (spread > 0.2).any():
        return "anywhere"
    row = "upper" if middle[0] < 1 / 3 else "lower" if middle[0] > 2 / 3 else ""
    column = "left" if middle[1] < 1 / 3 else "right" if middle[1] > 2 / 3 else ""
    if row and column:
        return f"in the {row} {column} corner"
    if row:
        return f"in the {row} part"
    return f"on the {column}" if column else "in the middle"
