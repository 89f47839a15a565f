"""Where the object is: a mask a picture, found by its name."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Bool
from torch import Tensor

from cnnaudit.auditing.pictures import Pictures, chosen
from cnnaudit.data.finding import find_images
from cnnaudit.data.images import read_image
from cnnaudit.data.photos import View
from cnnaudit.errors import ImageError, OptionError
from cnnaudit.geometry import fit
from cnnaudit.results import ImageFailure

_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
_HALF = 127  # what is darker in a lossy file may have been black
_THREADS = 4


def with_masks(pictures: Pictures, where: Path, view: View) -> tuple[Pictures, tuple[ImageFailure, ...]]:
    """The pictures that have a mask, and what is wrong with the others.

    A mask is a picture of any format: the object is what is not black (in a JPEG or WebP: what is brighter than
    half). It has the picture's name, whatever its suffix, in the same folders below `where` or in fewer of them, and
    the picture's proportions: it is resized and cropped as the picture is, to the nearest pixel.

    Raises:
        OptionError: there is no such folder, or no picture has a mask in it.
    """
    if not where.is_dir():
        raise OptionError(f"{where} is no folder. Give the folder that holds a mask a picture.")
    found = _Found(where)
    paths = [found.of(name) for name in pictures.names]
    if not any(paths):
        raise OptionError(
            f"No picture of {pictures.name} has a mask in {where}. A mask has the picture's name: "
            f"{PurePosixPath(pictures.names[0]).with_suffix('.png')}, say."
        )
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="cnnaudit-masks") as pool:
        wrong = list(pool.map(lambda path: _wrong(path, where), paths))
    kept = [place for place, why in enumerate(wrong) if why is None]
    failures = tuple(
        ImageFailure(name, why) for name, why in zip(pictures.names, wrong, strict=True) if why is not None
    )
    if not kept:
        raise OptionError(f"No mask in {where} can be read. The first: {failures[0].reason}")
    of = [path for path, why in zip(paths, wrong, strict=True) if path is not None and why is None]

    def masks(places: Sequence[int]) -> Bool[Tensor, "n h w"]:
        return torch.stack([_mask(of[place], view) for place in places])

    return replace(chosen(pictures, kept), masks=masks), failures


class _Found:
    """The masks of a folder, by their names without suffix: with all their folders, and alone."""

    def __init__(self, where: Path) -> None:
        self._whole: dict[str, Path] = {}
        self._alone: dict[str, list[Path]] = {}
        with suppress(OptionError):  # a folder without pictures has no mask
            for path in find_images([where]):
                self._whole.setdefault(path.relative_to(where).with_suffix("").as_posix(), path)
                self._alone.setdefault(path.stem, []).append(path)

    def of(self, name: str) -> Path | None:
        """By as many of the picture's folders as the masks have, else by a name that only one mask has."""
        parts = PurePosixPath(name).with_suffix("").parts
        for start in range(len(parts)):
            found = self._whole.get("/".join(parts[start:]))
            if found is not None:
                return found
        alone = self._alone.get(parts[-1], []) if parts else []
        return alone[0] if len(alone) == 1 else None


def _wrong(path: Path | None, where: Path) -> str | None:
    """Why there is no mask, if there is none."""
    if path is None:
        return f"it has no mask in {where}"
    try:
        read_image(path)
    except ImageError as error:
        return f"its mask cannot be read: {error}"
    return None


def _mask(path: Path, view: View) -> Bool[Tensor, "h w"]:
    photo = read_image(path, background="black").pixels
    grey = fit(photo, view.size, view.resize_size, "nearest", 1)[..., 0]
    return torch.from_numpy(grey > (_HALF if path.suffix.lower() in _LOSSY else 0))
