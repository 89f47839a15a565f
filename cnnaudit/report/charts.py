"""Axes and where things lie on them, in per cent of the plot, so that a chart fits any width without a script."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnaudit import numbers

Writer = Callable[[float], str]
"""A value as the text of a tick."""

LOG_RANGE = 30.0
"""From this ratio of the largest value to the smallest, equal distances are equal factors."""

_HEADROOM = 1.1
_TICKS = 6
_MANTISSAS = (1, 2, 5)
_WHOLE_DECADES = 2.2  # from as many decades on, only powers of ten get a tick


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, in per cent from its low end, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value with its interval, in per cent of an axis."""

    low: float
    at: float
    high: float


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high` with a tick at each of `values`."""

    low: float
    high: float
    values: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Per cent of the axis from its low end."""
        low, high, value = map(math.log, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(100 * (value - low) / (high - low), 2)

    def fall(self, value: float) -> float:
        """Per cent from the high end: a height as SVG counts it, downwards."""
        return round(100 - self.place(value), 2)

    def ticks(self, write: Writer = numbers.number) -> tuple[Tick, ...]:
        """The ticks with their text."""
        return tuple(Tick(self.place(value), write(value)) for value in self.values)


def linear(low: float, high: float, *, most: int = _TICKS) -> Axis:
    """An axis that begins and ends on a tick, with about `most` steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        room = abs(low) / 10 or 1.0
        low, high = low - room, low + room
    step = _step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = tuple(float(f"{place * step:.12g}") for place in range(first, last + 1))
    return Axis(values[0], values[-1], values)


def shares(values: Sequence[float], *, most: int = _TICKS) -> Axis:
    """An axis for shares up to 1, from a tick below the smallest of `values`."""
    return linear(min(*values, 0.98), 1.0, most=most)


def counting(last: int, *, most: int = _TICKS) -> Axis:
    """An axis of whole numbers that ends exactly at `last`."""
    step = max(1, round(_step(last / most)))
    return Axis(0, last, tuple(float(value) for value in range(0, last + 1, step)))


def logarithmic(low: float, high: float) -> Axis:
    """An axis on which equal factors are equal distances; both values are positive."""
    low, high = _below(low), high * _HEADROOM
    decades = range(math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9) + 1)
    mantissas = (1,) if math.log10(high / low) > _WHOLE_DECADES else _MANTISSAS
    values = (float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas)
    return Axis(low, high, tuple(value for value in values if low <= value <= high), log=True)


def losses(values: Sequence[float]) -> Axis:
    """The axis of losses: from zero, or logarithmic where they range over more than `LOG_RANGE`."""
    low, high = min(values), max(values)
    return logarithmic(low, high) if 0 < low < high / LOG_RANGE else linear(min(0.0, low), high)


def power(value: float) -> str:
    """`number`, but a small or large power of ten as such: "10⁻⁵"."""
    return numbers.number(value).removeprefix("1\u00a0×\u00a0")


def per_cent(value: float) -> str:
    """A share exactly as a tick has it: "97.5 %"."""
    return f"{100 * value:.6g}\u202f%"


def apart(first: float, second: float, gap: float) -> tuple[float, float]:
    """Two places, moved as little as labels of height `gap` need so as not to overlap; per cent, in 0 to 100."""
    if abs(first - second) >= gap:
        return first, second
    middle = min(max((first + second) / 2, gap / 2), 100 - gap / 2)
    up, down = round(middle - gap / 2, 2), round(middle + gap / 2, 2)
    return (up, down) if first <= second else (down, up)


def _step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no smaller than `rough`."""
    decade = 10.0 ** math.floor(math.log10(rough))
    return next(mantissa * decade for mantissa in (*_MANTISSAS, 10) if mantissa * decade >= rough * (1 - 1e-9))


def _below(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is no larger than `value`."""
    decade = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(m * decade for m in _MANTISSAS if m * decade <= value * (1 + 1e-9)):.12g}")
