"""Which units a caller asks for, whatever kind of whole numbers name them."""

import operator
from collections.abc import Iterable, Sequence

import numpy as np

from cnnaudit.errors import OptionError


def asked_units(units: int | Sequence[int]) -> int | tuple[int, ...]:
    """How many units, or which: as Python's own numbers.

    Raises:
        OptionError: they are something else, or fewer than one.
    """
    try:
        found = tuple(map(_whole, units)) if isinstance(units, Iterable) else _whole(units)
    except TypeError:
        raise OptionError(f"units is how many, or a list of channels, each a whole number; got {units!r}.") from None
    if isinstance(found, int) and found < 1:
        raise OptionError(f"units is at least 1; got {found}.")
    return found


def _whole(number: object) -> int:
    if isinstance(number, bool | np.bool_):
        raise TypeError
    return operator.index(number)  # pyright: ignore[reportArgumentType]
