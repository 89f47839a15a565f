"""Patches that are all but the same in many pictures: tags, logos, rulers, which nature does not repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float32, Float64, UInt8
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import find_objects, label
from scipy.signal import fftconvolve

from cnnaudit.auditing.scenery import View

_SIDE = 8
_SAME = 0.06
"""Crops that differ by less than this (root mean square, of 1) are copies."""
_LIKE = 0.2
"""Crops that differ by less are alike. Copies stand alone: few are alike that are no copies."""
_ALONE = 0.7
_OWN = 0.45
"""Copies differ by less than this share of their own pattern: they correlate by 0.9. Of independent texture, however
faint, it is 1.4."""
PLAIN = 0.05
"""Deviation within a crop, in any channel, below which it is plain, and looks like any other plain crop."""
_LARGEST = 0.25  # of a picture
_SIZE = float(np.log(1.5))  # ratio of areas
_COVERED = 0.5  # of a segment by the copies of another: it is a part of those
_WINDOWS = 40  # copies that are laid over each other
_CHUNK = 256
_HELD = 16  # templates whose transforms are held
_FEW = 256  # copies in a picture that are marked one by one


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """What the boxes of a picture's segments hold, at one size, without plain and large ones.

    Attributes:
        rows: `k c 8 8`.
        areas: the logarithm of each segment's pixels.
        segments: their labels.
    """

    rows: Float32[np.ndarray, "k c 8 8"]
    areas: Float32[np.ndarray, " k"]
    segments: UInt8[np.ndarray, " k"]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What is copied: a box of pixels, and which of them belong to it.

    Looked for at every place of a picture, and not among its segments: what a copy lies on can split it.
    """

    pixels: Float32[np.ndarray, "c a b"]
    inside: Bool[np.ndarray, "a b"]

    def where(self, picture: Float32[np.ndarray, "c h w"]) -> Bool[np.ndarray, "h w"]:
        """The copies in a picture."""
        corners = self.corners(picture)
        at = np.argwhere(corners)
        if len(at) > _FEW:
            return fftconvolve(corners.astype(np.float64), self.inside.astype(np.float64)) > 0.5
        height, width = self.inside.shape
        marked = np.zeros(picture.shape[1:], bool)
        for row, column in at:
            marked[row : row + height, column : column + width] |= self.inside
        return marked

    def corners(self, picture: Float32[np.ndarray, "c h w"]) -> Bool[np.ndarray, "u v"]:
        """At which places of its upper left corner a copy is.

        A template that is plain has no pattern to compare, and is told by its colour alone.
        """
        laid = Laid(self, picture)
        near = laid.whole < _SAME**2
        if laid.sought.plain or not near.any():
            return near
        pattern, own = laid.patterns()
        return near & (pattern < _OWN**2 * np.minimum(laid.sought.own, own))


@dataclass(frozen=True, slots=True, eq=False)
class _Sought:
    """A template around its own colour, ready for pictures of one size.

    Attributes:
        size: of the transforms; where the template fits in, nothing wraps round.
        middle: each channel's mean.
        own: the mean square of what is left without it.
        kept, mask: what to multiply a picture's transform with for sums of products.
    """

    size: tuple[int, int]
    middle: Float64[np.ndarray, "c 1 1"]
    own: float
    plain: bool
    kept: Complex128[np.ndarray, "c u v"]
    mask: Complex128[np.ndarray, "u v"]


@lru_cache(_HELD)
def _sought(template: Template, height: int, width: int) -> _Sought:
    size: Any = tuple(next_fast_len(side, real=True) for side in (height, width))
    inside, pixels = template.inside, template.pixels.astype(np.float64)
    shown = pixels[:, inside]
    middle = shown.mean(1)[:, None, None]
    kept = np.conj(_transform((pixels - middle) * inside, size))
    mask = np.conj(_transform(inside.astype(np.float64), size))
    return _Sought(size, middle, float(shown.var(1).mean()), bool(shown.std(1).max() <= PLAIN), kept, mask)


class Laid:
    """A template laid over a picture at each place of its upper left corner, by Fourier transforms.

    They take as long for a template of any size.

    Attributes:
        whole: the mean square of the difference, `u v`.
    """

    def __init__(self, template: Template, picture: Float32[np.ndarray, "c h w"]) -> None:
        _, height, width = picture.shape
        self.sought = _sought(template, height, width)
        a, b = template.inside.shape
        self._valid, self._count = (slice(height - a + 1), slice(width - b + 1)), int(template.inside.sum())
        image = picture - self.sought.middle
        self._seen = _transform(image, self.sought.size)
        self._squares = self._means(_transform((image**2).sum(0), self.sought.size) * self.sought.mask) / len(picture)
        crossed = self._means((self._seen * self.sought.kept).sum(0)) / len(picture)
        self.whole = self._squares - 2 * crossed + self.sought.own

    def patterns(self) -> tuple[Float64[np.ndarray, "u v"], Float64[np.ndarray, "u v"]]:
        """The mean squares of the difference, and of what the template lies on, without each channel's mean."""
        shift = (self._means(self._seen * self.sought.mask) ** 2).mean(0)
        return self.whole - shift, self._squares - shift

    def _means(self, transform: Complex128[np.ndarray, "*c u v"]) -> Float64[np.ndarray, "*c u v"]:
        back: Any = irfft2(transform, self.sought.size)
        return back[..., *self._valid] / self._count


