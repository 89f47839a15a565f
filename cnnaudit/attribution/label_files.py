"""The caller's own segments, read from a file."""

from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from cnnaudit.errors import OptionError

_ONE_NUMBER = ("1", "L", "P", "I;16", "I")
"""Pillow's kinds of pictures that have one whole number a pixel; of a palette it is the colour's place."""


def read_labels(path: str, size: tuple[int, int]) -> np.ndarray:
    """The label image in a .npy file, or in a .png with one channel or a palette.

    Args:
        path: the file.
        size: height and width that a .png must have; it is not decoded otherwise.

    Raises:
        OptionError: there is no such file, or it holds no label image.
    """
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in (".npy", ".png"):
        raise OptionError(f"regions takes a label image in a .npy or .png file; got {path!r}.")
    if not file.is_file():
        raise OptionError(f"{path}: no such file. regions takes a label image in a .npy or .png file; check the path.")
    try:
        return np.lib.format.open_memmap(file, mode="r") if kind == ".npy" else _from_png(file, size)
    except (OSError, ValueError, SyntaxError, PILImage.DecompressionBombError) as error:
        raise OptionError(f"{path} cannot be read as a label image ({error}). Save it again as {kind}.") from error


def _from_png(path: Path, size: tuple[int, int]) -> np.ndarray:
    with PILImage.open(path, formats=["PNG"]) as picture:
        if picture.mode not in _ONE_NUMBER:
            raise OptionError(
                f"{path} is in colour ({picture.mode}); a label image has one whole number a pixel. Save it in grey, "
                "with a palette, or as .npy."
            )
        if (picture.height, picture.width) != size:
            raise OptionError(
                f"{path} is {picture.height} x {picture.width}; regions takes one number a pixel, {size[0]} x "
                f"{size[1]} as the network sees the picture."
            )
        return np.asarray(picture)
