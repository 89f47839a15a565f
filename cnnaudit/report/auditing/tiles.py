"""Small pictures, and signals as lines."""

from dataclasses import dataclass

import numpy as np

from cnnaudit.report import figures
from cnnaudit.shapes import Photo

_LOSSLESS = 48  # of a longer side a PNG would be too large for a page with hundreds of pictures
_QUALITY, _FINE = 80, 90


@dataclass(frozen=True, slots=True)
class Tile:
    """What it is in words, and `picture`, or for a signal one line a channel, the points as SVG takes them."""

    picture: str | None
    lines: tuple[str, ...]
    shape: tuple[int, int]
    says: str

    @property
    def small(self) -> bool:
        """True for a picture whose pixels should stay visible."""
        return figures.is_small(self.shape)


def tile(photo: Photo, longest: int, says: str) -> Tile:
    """A picture, no side longer than `longest`."""
    shape = photo.shape[0], photo.shape[1]
    if shape[0] == 1:
        return Tile(None, tuple(map(_line, photo[0].T)), shape, says)
    shown = figures.shrunk(figures.flat(photo if photo.shape[2] in (1, 3) else photo[..., :1]), longest)
    return Tile(_encoded(shown, figures.is_small(shape)), (), shape, says)


def _encoded(shown: np.ndarray, small: bool) -> str:
    if max(shown.shape[:2]) <= _LOSSLESS and small:
        return figures.png_uri(shown)
    return figures.jpeg_uri(shown, _FINE, subsampling=0) if small else figures.jpeg_uri(shown, _QUALITY)


def _line(values: np.ndarray) -> str:
    return " ".join(f"{place},{255 - value}" for place, value in enumerate(values.tolist()))
