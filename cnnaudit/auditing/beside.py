"""Pictures of the other splits, which are not audited: their prints, so that duplicates across splits are found."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnaudit.auditing.alike import Prints, prints
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.pictures import Others
from cnnaudit.data.augmentation import as_pixels
from cnnaudit.errors import DataError, ImageError
from cnnaudit.numbers import count
from cnnaudit.shapes import Pixels

MOST = 60_000
"""Pictures of a split above which it is not read: that would take longer than the audit."""
_BATCH = 64
_THREADS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Printed:
    """What is kept of another split.

    Attributes:
        places: of each print among `others`; those that cannot be read have none.
    """

    others: Others
    prints: Prints
    places: tuple[int, ...]


def printed(asked: Asked) -> tuple[Printed, ...]:
    """Each other split, read once, a few pictures at a time; those that are too large are left out."""
    return tuple(_printed(asked, others) for others in asked.pictures.others if 0 < len(others.names) <= MOST)


def remarks(others: tuple[Others, ...], found: tuple[Printed, ...]) -> tuple[str, ...]:
    """A note for each split that was not read, or not in whole."""
    large = [each for each in others if len(each.names) > MOST]
    broken = [(each.others, len(each.others.names) - len(each.places)) for each in found]
    return (
        *(
            f"{each.split} has {count(len(each.names))} pictures, more than the {count(MOST)} that are looked through: "
            "none of them was compared with the audited ones"
            for each in large
        ),
        *(
            f"{count(n)} of {count(len(each.names))} pictures of {each.split} cannot be read: they were not compared "
            "with the audited ones"
            for each, n in broken
            if n
        ),
    )


def _printed(asked: Asked, others: Others) -> Printed:
    total, broken = len(others.names), np.zeros(len(others.names), bool)
    blank = asked.pictures.read([0])[0].mul(0)

    def one(place: int) -> Tensor:
        try:
            return as_pixels(others.read(place)[None])[0].float().cpu()
        except (ImageError, DataError):
            broken[place] = True
            return blank

    def batches() -> Iterator[Pixels]:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="cnnaudit-beside") as pool:
            for start in range(0, total, _BATCH):
                yield torch.stack(list(pool.map(one, range(start, min(start + _BATCH, total)))))
                asked.told(min(start + _BATCH, total), total)

    found, kept = prints(batches(), total), ~broken
    return Printed(
        others,
        Prints(found.digests[kept], found.bits[kept], found.small[kept]),
        tuple(np.flatnonzero(kept).tolist()),
    )
