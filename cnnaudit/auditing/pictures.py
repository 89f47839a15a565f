"""The pictures that are audited: as the network sees them, with their classes and whatever else is known of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxtyping import Bool, Int64
from torch import Tensor

from cnnaudit.shapes import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Others:
    """Pictures of another split, which are not audited.

    Attributes:
        split: what it is called, "train" for one.
        names: of each picture.
        truth: the class of each, -1 where it is not known.
        read: one picture, `c h w`, at the network's input size; DataError or ImageError where it cannot be read.
    """

    split: str
    names: tuple[str, ...]
    truth: Int64[Tensor, " n"]
    read: Callable[[int], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Labelled pictures, read when they are asked for.

    Attributes:
        name: of the set.
        names: of each picture: its path below the set's folder, or its number.
        truth: the class of each, an index into the network's labels.
        read: the pictures at some places, `n c h w` in [0, 1], float32, on the CPU.
        paths: of the files, where each picture is one.
        columns: what is known of each picture besides, by the name of the column.
        masks: where the object is in the pictures at some places, if that is known.
        split: that they are, if that is known; a column `split` says it of each.
        others: the other splits of the same set.
    """

    name: str
    names: tuple[str, ...]
    truth: Int64[Tensor, " n"]
    read: Callable[[Sequence[int]], Pixels]
    paths: tuple[Path, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masks: Callable[[Sequence[int]], Bool[Tensor, "n h w"]] | None = None
    split: str = ""
    others: tuple[Others, ...] = ()

    def __len__(self) -> int:
        return len(self.truth)


def chosen(pictures: Pictures, places: Sequence[int]) -> Pictures:
    """Some of the pictures."""
    if len(places) == len(pictures):
        return pictures
    whole, kept = pictures, tuple(places)
    masks = whole.masks
    return replace(
        whole,
        names=tuple(whole.names[place] for place in kept),
        truth=whole.truth[list(kept)],
        read=lambda some: whole.read([kept[place] for place in some]),
        paths=tuple(whole.paths[place] for place in kept) if whole.paths else (),
        columns={name: tuple(values[place] for place in kept) for name, values in whole.columns.items()},
        masks=None if masks is None else lambda some: masks([kept[place] for place in some]),
    )
