"""Pictures in files whose classes, if any, are told by their names: what a network is looked into with."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from cnnaudit.data.finding import find_images
from cnnaudit.data.images import check_header, read_pixels
from cnnaudit.data.layout import left_out
from cnnaudit.data.splits import Drawn, Files, Shape, Split
from cnnaudit.errors import DataError, ImageError
from cnnaudit.geometry import Interpolation, fit

UNKNOWN = -1
"""The class of a picture whose name says nothing."""

Read = TypeVar("Read")

_ENOUGH = 0.9
_THREADS = 4


@dataclass(frozen=True, slots=True)
class View:
    """How a picture becomes what a network is given, as `Classifier.prepare` does it."""

    size: tuple[int, int]
    resize_size: int | None
    interpolation: Interpolation
    channels: int

    @property
    def shape(self) -> Shape:
        """Of a picture that was read."""
        return self.channels, *self.size

    def read(self, path: Path) -> UInt8[Tensor, "c h w"]:
        """The picture in a file.

        Raises:
            ImageError: it cannot be read.
        """
        photo = read_pixels(path, name=str(path), shorter=self.resize_size or max(self.size))
        pixels = fit(photo, self.size, self.resize_size, self.interpolation, self.channels)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """Pictures from files.

    Attributes:
        part: their pixels and classes; all classes are `UNKNOWN` where names do not tell them.
        notes: what was left out for its name.
        unread: files that cannot be read, and why; not among `paths`.
        places: of each path, among those that `gathered` was given.
    """

    paths: tuple[Path, ...]
    part: Split | Files
    notes: tuple[str, ...] = ()
    unread: tuple[tuple[Path, str], ...] = ()
    places: tuple[int, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether every picture's class is known."""
        return bool((self.part.labels != UNKNOWN).all())


def photos(
    where: Path, view: View, labels: Sequence[str], *, memory: int = 2 << 30, drawn: Drawn | None = None
) -> Photos:
    """The pictures in a folder and its subfolders, those of `test/` or else `val/` alone where there is one.

    A picture's class is the one of `labels` that its folder or its own name says: `wolf/17.jpg`,
    `grey_wolf-17.jpg` and `n02114367_timber_wolf.JPEG` do. Where nine in ten are known, the rest is left out; where
    fewer are, but there are as many folders as labels, the folders in sorted order are the classes; else none is known.

    Raises:
        OptionError: there is no picture.
        DataError: none of them can be read.
    """
    paths = find_images([held_out_folder(where)])
    classes = _classes(paths, labels)
    notes: tuple[str, ...] = ()
    if UNKNOWN in classes and any(known != UNKNOWN for known in classes):
        nameless = [path.name for path, known in zip(paths, classes, strict=True) if known == UNKNOWN]
        notes = left_out(nameless, "no class in the name")
        paths, classes = _kept(paths, classes, [known != UNKNOWN for known in classes])
    return replace(gathered(paths, classes, view, where=str(where), memory=memory, drawn=drawn), notes=notes)


def gathered(
    paths: Sequence[Path],
    classes: Sequence[int],
    view: View,
    *,
    where: str,
    memory: int = 2 << 30,
    drawn: Drawn | None = None,
) -> Photos:
    """The pictures in these files, in memory where they fit into so many bytes, else read when they are asked for.

    Args:
        where: they come from, for the error.

    Raises:
        DataError: none of them can be read.
    """
    whole = len(paths) * prod(view.shape) <= memory
    read = _each(view.read if whole else check_header, paths, drawn)
    unread = tuple((path, str(each)) for path, each in zip(paths, read, strict=True) if isinstance(each, ImageError))
    if len(unread) == len(paths):
        raise DataError(f"{where}: none of its {len(paths):,} pictures can be read. The first: {unread[0][1]}.")
    readable = [not isinstance(each, ImageError) for each in read]
    kept, known = _kept(paths, classes, readable)
    truth = torch.tensor(known)
    pixels = [each for each in read if isinstance(each, Tensor)]
    part = Split(torch.stack(pixels), truth) if pixels else Files(truth, view.shape, partial(_again, view, kept))
    return Photos(tuple(kept), part, (), unread, tuple(place for place, good in enumerate(readable) if good))


def held_out_folder(where: Path) -> Path:
    """The folder with the pictures that no training saw, if there is one."""
    names = ("test", "val", "valid", "validation")
    return next((where / name for name in names if (where / name).is_dir()), where)


def told(paths: Sequence[Path], labels: Sequence[str]) -> list[int]:
    """The class of each picture as its folder's name or its own says it; `UNKNOWN` where neither does."""
    known = by_name(labels)
    return [_told(path, known) for path in paths]


def by_name(labels: Sequence[str]) -> dict[str, int]:
    """Each class by its name as `folded` has it, without those whose names are the same."""
    counts = Counter(map(folded, labels))
    return {folded(label): k for k, label in enumerate(labels) if counts[folded(label)] == 1}


def _classes(paths: Sequence[Path], labels: Sequence[str]) -> list[int]:
    found = told(paths, labels)
    if sum(k != UNKNOWN for k in found) >= _ENOUGH * len(found):
        return found
    folders = sorted({path.parent for path in paths})
    if len(folders) == len(labels):
        return [folders.index(path.parent) for path in paths]
    return [UNKNOWN] * len(paths)


def _told(path: Path, known: dict[str, int]) -> int:
    """By the folder's name, else by the file's without a WordNet number before it and a number after it."""
    stem = re.sub(r"^n\d{8}_", "", path.stem)
    names = (path.parent.name, stem, re.sub(r"[-_ (]*\d+\)?$", "", stem))
    return next((known[folded(name)] for name in names if folded(name) in known), UNKNOWN)


def folded(name: str) -> str:
    """A name without what people write differently: case, spaces, dashes and underscores."""
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _kept(paths: Sequence[Path], classes: Sequence[int], keep: Sequence[bool]) -> tuple[list[Path], list[int]]:
    chosen = [(path, k) for path, k, kept in zip(paths, classes, keep, strict=True) if kept]
    return [path for path, _ in chosen], [k for _, k in chosen]


def _each(read: Callable[[Path], Read], paths: Sequence[Path], drawn: Drawn | None) -> list[Read | ImageError]:
    def tried(path: Path) -> Read | ImageError:
        try:
            return read(path)
        except ImageError as error:
            return error

    found: list[Read | ImageError] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="cnnaudit-photos") as pool:
        for each in pool.map(tried, paths):
            found.append(each)
            if drawn:
                drawn(len(found), len(paths))
    return found


def _again(view: View, paths: Sequence[Path], index: int) -> Tensor:
    try:
        return view.read(paths[index])
    except ImageError as error:
        raise DataError(f"{error}. Remove it, and begin again.") from error
