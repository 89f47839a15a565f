"""The accuracy of each class with its interval, the worst first."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.charts import Tick
from cnnaudit.results import Share, TestFacts

WORST, BEST = 30, 5
"""How many classes are shown of more than both together."""


@dataclass(frozen=True, slots=True)
class Whisker:
    """A share with its interval: per cent of the axis, and in words."""

    low: float
    at: float
    high: float
    value: str
    interval: str
    n: str


@dataclass(frozen=True, slots=True)
class Row:
    """One class."""

    label: str
    whisker: Whisker


@dataclass(frozen=True, slots=True)
class Classes:
    """The chart of a test.

    Attributes:
        left_out: how many classes lie between `worst` and `best`.
        untested: how many have no picture in the test.
        whole: the accuracy of the whole test, on the same axis.
    """

    worst: tuple[Row, ...]
    best: tuple[Row, ...]
    left_out: int
    untested: int
    ticks: tuple[Tick, ...]
    whole: float


def classes(test: TestFacts, labels: Sequence[str]) -> Classes | None:
    """The classes in order of accuracy; None where no class has a picture."""
    tested = sorted(
        ((label, share) for label, share in zip(labels, test.classes, strict=True) if share.n),
        key=lambda each: (each[1].value, each[1].high),
    )
    if not tested:
        return None
    axis = charts.shares([share.low for _, share in tested], most=4)
    rows = [Row(label, whisker(share, axis)) for label, share in tested]
    many = len(rows) > WORST + BEST
    return Classes(
        worst=tuple(rows[:WORST] if many else rows),
        best=tuple(rows[-BEST:] if many else ()),
        left_out=len(rows) - WORST - BEST if many else 0,
        untested=len(labels) - len(tested),
        ticks=axis.ticks(charts.per_cent),
        whole=axis.place(test.accuracy.value),
    )


def whisker(share: Share, axis: charts.Axis) -> Whisker:
    """A share with its interval on an axis."""
    return Whisker(
        axis.place(share.low),
        axis.place(share.value),
        axis.place(share.high),
        numbers.share(share.value),
        interval(share),
        numbers.count(share.n),
    )


def interval(share: Share) -> str:
    """`"98.9 to 99.3 %"`."""
    low, high = numbers.share(share.low), numbers.share(share.high)
    return f"{low.removesuffix('%').strip()} to {high}"
