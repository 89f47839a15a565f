"""Pictures in a folder or an archive: where they are, and how they are read, together or one by one."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path, PurePath
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from cnnaudit.data.archive import SUFFIXES, members
from cnnaudit.data.finding import is_picture
from cnnaudit.data.images import check_header, read_pixels
from cnnaudit.data.layout import Layout, Parts, layout
from cnnaudit.data.splits import Drawn, Files, Request, Shape, Split
from cnnaudit.errors import DataError, ImageError
from cnnaudit.geometry import fit

From = TypeVar("From")
Read = TypeVar("Read")

_AT_ONCE = 64  # pictures handed to the threads together: what Ctrl-C has to wait for
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture becomes one of the dataset's; `Classifier.prepare` does the same to a photo.

    Attributes:
        resize_size: of the shorter side, before the centre is cropped; None: as small as covers `size`.
    """

    size: tuple[int, int]
    resize_size: int | None
    channels: int

    @property
    def shape(self) -> Shape:
        """Of a picture that was read."""
        return self.channels, *self.size

    def read(self, source: Path | bytes, name: str) -> UInt8[Tensor, "c h w"]:
        """The picture in a file or in memory.

        Raises:
            ImageError: it cannot be read.
        """
        photo = read_pixels(source, name=name, shorter=self.resize_size or max(self.size))
        pixels = fit(photo, self.size, self.resize_size, "bilinear", self.channels)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What lies in a folder: names, where each belongs, which cannot be read, and what makes splits of them."""

    names: Sequence[Parts]
    layout: Layout
    broken: frozenset[int]
    make: Callable[[Sequence[int], Tensor], Split | Files]


def is_archive(path: Path) -> bool:
    """Whether a path names a tar archive that is there.

    Raises:
        DataError: there is neither a folder nor an archive.
    """
    try:
        if path.is_dir():
            return False
        found = path.is_file()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be looked at ({error}).") from error
    if not found:
        raise DataError(f"{path}: no such folder or archive. Check the path after folder:.")
    if not path.name.lower().endswith(SUFFIXES):
        raise DataError(f"{path} is neither a folder nor a {', '.join(SUFFIXES)} file. Unpack it, and give the folder.")
    return True


def listed(path: Path) -> tuple[list[Parts], list[Parts]]:
    """The pictures and the folders in a folder, by their names inside it, sorted; what is hidden is passed over.

    Links to folders are followed, each folder being read once.

    Raises:
        DataError: a folder cannot be listed.
    """
    names: list[Parts] = []
    folders: list[Parts] = []
    seen: set[str] = set()
    for parent, inner, files in os.walk(path, followlinks=True, onerror=_cannot_list):
        real, inside = os.path.realpath(parent), Path(parent).relative_to(path).parts
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = [name for name in inner if _is_visible((name,))]
        names += [(*inside, name) for name in files if is_picture(PurePath(name))]
        folders.append(inside)
    return sorted(names), folders


def _cannot_list(error: OSError) -> None:
    raise DataError(f"the folder {error.filename!r} cannot be listed ({error.strerror}).") from error


def _is_visible(parts: Parts) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in parts)


def _chosen(found: Layout) -> list[int]:
    return sorted(index for split in found.members.values() for index, _ in split)


def in_memory(path: Path, names: Sequence[Parts], found: Layout, geometry: Geometry, drawn: Drawn | None) -> Pictures:
    """The pictures of a folder, all decoded."""
    chosen = _chosen(found)
    sources = ((path.joinpath(*names[index]), "/".join(names[index])) for index in chosen)
    read = dict(zip(chosen, _in_threads(geometry.read, sources, len(chosen), drawn), strict=True))
    return _together(names, found, read)


def _together(names: Sequence[Parts], found: Layout, read: Mapping[int, Tensor | ImageError]) -> Pictures:
    images = {index: image for index, image in read.items() if isinstance(image, Tensor)}

    def make(indices: Sequence[int], labels: Tensor) -> Split:
        return Split(torch.stack([images.pop(index) for index in indices]), labels)

    return Pictures(names, found, frozenset(read.keys() - images.keys()), make)


def on_demand(path: Path, names: Sequence[Parts], found: Layout, geometry: Geometry, drawn: Drawn | None) -> Pictures:
    """The pictures of a folder, each to be decoded when it is asked for; only the headers are read now."""
    chosen = _chosen(found)
    sources = ((path.joinpath(*names[index]), "") for index in chosen)
    headers = zip(chosen, _in_threads(_header, sources, len(chosen), drawn), strict=True)
    broken = frozenset(index for index, answer in headers if isinstance(answer, ImageError))

    def make(indices: Sequence[int], labels: Tensor) -> Files:
        paths = tuple(path.joinpath(*names[index]) for index in indices)
        return Files(labels, geometry.shape, partial(_read_again, paths, geometry), paths)

    return Pictures(names, found, broken, make)


def _header(path: Path, _name: str) -> None:
    check_header(path)


def _read_again(paths: Sequence[Path], geometry: Geometry, index: int) -> Tensor:
    try:
        return geometry.read(paths[index], str(paths[index]))
    except ImageError as error:
        raise DataError(f"{error}. Remove it, and begin again.") from error


def archived(path: Path, geometry: Geometry, request: Request) -> Pictures:
    """The pictures of an archive, decoded while it is read: only what comes out of it has to fit into memory.

    Raises:
        DataError: it is damaged, or there is no room for its pictures.
    """
    read_names: list[Parts] = []
    folders: list[Parts] = []

    def sources() -> Iterator[tuple[bytes, str]]:
        for parts, data in members(path, lambda parts: is_picture(PurePath(parts[-1])), request.drawn):
            if not _is_visible(parts):
                continue
            if data is None:
                folders.append(parts)
                continue
            if len(read_names) == room(geometry, request):
                raise DataError(
                    f"{path} holds more than {len(read_names):,} pictures, which is what {request.memory:,} bytes "
                    "have room for. Unpack it and give the folder: that is then read bit by bit."
                )
            read_names.append(parts)
            yield data, "/".join(parts)

    answers = list(_in_threads(geometry.read, sources(), 0, None))
    latest = dict(zip(read_names, answers, strict=True))  # a name that comes again replaces the file before
    names = sorted(latest)
    found = layout(names, folders, str(path))
    return _together(names, found, {index: latest[names[index]] for index in _chosen(found)})


def room(geometry: Geometry, request: Request) -> int:
    """How many pictures may be in memory together."""
    return request.memory // prod(geometry.shape)


def _in_threads(
    read: Callable[[From, str], Read], sources: Iterable[tuple[From, str]], total: int, drawn: Drawn | None
) -> Iterator[Read | ImageError]:
    """What is read from each source, in order, or why it cannot be."""

    def tried(source: tuple[From, str]) -> Read | ImageError:
        try:
            return read(*source)
        except ImageError as error:
            return error

    waiting, done = iter(sources), 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="cnnaudit-read") as pool:
        while batch := list(islice(waiting, _AT_ONCE)):
            for answer in pool.map(tried, batch):
                yield answer
                done += 1
                if drawn:
                    drawn(done, total)
