"""Segments of pictures sorted into kinds, and what of a picture is its surroundings: what edits are made of."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter
from torch import Tensor

from cnnaudit.auditing.holding import Holding
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.segments import Segmented, segmented
from cnnaudit.classifier import Classifier
from cnnaudit.data.augmentation import as_pixels

KINDS = 32
_STARTS: Any = 3  # annotated as a word
_OUTER = 0.5  # of a kind's area in segments that reach the border: more, and it is ground
_WHOLE = 0.95  # of a picture that is ground: more, and nothing stands before it
_SEAM = 64  # one pixel of widening for so many of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Kinds of segments: clusters of how they look and of what the network makes of them.

    Attributes:
        middle, scale: that a row of numbers is normalised with.
        centres: of the kinds.
        outer: the share of each kind's area that lies in segments which reach the picture's border.
        figures: whether something stands before the ground in most of the pictures they were learned from; where
            objects fill the frame, or are of one tone with what is behind them, no part says what it belongs to.
    """

    middle: Float32[np.ndarray, " e"]
    scale: Float32[np.ndarray, " e"]
    centres: Float32[np.ndarray, "k e"]
    outer: Float32[np.ndarray, " k"]
    figures: bool = True

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
    owners = np.repeat(np.arange(len(parts)), [len(part.area) for part in parts])
    ground = np.bincount(owners, areas * (touching & (outer > _OUTER)[kinds]))
    return Kinds(
        middle.astype(np.float32),
        scale,
        found.cluster_centers_.astype(np.float32),
        outer.astype(np.float32),
        bool(np.median(ground) < _WHOLE),
    )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class View:
    """One picture, and what is at each pixel.

    Attributes:
        stored: its pixels, in a byte each where that is exact.
        labels: its segments.
        kinds: of each segment.
        ground: the picture's surroundings: what a mask leaves outside; without masks, the parts that reach its
            border, of a kind that mostly does.
    """

    stored: Float32[np.ndarray, "c h w"] | UInt8[np.ndarray, "c h w"]
    labels: UInt8[np.ndarray, "h w"]
    kinds: UInt8[np.ndarray, " s"]
    ground: Bool[np.ndarray, "h w"]

    @property
    def pixels(self) -> Float32[np.ndarray, "c h w"]:
        """In [0, 1]: the bits that were read."""
        return as_pixels(torch.from_numpy(self.stored)).numpy()

    @property
    def kind(self) -> UInt8[np.ndarray, "h w"]:
        """Of the segment at each pixel."""
        return self.kinds[self.labels]

    @property
    def nbytes(self) -> int:
        """Of all its arrays."""
        return self.stored.nbytes + self.labels.nbytes + self.kinds.nbytes + self.ground.nbytes

    def shows(self, kinds: Iterable[int]) -> Bool[np.ndarray, "h w"]:
        """Where parts of these kinds are."""
        table = np.zeros(256, bool)
        table[list(kinds)] = True
        return table[self.kinds][self.labels]


@dataclass(frozen=True, slots=True, eq=False)
class _Outlines:
    """A picture's segments, packed (some kilobytes): with them, a view can be made again without the network.

    Attributes:
        outer: which segments reach the border and are of a kind that mostly does.
    """

    packed: bytes
    shape: tuple[int, ...]
    kinds: UInt8[np.ndarray, " s"]
    outer: Bool[np.ndarray, " s"]


class Scenery:
    """Pictures by their places, cut into parts of known kinds when they are first asked for.

    A picture is cut once. What does not fit into memory is read again, and is the same to the bit: the network, whose
    answers can depend on the pictures beside one, is not asked again.

    Args:
        watched: whether kinds were learned from the network too (see `segmented`).
        holding: views of this scenery and of others that share the memory.
    """

    def __init__(
        self,
        classifier: Classifier,
        pictures: Pictures,
        kinds: Kinds,
        *,
        watched: bool = True,
        holding: Holding[View] | None = None,
    ) -> None:
        self.kinds, self.pictures = kinds, pictures
        self._classifier, self._watched = classifier, watched
        self._outlines: dict[int, _Outlines] = {}
        self._holding = Holding[View]() if holding is None else holding

    @property
    def tells(self) -> bool:
        """Whether views say what is ground and what is not: by masks, or as the pictures are made."""
        return self.pictures.masks is not None or self.kinds.figures

    def views(self, places: Sequence[int]) -> list[View]:
        """The pictures at these places."""
        wanted = dict.fromkeys(places)
        new = [place for place in wanted if place not in self._outlines]
        for place, part in segmented(self._classifier, self.pictures, new, watched=self._watched):
            self.hold(place, part)
        held = {place: self._holding.get((self, place)) for place in wanted}
        found = {place: self._made(place) if view is None else view for place, view in held.items()}
        return [found[place] for place in places]

    def each(self, places: Sequence[int]) -> Sequence[View]:
        """The pictures at these places, each made when it is asked for: all together need not fit into memory."""
        return _Each(self, places)

    def hold(self, place: int, part: Segmented) -> None:
        """Keep how a picture was cut."""
        kinds = self.kinds.of(part)
        outer = (part.border > 0) & (self.kinds.outer[kinds] > _OUTER)
        packed = zlib.compress(part.labels.tobytes(), 1)
        self._outlines[place] = _Outlines(packed, part.labels.shape, kinds.astype(np.uint8), outer)

    def _made(self, place: int) -> View:
        cut = self._outlines[place]
        labels = np.frombuffer(zlib.decompress(cut.packed), np.uint8).reshape(cut.shape).copy()
        masks = self.pictures.masks
        ground = cut.outer[labels] if masks is None else ~masks([place])[0].numpy()
        view = View(_stored(self.pictures.read([place])[0].numpy()), labels, cut.kinds, ground)
        self._holding.put((self, place), view)
        return view


class _Each(Sequence[View]):
    """Views that are not held together."""

    def __init__(self, scenery: Scenery, places: Sequence[int]) -> None:
        self._scenery, self._places = scenery, tuple(places)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[View]: ...
    def __getitem__(self, index: int | slice) -> View | Sequence[View]:
        if isinstance(index, slice):
            return _Each(self._scenery, self._places[index])
        return self._scenery.views([self._places[index]])[0]


def _stored(pixels: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "c h w"] | UInt8[np.ndarray, "c h w"]:
    """Pixels of bytes as bytes again, if these give the same bits."""
    levels = np.rint(np.nan_to_num(pixels).clip(0, 1) * 255).astype(np.uint8)
    return levels if (as_pixels(torch.from_numpy(levels)).numpy() == pixels).all() else pixels


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
