"""Segments of pictures sorted into kinds, and what of a picture is its surroundings: what edits are made of."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter
from torch import Tensor

from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.segments import Segmented, segmented
from cnnaudit.classifier import Classifier

KINDS = 32
_STARTS: Any = 3  # annotated as a word
_HELD = 1200
_SEAM = 64  # one pixel of widening for so many of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Kinds of segments: clusters of how they look and of what the network makes of them.

    Attributes:
        middle, scale: that a row of numbers is normalised with.
        centres: of the kinds.
        outer: the share of each kind's area that lies in segments which reach the picture's border.
    """

    middle: Float32[np.ndarray, " e"]
    scale: Float32[np.ndarray, " e"]
    centres: Float32[np.ndarray, "k e"]
    outer: Float32[np.ndarray, " k"]

    def of(self, part: Segmented) -> Int64[np.ndarray, " s"]:
        """The kind of each segment of a picture."""
        rows = (rows_of(part) - self.middle) / self.scale
        distances = (rows**2).sum(1)[:, None] - 2 * rows @ self.centres.T + (self.centres**2).sum(1)
        return distances.argmin(1)


def rows_of(part: Segmented) -> Float32[np.ndarray, "s e"]:
    """What segments are told apart by: their colours and the network's features."""
    return np.concatenate([part.colour, part.features], 1)


def kinds_of(parts: Sequence[Segmented], seed: int) -> Kinds:
    """Sort segments into at most `KINDS` kinds by k-means, colours and features weighing the same.

    Ghorbani et al. 2019 (ACE, arXiv:1902.03129) cluster segments by one layer's features alone; colour is added
    because a late layer has lost it, and each segment is embedded within its picture and not on grey.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([rows_of(part) for part in parts])
    areas = np.concatenate([part.area for part in parts])
    weights = np.sqrt(areas)
    middle = np.average(rows, 0, weights)
    width = parts[0].colour.shape[1]
    scale = np.empty(rows.shape[1], np.float32)
    for block in (slice(0, width), slice(width, None)):
        spread = np.average((rows[:, block] - middle[block]) ** 2, 0, weights).sum() if rows[:, block].size else 1.0
        scale[block] = max(float(np.sqrt(spread)), 1e-6)
    normal = (rows - middle) / scale
    distinct = len(np.unique(normal.round(6), axis=0))
    with threadpool_limits(1):  # sums in one order, so that the same pictures give the same bits
        found = KMeans(min(KINDS, distinct), n_init=_STARTS, random_state=seed).fit(normal, sample_weight=weights)
    kinds = found.predict(normal)
    touching = np.concatenate([part.border for part in parts]) > 0
    whole = np.bincount(kinds, areas, len(found.cluster_centers_))
    outer = np.bincount(kinds, areas * touching, len(whole)) / np.maximum(whole, 1e-12)
    return Kinds(middle.astype(np.float32), scale, found.cluster_centers_.astype(np.float32), outer.astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One picture, and what is at each pixel.

    Attributes:
        labels: its segments.
        kind: the kind of each.
        ground: the picture's surroundings: what a mask leaves outside; without masks, the parts that reach its
            border, of a kind that mostly does.
    """

    pixels: Float32[np.ndarray, "c h w"]
    labels: UInt8[np.ndarray, "h w"]
    kind: UInt8[np.ndarray, "h w"]
    ground: Bool[np.ndarray, "h w"]

    def shows(self, kinds: Iterable[int]) -> Bool[np.ndarray, "h w"]:
        """Where parts of these kinds are."""
        table = np.zeros(256, bool)
        table[list(kinds)] = True
        return table[self.kind]


class Scenery:
    """Pictures by their places, cut into parts of known kinds when they are first asked for; some are held."""

    def __init__(self, classifier: Classifier, pictures: Pictures, kinds: Kinds, *, watched: bool = True) -> None:
        self.kinds, self.pictures = kinds, pictures
        self._classifier, self._watched = classifier, watched
        self._held: OrderedDict[int, View] = OrderedDict()

    def views(self, places: Sequence[int]) -> list[View]:
        """The pictures at these places."""
        missing = [place for place in dict.fromkeys(places) if place not in self._held]
        for place, part in segmented(self._classifier, self.pictures, missing, watched=self._watched):
            self.hold(place, part)
        found = [self._held[place] for place in places]
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return found

    def hold(self, place: int, part: Segmented) -> None:
        """Keep a picture that was cut already."""
        of = self.kinds.of(part)
        if self.pictures.masks is None:
            ground = ((part.border > 0) & (self.kinds.outer[of] > 0.5))[part.labels]
        else:
            ground = ~self.pictures.masks([place])[0].numpy()
        pixels = self.pictures.read([place])[0].numpy()
        self._held[place] = View(pixels, part.labels, of.astype(np.uint8)[part.labels], ground)


def plate(pixels: Float32[np.ndarray, "c h w"], keep: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "c h w"]:
    """The picture with what is not kept painted over: each pixel takes the colour of the nearest that is."""
    if keep.all() or not keep.any():
        return pixels
    nearest: Any = distance_transform_edt(~keep, return_distances=False, return_indices=True)
    rows, columns = nearest
    return pixels[:, rows, columns]


def pasted(
    pixels: Float32[np.ndarray, "c h w"], source: Float32[np.ndarray, "c h w"], where: Bool[np.ndarray, "h w"]
) -> Float32[Tensor, "c h w"]:
    """`source` over the picture where it is asked for, a little wider and with a soft edge.

    Without this, what segments leave at their edges draws an outline round everything that is not covered.
    """
    widening = round(min(where.shape) / _SEAM)
    cover = binary_dilation(where, iterations=widening) if widening else where
    weight = gaussian_filter(cover.astype(np.float32), widening / 2) if widening else cover.astype(np.float32)
    return torch.from_numpy(pixels * (1 - weight) + source * weight).clamp(0, 1)
