"""Columns of the pictures' table: what is looked at, what is not and why, and what they are called."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from cnnaudit import numbers

_VALUES = 20  # that a column of words may have
_RARE = 5  # pictures with a value below which it is not looked at
_EMPTY = ("", "na", "n/a", "null", "none", "nan", "?")  # among numbers; of words, `none` is one


def values_of(columns: Mapping[str, Sequence[str]]) -> dict[str, Float[np.ndarray, " n"]]:
    """Columns of numbers as they are, NaN where a cell is empty; of words, whether each value is there.

    None has the name of a property of the pixels: what a column calls brightness may be anything.
    """
    found: dict[str, Float[np.ndarray, " n"]] = {}
    for name, cells in columns.items():
        if _why_not(cells) is None:
            found |= _values(_named(name), cells)
    return found


def passed_over(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A note for each column that says nothing that could be looked at."""
    reasons = {name: _why_not(cells) for name, cells in columns.items()}
    return tuple(f"{_named(name)} was not looked at: {why}" for name, why in reasons.items() if why)


def called(name: str, sign: int) -> str:
    """High (1) or low (-1) values, in words; of a value, whether it is there."""
    if "” = " in name:
        return name if sign > 0 else name.replace("” = ", "” other than ", 1)
    return f"{'high' if sign > 0 else 'low'} values of {name}"


def _named(column: str) -> str:
    return f"column “{column}”"


def _values(name: str, cells: Sequence[str]) -> dict[str, Float[np.ndarray, " n"]]:
    values = _numbers(cells)
    if values is not None:
        return {name: values}
    words = np.array(cells)
    return {f"{name} = {value}": (words == value).astype(float) for value in _common(cells)}


def _why_not(cells: Sequence[str]) -> str | None:
    """Why a column is not looked at; None if it is."""
    filled = [cell for cell in cells if not _is_empty(cell)]
    if not filled:
        return "it is empty"
    known = set(cells) if _numbers(cells) is None else set(filled)
    if len(known) == 1:
        return f"every picture has the same value, {filled[0]!r}"
    if _numbers(cells) is not None:
        return None
    if len(known) > _VALUES:
        word = next(cell for cell in filled if not _is_number(cell))
        return (
            f"it has {numbers.count(len(known))} values, {word!r} among them, which is no number; words "
            f"are looked at where there are at most {_VALUES}"
        )
    return None if _common(cells) else f"none of its values is there in {_RARE} pictures"


def _common(cells: Sequence[str]) -> list[str]:
    known, counts = np.unique(np.array(cells), return_counts=True)
    common = (str(value) for value, count in zip(known, counts, strict=True) if count >= _RARE)
    return [value for value in common if value.casefold() == "none" or not _is_empty(value)]


def _numbers(cells: Sequence[str]) -> Float[np.ndarray, " n"] | None:
    """The numbers in a column, NaN where a cell is empty; None where a cell holds something else."""
    if not all(_is_empty(cell) or _is_number(cell) for cell in cells):
        return None
    return np.array([np.nan if _is_empty(cell) else float(cell) for cell in cells])


def _is_empty(cell: str) -> bool:
    return cell.casefold() in _EMPTY


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
