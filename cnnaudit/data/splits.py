"""What a dataset is: labelled pictures, in memory or read when asked for, and how a network is to see them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.utils.data
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from cnnaudit.data.regions import Regions

Drawn: TypeAlias = Callable[[int, int], None]
"""Called with how much is ready, and of how much: pictures, or bytes of an archive or a download."""

Shape: TypeAlias = tuple[int, int, int]
"""Channels, rows and columns of one picture."""

_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Pictures in memory (`n c h w`, uint8; signals: float32 in [0, 1]) and the index of each one's class.

    `regions` says which of their pixels show what, where that is known.
    """

    images: UInt8[Tensor, "n c h w"] | Float32[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    regions: Regions | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """Of one picture."""
        _, c, h, w = self.images.shape
        return c, h, w


class Files(torch.utils.data.Dataset[Tensor]):
    """Pictures too large for memory together: item `i` is made when it is asked for.

    Args:
        labels: the index of each picture's class, `n`.
        shape: of every picture.
        read: picture `i`, uint8 `c h w` (signals: float32 in [0, 1]). Worker processes get a copy of it,
            so that it must be possible to pickle.
        paths: where each comes from, if from a file of its own.
    """

    def __init__(
        self,
        labels: Int64[Tensor, " n"],
        shape: Shape,
        read: Callable[[int], Tensor],
        paths: Sequence[Path] = (),
    ) -> None:
        self.labels, self.shape, self._read, self.paths = labels, shape, read, paths

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Tensor:
        """Picture `index`.

        Raises:
            DataError: its file can no longer be read.
        """
        return self._read(range(len(self))[index])


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a network learns from, and what it is measured on.

    Attributes:
        tests: each question that the trained network is asked, and fresh pictures to ask it with.
        mean, std: of the normalisation, a value a channel, of pixels in [0, 1]; fixed by the dataset.
        augmentation: the changes to training pictures that leave these classes as they are.
        resize_size: the shorter side was resized to this before the centre was cropped; None: there was
            no crop.
        notes: what the reader must know, such as files that could not be read.
    """

    name: str
    labels: tuple[str, ...]
    train: Split | Files
    validation: Split | Files
    tests: Mapping[str, Split | Files]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: tuple[str, ...]
    resize_size: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a dataset.

    Attributes:
        root: the folder that holds datasets; None is `places.default_root()`.
        seed: of drawn pictures. How files are split never depends on it, so that trainings with
            different seeds are measured on the same pictures.
        size: height and width that pictures are resized to; None is the dataset's own.
        channels: 1 or 3; None is the dataset's own.
        download: fetch what is missing, where there is something to fetch.
        memory: bytes of pictures up to which all are held in memory.
        correlation, samples, test_samples, one_test: as in `husky_wolf`, the only one that has them.
        drawn: told of the progress.
    """

    root: Path | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    channels: int | None = None
    download: bool = True
    memory: int = 2 << 30
    correlation: float = 0.95
    samples: int = 2000
    test_samples: int = 2000
    one_test: bool = False
    drawn: Drawn | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset that is known by name.

    Attributes:
        load: makes it, at its own size and with its own channels.
        here: whether it can be had without the network, given the folder that holds datasets.
        size: height and width.
        train, validation, test: pictures in each.
        download_bytes: what has to be fetched; None for what is drawn, comes with a package or must be given.
    """

    load: Callable[[Request], Dataset]
    here: Callable[[Path], bool]
    summary: str
    classes: int
    size: tuple[int, int]
    channels: int
    train: int
    validation: int
    test: int
    download_bytes: int | None


def held_out(labels: Int64[Tensor, " n"], count: int) -> tuple[Int64[Tensor, " a"], Int64[Tensor, " b"]]:
    """Indices of those that stay and of `count` that are held out, each in rising order; the same each time.

    Stratified: every class gives its share, the remainders going to the largest fractions, and at least
    one, which can make them more than `count`.
    """
    rng = torch.Generator().manual_seed(_SPLIT_SEED)
    classes, sizes = labels.unique(return_counts=True)
    quotas = sizes * count / len(labels)
    shares = quotas.floor().long()
    largest = (quotas - shares).argsort(descending=True, stable=True)
    shares[largest[: count - int(shares.sum())]] += 1
    held = torch.zeros(len(labels), dtype=torch.bool)
    for index, share in zip(classes.tolist(), shares.clamp(min=1).tolist(), strict=True):
        members = (labels == index).nonzero().squeeze(1)
        held[members[torch.randperm(len(members), generator=rng)[:share]]] = True
    return (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)


def parted(split: Split, count: int) -> tuple[Split, Split]:
    """What stays of a split, and the `count` that `held_out` takes from it."""
    kept, held = held_out(split.labels, count)
    return Split(split.images[kept], split.labels[kept]), Split(split.images[held], split.labels[held])
