"""Pictures that are the same or nearly so, found without comparing each with each."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float32, UInt8

from cnnaudit.auditing.measures import luma
from cnnaudit.shapes import Pixels

_SMALL = 24  # a side of the grey pictures that are compared
_GRID = 8
_BANDS = 8  # of 16 bits: one is the same in nearly all pairs in which one bit of twenty differs
_NEIGHBOURS = 16  # compared in one band; where many pictures share it, those with the nearest other bits
_APART = 24  # bits of 128 in which near duplicates may differ
_ALIKE = 0.98  # correlation of the small pictures
_PLAIN = 8.0  # standard deviation, of 255, below which a picture shows too little to be compared


@dataclass(frozen=True, slots=True)
class Print:
    """What is kept of a picture: 620 bytes.

    Attributes:
        digest: of its pixels; two files of the same bytes have the same, too.
        bits: whether grey rises to the right and downwards, on a coarse grid.
        small: the picture in grey and small.
    """

    digest: bytes
    bits: UInt8[np.ndarray, " 16"]
    small: UInt8[np.ndarray, "h w"]


def prints(pixels: Pixels) -> list[Print]:
    """What is kept of each of these pictures."""
    eight = pixels.mul(255).round().clamp(0, 255).byte()
    small = F.interpolate(luma(pixels), (_SMALL, _SMALL), mode="area").mul(255).round().clamp(0, 255).byte()
    grid = F.interpolate(luma(pixels), (_GRID + 1, _GRID + 1), mode="area")[:, 0]
    right, down = grid[:, :-1, 1:] > grid[:, :-1, :-1], grid[:, 1:, :-1] > grid[:, :-1, :-1]
    bits = np.packbits(np.concatenate([right.flatten(1).numpy(), down.flatten(1).numpy()], 1), axis=1)
    digests = [hashlib.blake2b(each.numpy().tobytes(), digest_size=16).digest() for each in eight]
    return [Print(*each) for each in zip(digests, bits, small[:, 0].numpy(), strict=True)]


def identical(found: Sequence[Print]) -> list[list[int]]:
    """Groups of pictures with the same pixels."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for place, each in enumerate(found):
        same[each.digest].append(place)
    return [group for group in same.values() if len(group) > 1]


def nearly(found: Sequence[Print]) -> list[list[int]]:
    """Groups of pictures that look alike but are not the same: saved again, resized, a little brighter.

    Candidates agree in one of eight bands of a difference hash; they are verified by the correlation of small grey
    pictures. A picture that was turned, mirrored or cropped by more than a few per cent is not found, and plain ones
    are not compared. In very large sets of pictures that are all much alike some pairs are missed.
    """
    first = {each.digest: place for place, each in reversed(list(enumerate(found)))}
    places = [place for place in first.values() if found[place].small.std() >= _PLAIN]
    parent = list(range(len(found)))
    for one, other in _candidates([found[place].bits for place in places]):
        a, b = _root(parent, places[one]), _root(parent, places[other])
        if a != b and _look_alike(found[places[one]], found[places[other]]):
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in sorted(places):
        groups[_root(parent, place)].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _candidates(bits: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    """Pairs that agree in a band, each once a band, in the same order every time."""
    width = 16 // _BANDS
    for start in range(0, 16, width):
        bands: dict[bytes, list[int]] = defaultdict(list)
        for place, each in enumerate(bits):
            bands[each[start : start + width].tobytes()].append(place)
        for members in bands.values():
            near = sorted(members, key=lambda place: (bits[place].tobytes(), place))
            yield from _in_order(near)


def _in_order(near: Sequence[int]) -> Iterable[tuple[int, int]]:
    for k, place in enumerate(near):
        for other in near[k + 1 : k + 1 + _NEIGHBOURS]:
            yield place, other


def _look_alike(one: Print, other: Print) -> bool:
    if int(np.bitwise_count(one.bits ^ other.bits).sum()) > _APART:
        return False
    return float((_standard(one.small) * _standard(other.small)).mean()) >= _ALIKE


def _standard(small: np.ndarray) -> Float32[np.ndarray, "h w"]:
    values = small.astype(np.float32)
    return (values - values.mean()) / values.std()


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place
