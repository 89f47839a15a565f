"""How large a layer's output is, and the checks of what every architecture is given."""

import math
import operator
from collections.abc import Sequence
from typing import Any

from cnnaudit.errors import OptionError

LARGEST = 999_999
"""Of any width or size: more is a slip of the hand, and would ask for more memory than there is."""


def conv_output(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Positions of a kernel along one side: `(W - F + 2P)/S + 1`, rounded down.

    What is left over at the far side when the division has a remainder is not looked at.

    Args:
        size: W, of the input, in pixels.
        kernel, stride, padding: F, S and P, in pixels; P is added on both sides.

    Raises:
        OptionError: the kernel is larger than the padded input, or a number makes no sense.
    """
    if kernel < 1 or stride < 1 or padding < 0:
        raise OptionError(
            f"Kernel and stride are whole numbers from 1 up, padding from 0 up; got {kernel}, {stride}, {padding}."
        )
    if size + 2 * padding < kernel:
        value = (size - kernel + 2 * padding) / stride + 1
        raise OptionError(
            f"A window of {kernel} does not fit a side of {size} with padding {padding}: "
            f"(W - F + 2P)/S + 1 = ({size} - {kernel} + 2*{padding})/{stride} + 1 = {value:g}, less than 1. "
            "Take a smaller window, more padding, or a larger picture."
        )
    return (size - kernel + 2 * padding) // stride + 1


def known_count(value: Any, what: str) -> int:
    """A whole number from 1 up, checked.

    Raises:
        OptionError: it is something else.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if not 1 <= count <= LARGEST:
        raise OptionError(f"{what} is a whole number from 1 to {LARGEST:,}; got {value!r}.")
    return count


def known_sides(size: Sequence[int]) -> tuple[int, int]:
    """Height and width, checked.

    Raises:
        OptionError: they are not two whole numbers from 1 up.
    """
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        raise OptionError(f"size is height and width, two numbers; got {size!r}.")
    return known_count(size[0], "The height"), known_count(size[1], "The width")


def known_dropout(dropout: float) -> float:
    """The share of values that dropout sets to zero, checked.

    Raises:
        OptionError: it is not from 0 to just below 1.
    """
    if not isinstance(dropout, int | float) or not (math.isfinite(dropout) and 0 <= dropout < 1):
        raise OptionError(f"dropout is a share from 0 to below 1; got {dropout!r}.")
    return float(dropout)
