"""Small tables of numbers in coloured squares."""

from dataclasses import dataclass

import numpy as np

from cnnaudit.report import figures
from cnnaudit.report.encoding import display_codes
from cnnaudit.report.inspection.walk_data import decimals

_CELL, _LARGEST_FONT, _CHARACTER = 48, 15, 0.6
_ROOM, _SMALLEST = 340, 8  # a grid's width on the page, and the smallest text there, in pixels
_DARK_BELOW = 0.56  # brightness of a square on which text is white


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a grid: where it stands, its colour and its text; `padded` where the network made it up."""

    across: int
    down: int
    fill: str
    on_dark: bool
    text: str
    padded: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """Numbers in squares: `font` is their size where a square is 48 wide, 0 where they do not fit."""

    name: str
    title: str
    rows: int
    columns: int
    font: float
    cells: tuple[Cell, ...]


def grid_of(name: str, title: str, values: np.ndarray, limit: float, padded: np.ndarray | None = None) -> Grid:
    """Values `r s`; the colour saturates at `limit`, and text that would be too small is left out."""
    rows, columns = values.shape
    texts = [written(float(value), limit, more=0) for value in values.flat]
    longest = max(map(len, texts))
    font = min(_LARGEST_FONT, round((_CELL - 4) / (_CHARACTER * longest), 1))
    font = font if font * min(1, _ROOM / columns / _CELL) >= _SMALLEST else 0
    colours = figures.coloured(display_codes(values.astype(np.float64), limit), figures.default_palette(signed=True))
    cells = tuple(
        Cell(
            at % columns * _CELL,
            at // columns * _CELL,
            f"#{bytes(colour).hex()}",
            _is_dark(colour),
            text,
            bool(padded is not None and padded.flat[at]),
        )
        for at, (text, colour) in enumerate(zip(texts, colours.reshape(-1, 3), strict=True))
    )
    return Grid(name, title, rows, columns, font, cells)


def written(value: float, limit: float, *, more: int = 1) -> str:
    """With three digits where the value is as large as `limit`, and `more` decimals."""
    text = f"{value:.{decimals(limit) + more}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def _is_dark(colour: np.ndarray) -> bool:
    return float((colour / 255.0) @ np.array([0.299, 0.587, 0.114])) < _DARK_BELOW
