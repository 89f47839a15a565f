"""From what Pillow decoded to upright 8-bit pixels: depth, colour, transparency, orientation."""

from collections.abc import Callable
from struct import error as StructError
from typing import Any, TypeAlias
from zlib import error as ZlibError

import numpy as np
from PIL import Image as Pillow

from cnnaudit.shapes import Photo

RGB: TypeAlias = tuple[int, int, int]

_ORIENTATION_TAG = 0x0112
_UPRIGHT: dict[int, Callable[[Photo], Photo]] = {  # EXIF 2.32, section 4.6.4
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}

DAMAGE = (  # what Pillow's readers let through when the bytes are damaged
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    RuntimeError,
    StructError,
    ZlibError,
)


def decode(image: Pillow.Image, fill: RGB) -> tuple[Photo, tuple[str, ...]]:
    """Upright pixels of the current frame, and the notes on how they came about."""
    rawmode = _rawmode(image)
    image.load()
    colour, opacity, notes = _split(image, rawmode)
    if opacity is not None and not (opacity == 255).all():
        colour, notes = _composite(colour, opacity, fill), (*notes, f"transparent areas laid on rgb{fill}")
    orientation, doubts = _orientation(image)
    upright = _UPRIGHT.get(orientation, np.asarray)(colour)
    return channels_last(upright), (*notes, *doubts)


def _rawmode(image: Pillow.Image) -> str:
    """How the samples lie in the file (`"RGB;16B"`); Pillow forgets it on loading."""
    tiles: list[Any] = getattr(image, "tile", [])
    arguments = tiles[0].args if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _split(image: Pillow.Image, rawmode: str) -> tuple[Photo, Photo | None, tuple[str, ...]]:
    """Colour `h w` or `h w 3`, opacity `h w` or None where there is no transparency, and notes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        samples = np.asarray(image)
        colour, notes = eight_bits(*_tiff_scale(image, samples))
        return colour, _keyed_opacity(image, samples, rawmode), notes
    notes = ("16-bit colour reduced to 8 bits",) if ";16" in rawmode else ()
    if image.mode in ("1", "L", "RGB"):
        samples = np.asarray(image.convert("L") if image.mode == "1" else image)
        return samples, _keyed_opacity(image, samples, rawmode), notes
    if image.has_transparency_data:
        grey = image.mode in ("LA", "La") or rawmode.startswith("LA;16")
        samples = np.asarray(image.convert("LA" if image.mode == "La" else "RGBA"))
        return samples[..., 0] if grey else samples[..., :3], samples[..., -1], notes
    if image.mode in ("CMYK", "LAB"):
        notes = (*notes, f"{image.mode} converted to RGB without the file's colour profile")
    return np.asarray(image.convert("RGB")), None, notes


def _tiff_scale(image: Pillow.Image, samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Samples with black at 0, and the value of white: Pillow leaves 12 bits and WhiteIsZero as stored."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    white = 4095 if tags.get(258) == (12,) else 65535
    if tags.get(262) == 0:
        samples = (1 if image.mode == "F" else white) - samples
    return samples, white


def eight_bits(samples: np.ndarray, white: int = 65535) -> tuple[Photo, tuple[str, ...]]:
    """Integers in [0, `white`] or floats in [0, 1], scaled to uint8 and rounded to nearest; a fresh array.

    Raises:
        ValueError: values outside that range, for which no scale is known.
    """
    if samples.dtype == np.uint8:
        return samples.copy(), ()
    low, high = samples.min(), samples.max()
    real = np.issubdtype(samples.dtype, np.floating)
    limit = 1 if real else white
    if not (low >= 0 and high <= limit):
        raise ValueError(f"values from {low} to {high}, expected 0 to {limit}; rescale them first")
    if real:
        return np.rint(samples * np.float32(255)).astype(np.uint8), ("float values multiplied by 255",)
    scaled = samples.astype(np.uint32)
    scaled *= 255  # in place: large pictures
    scaled += white // 2
    scaled //= white
    return scaled.astype(np.uint8), (f"values from 0 to {white} scaled to 8 bits",)


def _keyed_opacity(image: Pillow.Image, samples: np.ndarray, rawmode: str) -> Photo | None:
    """Opacity `h w` where one value or colour stands for "transparent" (PNG's tRNS), else None.

    Pillow keeps the key at the file's depth but not always the samples: 2 and 4 bits are stretched
    to 8, and 16-bit colour loses its low byte (so colours that differ in it alone match as well).
    """
    key = image.info.get("transparency")
    if not isinstance(key, int | tuple):
        return None
    if rawmode == "RGB;16B":
        key = tuple(value >> 8 for value in np.atleast_1d(key).tolist())
    matches = samples == np.array(key) * {"L;2": 85, "L;4": 17}.get(rawmode, 1)
    return np.where(matches.all(axis=2) if matches.ndim == 3 else matches, 0, 255).astype(np.uint8)


def _composite(colour: Photo, opacity: Photo, fill: RGB) -> Photo:
    """`colour` over `fill`; grey stays grey on a grey one."""
    grey = colour.ndim == 2 and len(set(fill)) == 1
    over = Pillow.fromarray(colour).convert("L" if grey else "RGB")
    canvas = Pillow.new(over.mode, over.size, fill[0] if grey else fill)
    canvas.paste(over, mask=Pillow.fromarray(np.ascontiguousarray(opacity)))
    return np.asarray(canvas)


def _orientation(image: Pillow.Image) -> tuple[int, tuple[str, ...]]:
    """EXIF orientation (1 is upright). Damaged EXIF costs a note and not the picture."""
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1), ()
    except DAMAGE:
        return 1, ("EXIF data is damaged; the picture may not be upright",)


def frame_notes(image: Pillow.Image) -> tuple[str, ...]:
    """Says that there were more frames. Call it last: counting moves the reader on."""
    try:
        frames = getattr(image, "n_frames", 1)
    except DAMAGE:
        return ("first frame; the others are damaged",)
    return (f"first of {frames} frames",) if frames > 1 else ()


def channels_last(pixels: np.ndarray) -> Photo:
    """`h w` or `h w c` as a contiguous `h w c` of its own."""
    return np.array(pixels if pixels.ndim == 3 else pixels[..., None], dtype=np.uint8, order="C")
