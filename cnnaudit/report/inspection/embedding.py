"""The map of a photo set: a point a picture, coloured by class or by mistake, the pictures in one sheet."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from cnnaudit import numbers
from cnnaudit.report import figures
from cnnaudit.results import Embedding

_COLOURS = 10
_ROOM = 0.06  # around the points, as a share of the plot
ASPECT = 4 / 3
"""Width of the plot over its height; the unit is the same along both axes."""
_SIDES = (64, 48, 40, 32, 24, 16)
_SHEET_BYTES = 400_000
_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Point:
    """A picture: where it lies, in per cent, the colours of its class and its answer (None: of the rest)."""

    across: float
    down: float
    truth: int | None
    answer: int | None
    mistake: bool
    says: str


@dataclass(frozen=True, slots=True)
class Key:
    """A class that has a colour, and how many pictures are of it and are taken for it."""

    colour: int
    label: str
    truths: int
    answers: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """All thumbnails in one picture, row by row."""

    picture: str
    columns: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class View:
    """The section.

    Attributes:
        choices: what points can be coloured by, the first one chosen: "class", "answer", "mistake".
        others: classes without a colour of their own.
    """

    facts: Embedding
    points: tuple[Point, ...]
    keys: tuple[Key, ...]
    others: int
    choices: tuple[str, ...]
    sheet: Sheet
    mistakes: int


def view(facts: Embedding) -> View:
    """The section of the map."""
    keys, others = _keys(facts)
    colours = {key.label: key.colour for key in keys}
    across, down = _places(facts.points)
    points = tuple(
        Point(
            float(across[place]),
            float(down[place]),
            colours.get(facts.classes[place]) if facts.classes else None,
            colours.get(facts.answers[place]),
            bool(facts.mistakes and facts.mistakes[place]),
            _says(facts, place),
        )
        for place in range(len(facts.points))
    )
    return View(facts, points, keys, others, _choices(facts, others), _sheet(facts), sum(facts.mistakes or ()))


def twin(facts: Embedding) -> dict[str, Any]:
    """The section in the JSON twin: every point; the thumbnails are on the page alone."""
    return {
        "method": facts.method,
        "layer": facts.layer,
        "features": facts.features,
        "pooled": facts.pooled,
        "total": facts.total,
        "explained": facts.explained,
        "mistakes": None if facts.mistakes is None else sum(facts.mistakes),
        "unread": facts.unread,
        "pictures": [_record(facts, place) for place in range(len(facts.points))],
    }


def _record(facts: Embedding, place: int) -> dict[str, Any]:
    return {
        "index": facts.indices[place],
        **({"name": facts.names[place]} if facts.names else {}),
        "point": [float(f"{value:.6g}") for value in facts.points[place].tolist()],
        "class": facts.classes[place] if facts.classes else None,
        "answer": facts.answers[place],
        "probability": facts.confidences[place],
        "mistake": facts.mistakes[place] if facts.mistakes else None,
    }


def _keys(facts: Embedding) -> tuple[tuple[Key, ...], int]:
    """The most frequent classes, in alphabetical order, and how many others there are."""
    truths, answers = Counter(facts.classes or ()), Counter(facts.answers)
    known = sorted(truths | answers, key=lambda label: (-truths[label], -answers[label], label))
    shown = sorted(known[:_COLOURS])
    keys = tuple(Key(colour, label, truths[label], answers[label]) for colour, label in enumerate(shown))
    return keys, len(known) - len(shown)


def _choices(facts: Embedding, others: int) -> tuple[str, ...]:
    """With more classes than colours, mistakes say more."""
    if facts.classes is None:
        return ("answer",)
    if facts.mistakes is None:
        return ("class", "answer")
    return ("mistake", "class", "answer") if others else ("class", "mistake", "answer")


def _places(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per cent from the left and from the top: one unit along both axes, the points in the middle."""
    low, high = points.min(0).astype(float), points.max(0).astype(float)
    width, height = high - low
    reach = max(width, height * ASPECT) * (1 + 2 * _ROOM) or 1.0
    centred = points - (low + high) / 2
    return np.round(50 + 100 * centred[:, 0] / reach, 2), np.round(50 - 100 * ASPECT * centred[:, 1] / reach, 2)


def _says(facts: Embedding, place: int) -> str:
    name = facts.names[place] if facts.names else f"no. {facts.indices[place]}"
    answer = f"says {facts.answers[place]} ({numbers.percent(facts.confidences[place])})"
    return f"{name}: {answer}, is {facts.classes[place]}" if facts.classes else f"{name}: {answer}"


def _sheet(facts: Embedding) -> Sheet:
    """As large as the budget allows; the smallest whatever it takes."""
    drawn = [_line(each) if each.shape[0] == 1 else figures.flat(each) for each in facts.thumbnails]
    sheets = (_composed([figures.shrunk(_grey_or_colour(each), side) for each in drawn]) for side in _SIDES)
    sheet = next(sheets)
    while len(sheet.picture) > _SHEET_BYTES and (smaller := next(sheets, None)):
        sheet = smaller
    return sheet


def _composed(pictures: Sequence[np.ndarray]) -> Sheet:
    height, width = pictures[0].shape[:2]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    whole = np.zeros((rows * height, columns * width, *pictures[0].shape[2:]), np.uint8)
    for place, each in enumerate(pictures):
        top, left = place // columns * height, place % columns * width
        whole[top : top + height, left : left + width] = each
    return Sheet(figures.jpeg_uri(whole, _QUALITY), columns, width, height)


def _grey_or_colour(picture: np.ndarray) -> np.ndarray:
    """As JPEG takes it: of another number of channels the first."""
    return picture if picture.ndim == 2 or picture.shape[2] == 3 else picture[..., 0]


def _line(signal: np.ndarray) -> np.ndarray:
    """A signal as a picture of its line, dark on light."""
    size = _SIDES[0]
    picture = PillowImage.new("L", (size, size), 255)
    values = signal[0, :, 0].astype(float)
    places = np.linspace(2, size - 3, len(values))
    points = list(zip(places.tolist(), (size - 3 - values / 255 * (size - 6)).tolist(), strict=True))
    ImageDraw.Draw(picture).line(points, fill=0, width=2)
    return np.asarray(picture)
