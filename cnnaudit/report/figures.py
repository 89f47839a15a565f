"""Pictures: palettes, overlays of a heatmap on a photo, and files of both."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from cnnaudit.report.encoding import STEPS
from cnnaudit.shapes import Photo, Pixels

OPACITY = 0.8
"""How much of the map covers the photo before the reader moves the slider."""

_PIXELATED_BELOW = 100
_LUMA = (0.299, 0.587, 0.114)
_PERIOD = 8  # pixels from one line of a hatching to the next, half of that in small pictures
_DARK, _LIGHT = 29, 255


@dataclass(frozen=True, slots=True)
class Palette:
    """A colour scale as a short table; between its entries colours are interpolated linearly.

    Attributes:
        name: its key in assets/palettes.json.
        title: what the reader chooses it by.
        signed: True for a diverging scale, whose middle is 0.
        colours: "#rrggbb", equally spaced from the lowest value to the highest.
    """

    name: str
    title: str
    signed: bool
    colours: tuple[str, ...]

    def table(self, size: int) -> np.ndarray:
        """float64, `size 3`, 0 to 255: the scale sampled at `size` equally spaced values."""
        anchors = np.array([list(bytes.fromhex(colour[1:])) for colour in self.colours], float)
        places = np.linspace(0, len(anchors) - 1, size)
        return np.stack([np.interp(places, range(len(anchors)), channel) for channel in anchors.T], axis=1)


@cache
def palettes() -> Mapping[str, Palette]:
    """All palettes by name; the first signed and the first unsigned one are the defaults."""
    text = files("cnnaudit.report").joinpath("assets/palettes.json").read_text(encoding="utf-8")
    records: dict[str, Any] = json.loads(text)
    return {
        name: Palette(name, record["title"], record["signed"], tuple(record["colours"]))
        for name, record in records.items()
    }


def default_palette(signed: bool) -> Palette:
    """The palette that maps are drawn with unless the reader chooses another."""
    return next(palette for palette in palettes().values() if palette.signed == signed)


def photo(pixels: Pixels) -> np.ndarray:
    """uint8, `h w 3`: the picture as the network saw it."""
    values = pixels.detach().cpu().numpy()[0]
    rgb = np.broadcast_to(values, (3, *values.shape[1:])) if len(values) == 1 else values[:3]
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def grey(picture: np.ndarray) -> np.ndarray:
    """float64, `h w 1`: the photo without its colours, which would mix with the map's."""
    return (picture @ np.array(_LUMA))[..., None]


def overlay(picture: np.ndarray, codes: np.ndarray, palette: Palette, opacity: float = OPACITY) -> np.ndarray:
    """The map over the grey photo, uint8, `h w 3`; page.js draws by the same rule.

    With strength s = |code| / 126 (at most 1), the map covers the photo by opacity^(4 − 3 s): by
    the opacity where the colour saturates, hardly where there is no evidence; at 1 the map stands alone.
    """
    strength = np.minimum(np.abs(codes.astype(int)), STEPS) / STEPS
    cover = opacity ** (4 - 3 * strength)[..., None]
    return np.rint(grey(picture) * (1 - cover) + _colours(codes, palette) * cover).astype(np.uint8)


def coloured(codes: np.ndarray, palette: Palette) -> np.ndarray:
    """The map alone, uint8, `h w 3`."""
    return np.rint(_colours(codes, palette)).astype(np.uint8)


def _colours(codes: np.ndarray, palette: Palette) -> np.ndarray:
    """float64, `h w 3`, 0 to 255."""
    steps = np.clip(codes.astype(int), -STEPS, STEPS)
    table = palette.table(2 * STEPS + 1 if palette.signed else STEPS + 1)
    return table[steps + STEPS if palette.signed else steps]


def is_small(shape: Sequence[int]) -> bool:
    """True for a picture (height, width) that is shown as squares and kept without loss, not smeared."""
    return max(shape[:2]) < _PIXELATED_BELOW


def flat(picture: Photo) -> np.ndarray:
    """The picture as Pillow takes it: without the channel of a grey one."""
    return picture[..., 0] if picture.shape[2] == 1 else picture


def encoded(picture: np.ndarray, kind: str, **settings: Any) -> bytes:
    """The picture as a file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, kind, **settings)
    return buffer.getvalue()


def shrunk(picture: np.ndarray, longest: int) -> np.ndarray:
    """The picture reduced so that no side is longer than `longest`; smaller ones are left alone."""
    small = PillowImage.fromarray(picture)
    small.thumbnail((longest, longest), PillowImage.Resampling.LANCZOS)
    return np.asarray(small)


def jpeg_uri(picture: np.ndarray, quality: int, *, subsampling: int = 2) -> str:
    """The picture as a JPEG inside a `data:` address."""
    return _uri("jpeg", encoded(picture, "JPEG", quality=quality, subsampling=subsampling, optimize=True))


def mask_uri(marked: np.ndarray) -> str:
    """Marked pixels, bool `h w`, as a PNG of one bit a pixel inside a `data:` address: white where marked."""
    return _uri("png", encoded(marked, "PNG", optimize=True))


def hatched(picture: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The picture, uint8 `h w 3`, with dark and light diagonal lines over the marked pixels, bool `h w`."""
    period = _PERIOD // 2 if is_small(picture.shape) else _PERIOD
    place = np.add.outer(*map(np.arange, marked.shape)) % period
    toned = picture.copy()
    for line, tone in enumerate((_DARK, _LIGHT)):
        toned[marked & (place == line)] = tone
    return toned


def png_uri(picture: np.ndarray) -> str:
    """The picture as a PNG inside a `data:` address."""
    return _uri("png", encoded(picture, "PNG", optimize=True))


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
