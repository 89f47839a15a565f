"""A folder of pictures as a dataset, or a tar archive of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import torch

from cnnaudit.data.layout import layout, left_out
from cnnaudit.data.reading import Geometry, Pictures, archived, in_memory, is_archive, listed, on_demand, room
from cnnaudit.data.resizing import for_channels
from cnnaudit.data.splits import Dataset, Request, held_out
from cnnaudit.errors import DataError

SIDE = 224

Member: TypeAlias = tuple[int, int]
"""The index of a picture, and of its class."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which most photos are like
_SHARE = 10  # one in so many is held out


def folder(path: Path, request: Request) -> Dataset:
    """The pictures in a folder or in a tar archive, resized and cropped as `geometry_of` says.

    One folder a class, or `train/`, `val/` (`valid/`, `validation/`) and perhaps `test/` with one folder
    a class each. Without a validation a tenth of each class is held out, always the same pictures;
    without a test the validation serves as one. Pictures that cannot be read are left out, and the notes
    say so. More of them than `request.memory` holds are read when asked for, and then only their
    headers are checked beforehand.

    Raises:
        DataError: there is no such folder, its layout is another, a class has too few pictures, or an
            archive is damaged or too large for memory.
    """
    geometry = geometry_of(request)
    if is_archive(path):
        pictures = archived(path, geometry, request)
    else:
        names, folders = listed(path)
        found = layout(names, folders, str(path))
        fits = sum(map(len, found.members.values())) <= room(geometry, request)
        pictures = (in_memory if fits else on_demand)(path, names, found, geometry, request.drawn)
    return _dataset(path, pictures, geometry)


def geometry_of(request: Request) -> Geometry:
    """224 x 224 from a shorter side of 256, as ImageNet's networks have it, or another square in proportion.

    An oblong size is cropped from the smallest picture that covers it.
    """
    height, width = request.size or (SIDE, SIDE)
    resize_size = round(height * 256 / 224) if height == width else None
    return Geometry((height, width), resize_size, request.channels or 3)


def _dataset(path: Path, pictures: Pictures, geometry: Geometry) -> Dataset:
    broken = ["/".join(pictures.names[index]) for index in sorted(pictures.broken)]
    notes = (*pictures.layout.notes, *left_out(broken, "unreadable"))
    parts = _readable(path, pictures)
    if "validation" not in parts:
        parts["train"], parts["validation"] = _parted(path, parts["train"], pictures.layout.labels)
    if "test" not in parts:
        notes = (*notes, "there is no test/: the validation serves as the test, so that its accuracy flatters")
    splits = {
        part: pictures.make([index for index, _ in chosen], torch.tensor([label for _, label in chosen]))
        for part, chosen in parts.items()
    }
    return Dataset(
        name=f"folder:{path}",
        labels=pictures.layout.labels,
        train=splits["train"],
        validation=splits["validation"],
        tests={"test": splits.get("test", splits["validation"])},
        mean=for_channels(_MEAN, geometry.channels),
        std=for_channels(_STD, geometry.channels),
        augmentation=("crop", "flip", "colour"),
        resize_size=geometry.resize_size,
        notes=notes,
    )


def _readable(path: Path, pictures: Pictures) -> dict[str, list[Member]]:
    """Each split without what cannot be read, once every class still has a picture."""
    parts: dict[str, list[Member]] = {}
    for part, chosen in pictures.layout.members.items():
        parts[part] = [member for member in chosen if member[0] not in pictures.broken]
        left = {label for _, label in parts[part]}
        for index, label in enumerate(pictures.layout.labels):
            if index not in left:
                raise DataError(f"{path}: no {part} picture of the class {label!r} can be read. Export them again.")
    return parts


def _parted(path: Path, chosen: list[Member], labels: Sequence[str]) -> tuple[list[Member], list[Member]]:
    """What stays for training and what is held out."""
    of = torch.tensor([label for _, label in chosen])
    single = [label for label, count in zip(labels, of.bincount().tolist(), strict=True) if count < 2]
    if single:
        raise DataError(
            f"{path} has a single picture of the class {single[0]!r}; two or more are needed, one of them for the "
            "validation. Add pictures, or make a val/ folder."
        )
    kept, held = held_out(of, max(1, round(len(chosen) / _SHARE)))
    return [chosen[index] for index in kept.tolist()], [chosen[index] for index in held.tolist()]