def _transform(values: Float64[np.ndarray, "*c h w"], size: tuple[int, int]) -> Complex128[np.ndarray, "*c u v"]:
    found: Any = rfft2(values, size)
    return found


def differences(
    rows: Float32[np.ndarray, "k c a b"], others: Float32[np.ndarray, "m c a b"]
) -> tuple[Float32[np.ndarray, "k m"], Bool[np.ndarray, "k m"]]:
    """The mean square by which crops differ, and whether it is little of their own pattern, without channels' means."""
    (means, own, flat), (other_means, other, other_flat) = _patterns(rows), _patterns(others)
    pattern = np.maximum(own[:, None] + other - 2 * flat @ other_flat.T / flat.shape[1], 0)
    shift = ((means[:, None] - other_means) ** 2).mean(2)
    return pattern + shift, pattern < _OWN**2 * np.minimum(own[:, None], other)


def _patterns(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each channel's mean, and the mean square of what is left without it, and that."""
    means = rows.mean((2, 3))
    flat = (rows - means[:, :, None, None]).reshape(len(rows), int(np.prod(rows.shape[1:])))
    return means, (flat**2).mean(1), flat


def crops_of(pixels: Float32[np.ndarray, "c h w"], labels: UInt8[np.ndarray, "h w"]) -> Crops:
    """The crops of a picture's segments."""
    rows: list[np.ndarray] = []
    kept: list[int] = []
    areas = np.bincount(labels.ravel())
    for segment, box in enumerate(find_objects(labels.astype(np.int32) + 1)):
        if box is None or areas[segment] > _LARGEST * labels.size:
            continue
        at = [np.linspace(side.start, side.stop - 1, _SIDE).round().astype(int) for side in box]
        crop = pixels[:, at[0][:, None], at[1][None, :]]
        if crop.std((1, 2)).max() > PLAIN:
            rows.append(crop)
            kept.append(segment)
    shape = (len(rows), len(pixels), _SIDE, _SIDE)
    stacked = np.stack(rows).astype(np.float32) if rows else np.zeros(shape, np.float32)
    return Crops(stacked, np.log(areas[kept]).astype(np.float32), np.array(kept, np.uint8))


def templates(views: Sequence[View], *, fewest: int, most: int = 8) -> list[Template]:
    """What is copied in at least `fewest` of these pictures, the most frequent first."""
    pictures = [crops_of(view.pixels, view.labels) for view in views]
    rows = np.concatenate([each.rows for each in pictures])
    areas, segments = (np.concatenate(each) for each in zip(*[(p.areas, p.segments) for p in pictures], strict=True))
    owner = np.repeat(np.arange(len(pictures)), [len(each.rows) for each in pictures])
    left = np.ones(len(rows), bool)
    found: list[Template] = []
    for place in _crowded(rows, areas, owner, fewest):
        if len(found) == most:
            break
        if not left[place]:
            continue
        far, own = (each[0] for each in differences(rows[place : place + 1], rows))
        sized = np.abs(areas - areas[place]) < _SIZE
        same = (far < _SAME**2) & own & sized & left
        if len(np.unique(owner[same])) >= fewest:
            view = views[owner[place]]
            own = view.labels == segments[place]
            if not any(each.where(view.pixels)[own].mean() > _COVERED for each in found):
                found.append(_grown(_template(view, segments[place]), views))
        left &= ~((far < _LIKE**2) & sized)
    return found


def _template(view: View, segment: int) -> Template:
    rows, columns = (np.flatnonzero((view.labels == segment).any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Template(view.pixels[:, *box].copy(), view.labels[box] == segment)


def _grown(template: Template, views: Sequence[View]) -> Template:
    """With what lies around it and is the same at every copy: the segment may be a part of what was copied.

    What is outside of the picture at one of the copies is left out: the template would not find that copy.
    """
    height, width = template.inside.shape
    margin = max(height, width)
    windows: list[np.ndarray] = []
    for view in views:
        padded = np.pad(view.pixels, ((0, 0), (margin, margin), (margin, margin)), constant_values=np.nan)
        for row, column in np.argwhere(template.corners(view.pixels))[:1]:
            windows.append(padded[:, row : row + height + 2 * margin, column : column + width + 2 * margin])
        if len(windows) == _WINDOWS:
            break
    stack = np.stack(windows)
    known = np.isfinite(stack[:, 0]).all(0)
    filled = np.where(known, stack, 0.0)
    middle = np.median(filled, 0)
    same = known & (np.sqrt(((filled - middle) ** 2).mean((0, 1))) < _SAME)
    named: Any = label(same)
    seed = np.pad(template.inside, margin)
    inside = np.isin(named[0], np.unique(named[0][seed & same])) & same | seed
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Template(middle[:, *box].astype(np.float32), inside[box])


def _crowded(rows: np.ndarray, areas: np.ndarray, owner: np.ndarray, fewest: int) -> list[int]:
    """Crops with copies in enough pictures, and hardly anything near that is no copy; those with most copies first."""
    counts = np.zeros(len(rows), int)
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        far, own = differences(rows[some], rows)
        sized = np.abs(areas[some, None] - areas) < _SIZE
        same, like = (far < _SAME**2) & own & sized, (far < _LIKE**2) & sized
        for row in np.flatnonzero(same.sum(1) >= fewest):
            n = len(np.unique(owner[same[row]]))
            if n >= fewest and n >= _ALONE * len(np.unique(owner[like[row]])):
                counts[start + row] = n
    order = np.argsort(-counts, kind="stable")
    return [int(place) for place in order if counts[place]]
