"""What units are for, on the page: a table of what changes without each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnaudit.report import charts, numbers
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.report.inspection.exemplars import says
from cnnaudit.results import Ablation, Change, Loss, UnitAblation

_CLASSES = 4


@dataclass(frozen=True, slots=True)
class Whisker:
    """A change with its interval, in per cent of the axis."""

    low: float
    at: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """All pictures (`label` is None) or one class without a unit; changes in points of per cent."""

    label: str | None
    is_hurt: bool
    before: str
    after: str
    whisker: Whisker
    change: str
    interval: str
    logit: str | None
    answers: str


@dataclass(frozen=True, slots=True)
class Row:
    """One unit; `left_out` classes change less than those in `lines`."""

    unit: int
    claim: str
    matters: bool
    meaning: str | None
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The section.

    Attributes:
        ticks: of the axis of changes; `zero` is where nothing changes.
    """

    facts: Ablation
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    zero: float
    classes: int


def view(facts: Ablation) -> View:
    """The section of ablation.

    Raises:
        CnnAuditError: a number is not finite.
    """
    shown = [(unit, (unit.whole, *_largest(unit))) for unit in facts.units]
    changes = [loss.change for _, losses in shown for loss in losses]
    ends = [100 * end for change in changes for end in (change.low, change.high)]
    axis = charts.linear(min([0.0, *ends]), max([0.0, *ends]))
    rows = tuple(_row(unit, losses, axis) for unit, losses in shown)
    return View(facts, rows, axis.ticks(), axis.place(0.0), len(facts.units[0].classes) if facts.units else 0)


def twin(facts: Ablation) -> dict[str, Any]:
    """The section in the JSON twin: all classes of all units."""
    return {
        "layer": facts.layer,
        "channels": facts.channels,
        "pictures": facts.pictures,
        "labelled": facts.labelled,
        "chosen": facts.chosen,
        "unread": facts.unread,
        "units": facts.units,
    }


def _largest(unit: UnitAblation) -> list[Loss]:
    """The classes that change most, in their own order where they are all shown."""
    if len(unit.classes) <= _CLASSES:
        return list(unit.classes)
    return sorted(unit.classes, key=lambda loss: -abs(loss.change.value))[:_CLASSES]


def _row(unit: UnitAblation, losses: Sequence[Loss], axis: Axis) -> Row:
    hurt = None if unit.hurt is None else unit.classes[unit.hurt]
    lines = tuple(_line(loss, axis, is_hurt=loss is hurt) for loss in losses)
    meaning = says(unit.meaning) if unit.meaning else None
    return Row(unit.unit, unit.claim, hurt is not None, meaning, lines, len(unit.classes) - len(losses) + 1)


def _line(loss: Loss, axis: Axis, *, is_hurt: bool) -> Line:
    low, at, high = (100 * value for value in (loss.change.low, loss.change.value, loss.change.high))
    return Line(
        label=loss.label,
        is_hurt=is_hurt,
        before=numbers.share(loss.before.value),
        after=numbers.share(loss.after.value),
        whisker=Whisker(axis.place(low), axis.place(at), axis.place(high)),
        change=_points(at),
        interval=f"{_points(low)} to {_points(high)}",
        logit=_logit(loss.logit),
        answers=f"{numbers.count(loss.lost)} lost, {numbers.count(loss.won)} won, of {numbers.count(loss.before.n)}",
    )


def _points(value: float) -> str:
    """A difference of shares in per cent: "−36.2"."""
    return numbers.signed(round(numbers.finite(value), 1) + 0.0)


def _logit(change: Change | None) -> str | None:
    if change is None:
        return None
    return f"{numbers.signed(change.value)} ({numbers.signed(change.low)} to {numbers.signed(change.high)})"
