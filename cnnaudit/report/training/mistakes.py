"""The most confident mistakes: a picture each, or a line for a signal of one row."""

from dataclasses import dataclass

import numpy as np

from cnnaudit.report import figures
from cnnaudit.results import Mistake

_LONGEST = 160
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Picture:
    """A mistake as it is drawn: `picture`, or for a signal one line a channel, the points as SVG takes them."""

    mistake: Mistake
    picture: str | None
    lines: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def small(self) -> bool:
        """True for a picture whose pixels should stay visible."""
        return figures.is_small(self.shape)


def picture(mistake: Mistake) -> Picture:
    """The drawing of a mistake; small pictures keep their pixels."""
    shape = mistake.picture.shape[0], mistake.picture.shape[1]
    if shape[0] == 1:
        return Picture(mistake, None, tuple(map(_line, mistake.picture[0].T)), shape)
    shown = figures.shrunk(figures.flat(mistake.picture), _LONGEST)
    drawn = figures.png_uri(shown) if figures.is_small(shape) else figures.jpeg_uri(shown, _QUALITY)
    return Picture(mistake, drawn, (), shape)


def _line(values: np.ndarray) -> str:
    return " ".join(f"{place},{255 - value}" for place, value in enumerate(values.tolist()))
