"""The pixels that one position sees, cut off at the picture's edges."""

from collections.abc import Sequence

from cnnaudit.results import ReceptiveField
from cnnaudit.results.effective_fields import Box


def extent_of(field: ReceptiveField, place: Sequence[int], picture: tuple[int, int]) -> Box:
    """The exact field of a position in a picture of this height and width, at least one pixel.

    A position of a signal, one number, moves along whichever direction moves.
    """
    rows, columns = (_span(field, axis, place[axis if len(place) > 1 else 0], picture[axis]) for axis in (0, 1))
    return rows[0], columns[0], rows[1], columns[1]


def _span(field: ReceptiveField, axis: int, place: int, edge: int) -> tuple[int, int]:
    middle, half = field.offset[axis] + place * field.jump[axis], (field.size[axis] - 1) / 2
    first, last = round(middle - half), round(middle + half)
    return min(max(0, first), edge - 1), max(min(edge - 1, last), 0)
