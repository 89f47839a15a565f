"""Pictures that are the same or nearly so, found without comparing each with each."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from cnnaudit import memory
from cnnaudit.auditing.measures import luma
from cnnaudit.shapes import Pixels

_SMALL = 24  # a side of the grey pictures that are compared
_GRID = 8
_DIGEST, _BITS = 16, 2 * _GRID**2 // 8  # bytes
_KEPT = _DIGEST + _BITS + _SMALL**2
_BANDS = 8  # of 16 bits: one is the same in nearly all pairs in which one bit of twenty differs
_NEIGHBOURS = 16  # compared in one band; where many pictures share it, those with the nearest other bits
_APART = 24  # bits of 128 in which near duplicates may differ
_ALIKE = 0.99  # correlation of the small pictures
_AT_ONCE = 4096  # pairs
_PLAIN = 8.0  # standard deviation, of 255, below which a picture shows too little to be compared


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """What is kept of pictures: 608 bytes each.

    Attributes:
        digests: of the pixels; two files of the same bytes have the same, too.
        bits: whether grey rises to the right and downwards, on a coarse grid.
        small: the picture in grey and small.
    """

    digests: UInt8[np.ndarray, "n 16"]
    bits: UInt8[np.ndarray, "n 16"]
    small: UInt8[np.ndarray, "n h w"]


def prints(batches: Iterable[Pixels], count: int) -> Prints:
    """What is kept of these pictures, `count` in all."""
    rows = memory.rows_of(map(_rows, batches), count).numpy() if count else np.empty((0, _KEPT), np.uint8)
    digests, bits, small = np.split(rows, (_DIGEST, _DIGEST + _BITS), axis=1)
    return Prints(digests, bits, small.reshape(count, _SMALL, _SMALL))


def joined(found: Sequence[Prints]) -> Prints:
    """Those of several sets, one after the other."""
    return Prints(*(np.concatenate([getattr(each, name) for each in found]) for name in ("digests", "bits", "small")))


def _rows(pixels: Pixels) -> UInt8[Tensor, "n k"]:
    eight = pixels.mul(255).round().clamp(0, 255).byte()
    small = F.interpolate(luma(pixels), (_SMALL, _SMALL), mode="area").mul(255).round().clamp(0, 255).byte()
    grid = F.interpolate(luma(pixels), (_GRID + 1, _GRID + 1), mode="area")[:, 0]
    right, down = grid[:, :-1, 1:] > grid[:, :-1, :-1], grid[:, 1:, :-1] > grid[:, :-1, :-1]
    bits = np.packbits(np.concatenate([right.flatten(1).numpy(), down.flatten(1).numpy()], 1), axis=1)
    digests = b"".join(hashlib.blake2b(each.numpy().tobytes(), digest_size=_DIGEST).digest() for each in eight)
    read = np.frombuffer(digests, np.uint8).reshape(len(pixels), _DIGEST)
    return torch.from_numpy(np.concatenate([read, bits, small.flatten(1).numpy()], 1))


def identical(found: Prints) -> list[list[int]]:
    """Groups of pictures with the same pixels."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(found.digests):
        same[digest.tobytes()].append(place)
    return [group for group in same.values() if len(group) > 1]


def nearly(found: Prints) -> list[list[int]]:
    """Groups of pictures that look alike but are not the same: saved again, resized, a little brighter.

    Candidates agree in one of eight bands of a difference hash; they are verified by the correlation of small grey
    pictures. A picture that was turned, mirrored or cropped by more than a few per cent is not found, and plain ones
    are not compared. In very large sets of pictures that are all much alike some pairs are missed.
    """
    first = np.unique(found.digests, axis=0, return_index=True)[1]
    places = [place for place in sorted(first.tolist()) if found.small[place].std() >= _PLAIN]
    if len(places) < 2:
        return []
    pairs = candidates(found.bits[places])
    alike = pairs[_look_alike(found.small[places], pairs)]
    links = coo_array((np.ones(len(alike)), (alike[:, 0], alike[:, 1])), shape=(len(places), len(places)))
    groups: dict[int, list[int]] = defaultdict(list)
    for place, group in zip(places, connected_components(links, directed=False)[1], strict=True):
        groups[int(group)].append(place)
    return [group for group in groups.values() if len(group) > 1]


def candidates(bits: UInt8[np.ndarray, "n 16"]) -> Int64[np.ndarray, "p 2"]:
    """Pairs that agree in a band and differ in few bits, in rising order: at most 128 a picture are looked at."""
    _, rank = np.unique(bits, axis=0, return_inverse=True)
    found = [np.empty((0, 2), np.int64)]
    for band in np.split(bits, _BANDS, axis=1):
        _, bucket = np.unique(band, axis=0, return_inverse=True)
        order = np.lexsort((rank.ravel(), bucket.ravel()))
        for step in range(1, min(_NEIGHBOURS + 1, len(order))):
            pairs = np.stack([order[:-step], order[step:]], 1)
            pairs = pairs[bucket.ravel()[pairs[:, 0]] == bucket.ravel()[pairs[:, 1]]]
            apart = np.bitwise_count(bits[pairs[:, 0]] ^ bits[pairs[:, 1]]).sum(1)
            found.append(np.sort(pairs[apart <= _APART], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _look_alike(small: UInt8[np.ndarray, "n h w"], pairs: Int64[np.ndarray, "p 2"]) -> Bool[np.ndarray, " p"]:
    """Whether the small pictures of each pair correlate."""
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    parts = np.array_split(pairs, len(pairs) // _AT_ONCE + 1)
    return np.concatenate([np.einsum("pd,pd->p", flat[part[:, 0]], flat[part[:, 1]]) >= _ALIKE for part in parts])
