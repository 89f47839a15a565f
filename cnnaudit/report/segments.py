"""The values of a picture's segments as a table: number, value, 95 % interval, and whether the sign is settled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit import numbers
from cnnaudit.report import charts, encoding
from cnnaudit.results import Explanation

_MOST = 200  # rows, so that a picture of thousands of segments still makes a small page
_VALUES, _LOW, _HIGH = "coefficients", "low", "high"
SHOWN = frozenset((_VALUES, _LOW, _HIGH))
"""The facts that the table shows."""


@dataclass(frozen=True, slots=True)
class Row:
    """One segment; `interval` is None where the method gave none, and the whisker then begins at zero."""

    number: int
    value: str
    interval: str | None
    settled: bool
    whisker: charts.Whisker


@dataclass(frozen=True, slots=True)
class Table:
    """The segments of one map, the largest values first.

    Attributes:
        count: of all segments; `rows` may be fewer.
        labels: which segment each pixel belongs to, as `encoding.packed_labels` writes it.
        zero: per cent of the axis.
    """

    rows: tuple[Row, ...]
    count: int
    labels: str
    zero: float

    @property
    def intervals(self) -> bool:
        """Whether there are any."""
        return any(row.interval for row in self.rows)

    @property
    def unsettled(self) -> int:
        """How many rows' signs are not settled."""
        return sum(not row.settled for row in self.rows)


def table(explanation: Explanation) -> Table | None:
    """The table; None where the map is not of segments with a value each."""
    if explanation.regions is None or _VALUES not in explanation.facts:
        return None
    labels = explanation.regions.numpy()
    present, first = np.unique(labels, return_index=True)
    values = _numbers(explanation.facts, _VALUES)
    if not np.array_equal(present, np.arange(len(values))):
        return None
    given = explanation.facts.keys() >= SHOWN
    low, high = (_numbers(explanation.facts, name) if given else values for name in (_LOW, _HIGH))
    axis = _axis(float(low.min()), float(high.max()))
    unsettled = (
        np.zeros(len(values), bool) if explanation.unsettled is None else explanation.unsettled.numpy().flat[first]
    )
    order = np.argsort(-np.abs(values), kind="stable")[:_MOST]
    rows = (
        _row(int(k), (float(low[k]), float(values[k]), float(high[k])), given, not unsettled[k], axis) for k in order
    )
    return Table(tuple(rows), len(values), encoding.packed_labels(labels), axis.place(0.0))


def _axis(low: float, high: float) -> charts.Axis:
    """From end to end, zero included, and no tick: the numbers stand beside it."""
    low, high = min(0.0, low), max(0.0, high)
    return charts.Axis(low, high if high > low else 1.0, ())


def _row(number: int, ends: tuple[float, float, float], given: bool, settled: bool, axis: charts.Axis) -> Row:
    low, value, high = ends
    interval = f"{numbers.signed(low)} to {numbers.signed(high)}" if given else None
    drawn = (low, value, high) if given else (min(0.0, value), value, max(0.0, value))
    return Row(number, numbers.signed(value), interval, settled, charts.Whisker(*map(axis.place, drawn)))


def _numbers(facts: Mapping[str, Any], name: str) -> np.ndarray:
    return np.array(facts[name], float)
