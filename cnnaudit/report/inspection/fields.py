"""Where layers look: the exact receptive field and the effective one, over a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit import numbers
from cnnaudit.report import encoding, figures
from cnnaudit.results import EffectiveField, EffectiveFields

_QUALITY = 72
_LONGEST = 320

Frame = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Field:
    """One layer's drawing; `inner` is None for a position that changes with nothing.

    Attributes:
        layer: its name.
        sees: the extent of the exact field, in words.
        cut: whether the picture's edges cut it off.
        inside: the extent of the dashed frame, in words.
        share: of the exact field's pixels, those that hold most of the mass.
        limit: where the colour saturates.
    """

    layer: str
    picture: str
    shape: tuple[int, int]
    outer: Frame
    inner: Frame | None
    sees: str
    cut: bool
    inside: str
    share: str
    limit: str

    @property
    def pixelated(self) -> bool:
        """True for a picture so small that its pixels should stay visible."""
        return figures.is_small(self.shape)


@dataclass(frozen=True, slots=True)
class Fields:
    """All drawings, and the colours' scale from 0 up; `signals` where the network is given no pictures."""

    fields: tuple[Field, ...]
    mass: str
    outside: str
    source: str
    over_photo: bool
    colours: tuple[str, ...]
    signals: bool


def view(found: EffectiveFields) -> Fields:
    """The section of the page."""
    photo = None if found.photo is None else _photo(found.photo)
    return Fields(
        tuple(_field(field, photo) for field in found.fields),
        numbers.percent(found.mass),
        numbers.percent(round((1 - found.mass) / 2, 6)),
        found.source,
        photo is not None,
        figures.default_palette(False).colours,
        all(field.strength.shape[0] == 1 for field in found.fields),
    )


def twin(found: EffectiveFields) -> dict[str, Any]:
    """The section of the twin; `cnnaudit.report.decode_heatmap` reads the strengths."""
    return {
        "mass": found.mass,
        "source": found.source,
        "layers": [
            {
                "layer": field.layer,
                "position": field.position,
                "exact": field.exact,
                "extent": field.extent,
                "box": field.box,
                "spread": field.spread,
                "share": field.share,
                "pictures": field.pictures,
                "display_limit": encoding.display_limit([field.strength]),
                "strength": encoding.encode_heatmap(field.strength),
            }
            for field in found.fields
        ],
    }


def _photo(pixels: np.ndarray) -> np.ndarray:
    rgb = pixels[:3] if len(pixels) >= 3 else np.broadcast_to(pixels[:1], (3, *pixels.shape[1:]))
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _field(field: EffectiveField, photo: np.ndarray | None) -> Field:
    limit = encoding.display_limit([field.strength])
    codes = encoding.display_codes(field.strength, limit)
    palette = figures.default_palette(False)
    fits = photo is not None and photo.shape[:2] == codes.shape
    drawn = figures.overlay(photo, codes, palette) if photo is not None and fits else figures.coloured(codes, palette)
    small = figures.is_small(drawn.shape)
    height, width = codes.shape
    full = tuple(size for size in field.exact.size)
    extent, box = _size(field.extent), _size(field.box) if field.box else None
    return Field(
        field.layer,
        picture=figures.png_uri(drawn) if small else figures.jpeg_uri(figures.shrunk(drawn, _LONGEST), _QUALITY),
        shape=(height, width),
        outer=_frame(field.extent),
        inner=_frame(field.box) if field.box else None,
        sees=_by(full, height),
        cut=extent != full,
        inside=_by(box, height) if box else "",
        share=numbers.percent(field.share),
        limit=numbers.number(limit),
    )


def _size(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return box[2] - box[0] + 1, box[3] - box[1] + 1


def _frame(box: tuple[int, int, int, int]) -> Frame:
    height, width = _size(box)
    return box[1], box[0], width, height


def _by(size: Sequence[int], rows: int) -> str:
    """Rows and columns; of a signal its values alone."""
    return " × ".join(map(numbers.count, size[-1:] if rows == 1 else size))
