"""The confusion matrix as a table: counts, and colour for the errors alone."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.results import TestFacts

LARGEST = 30
"""With more classes the matrix is a list of its largest entries."""

STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Where the colour changes, as shares of a row: the same in every report, so that two can be compared."""

_FEW, _SOME = 4, 12
_SHORT = 3  # names of at most so many letters stand upright above their column


@dataclass(frozen=True, slots=True)
class Cell:
    """A count; `level` is the step of its colour, from 0 for none to 8, and None on the diagonal."""

    count: str
    level: int | None
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    """All answers for one true class; `right` is None for a class without pictures."""

    label: str
    cells: tuple[Cell, ...]
    total: str
    right: str | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows are true classes, columns are answers; `upright` is True where the names stand above their columns."""

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    upright: bool

    @property
    def layout(self) -> str:
        """How large the cells are: "few", "some" or "many" classes."""
        return "few" if len(self.labels) <= _FEW else "some" if len(self.labels) <= _SOME else "many"


def matrix(test: TestFacts, labels: Sequence[str]) -> Matrix | None:
    """The matrix of a test; None where it would be too large to read."""
    if len(labels) > LARGEST:
        return None
    rows = tuple(_row(truth, counts, labels) for truth, counts in enumerate(test.confusion))
    return Matrix(tuple(labels), rows, max(map(len, labels), default=0) <= _SHORT or len(labels) == 2)


def legend() -> tuple[tuple[int, str], ...]:
    """Each step of colour with its upper end in words."""
    ends = [f"{100 * step:g}" for step in STEPS]
    return (*enumerate(ends, 1), (len(STEPS) + 1, "100"))


def _row(truth: int, counts: Sequence[int], labels: Sequence[str]) -> Row:
    total = sum(counts)
    cells = tuple(
        _cell(count, total, truth == answer, labels[truth], labels[answer]) for answer, count in enumerate(counts)
    )
    return Row(labels[truth], cells, numbers.count(total), numbers.share(counts[truth] / total) if total else None)


def _cell(count: int, total: int, is_right: bool, label: str, answer: str) -> Cell:
    if not count:
        return Cell("0" if is_right else "", None if is_right else 0, "")
    level = None if is_right else bisect_left(STEPS, count / total) + 1
    says = "" if is_right else f"{label} taken for {answer}: {numbers.percent(count / total)} of {numbers.count(total)}"
    return Cell(numbers.count(count), level, says)
