"""Patches that are all but the same in many pictures: tags, logos, rulers, which nature does not repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import find_objects, label

from cnnaudit.auditing.scenery import View

_SIDE = 8
_SAME = 0.06
"""Crops that differ by less than this (root mean square, of 1) are copies."""
_LIKE = 0.2
"""Crops that differ by less are alike. Copies stand alone: few are alike that are no copies."""
_ALONE = 0.7
_PLAIN = 0.05  # deviation within a crop below which it is plain, and looks like any other plain crop
_LARGEST = 0.25  # of a picture
_SIZE = float(np.log(1.5))  # ratio of areas
_COVERED = 0.5  # of a segment by the copies of another: it is a part of those
_WINDOWS = 40  # copies that are laid over each other
_CHUNK = 1024


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
        marks = torch.from_numpy(self.corners(picture))[None, None].double()
        mask = torch.from_numpy(self.inside)[None, None].double()
        return F.conv_transpose2d(marks, mask)[0, 0].numpy() > 0.5

    def corners(self, picture: Float32[np.ndarray, "c h w"]) -> Bool[np.ndarray, "u v"]:
        """At which places of its upper left corner a copy is."""
        image, mask = torch.from_numpy(picture)[None].double(), torch.from_numpy(self.inside)[None, None].double()
        kept = torch.from_numpy(self.pixels)[None].double() * mask
        squares = F.conv2d((image**2).sum(1, keepdim=True), mask)
        far = (squares - 2 * F.conv2d(image, kept) + (kept**2).sum()) / (mask.sum() * len(self.pixels))
        return (far < _SAME**2)[0, 0].numpy()


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
        if crop.std((1, 2)).max() > _PLAIN:
            rows.append(crop)
            kept.append(segment)
    shape = (len(rows), len(pixels), _SIDE, _SIDE)
    stacked = np.stack(rows).astype(np.float32) if rows else np.zeros(shape, np.float32)
    return Crops(stacked, np.log(areas[kept]).astype(np.float32), np.array(kept, np.uint8))


def templates(views: Sequence[View], *, fewest: int, most: int = 8) -> list[Template]:
    """What is copied in at least `fewest` of these pictures, the most frequent first."""
    pictures = [crops_of(view.pixels, view.labels) for view in views]
    rows = np.concatenate([each.rows for each in pictures])
    flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    areas, segments = (np.concatenate(each) for each in zip(*[(p.areas, p.segments) for p in pictures], strict=True))
    owner = np.repeat(np.arange(len(pictures)), [len(each.rows) for each in pictures])
    left = np.ones(len(rows), bool)
    found: list[Template] = []
    for place in _crowded(flat, areas, owner, fewest):
        if len(found) == most:
            break
        if not left[place]:
            continue
        far = np.sqrt(((flat - flat[place]) ** 2).mean(1))
        sized = np.abs(areas - areas[place]) < _SIZE
        same = (far < _SAME) & sized & left
        if len(np.unique(owner[same])) >= fewest:
            view = views[owner[place]]
            own = view.labels == segments[place]
            if not any(each.where(view.pixels)[own].mean() > _COVERED for each in found):
                found.append(_grown(_template(view, segments[place]), views))
        left &= ~((far < _LIKE) & sized)
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


def _crowded(flat: np.ndarray, areas: np.ndarray, owner: np.ndarray, fewest: int) -> list[int]:
    """Crops with copies in enough pictures, and hardly anything near that is no copy; those with most copies first."""
    squares = (flat**2).sum(1)
    counts = np.zeros(len(flat), int)
    for start in range(0, len(flat), _CHUNK):
        some = slice(start, start + _CHUNK)
        far = np.maximum(squares[some, None] + squares - 2 * flat[some] @ flat.T, 0) / flat.shape[1]
        sized = np.abs(areas[some, None] - areas) < _SIZE
        same, like = (far < _SAME**2) & sized, (far < _LIKE**2) & sized
        for row in np.flatnonzero(same.sum(1) >= fewest):
            n = len(np.unique(owner[same[row]]))
            if n >= fewest and n >= _ALONE * len(np.unique(owner[like[row]])):
                counts[start + row] = n
    order = np.argsort(-counts, kind="stable")
    return [int(place) for place in order if counts[place]]
