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
    """All pictures (`label` is None) or one class without a unit; `change` in points of per cent.

    `whisker` is of what the section draws; None where there is no such change.
    """

    label: str | None
    is_named: bool
    before: str
    after: str
    whisker: Whisker | None
    change: str
    odds: str | None
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
        draws_odds: whether the changes drawn are of log-odds, for want of any of recall that is sure.
        ticks: of the axis of changes; `zero` is where nothing changes.
    """

    facts: Ablation
    rows: tuple[Row, ...]
    draws_odds: bool
    ticks: tuple[Tick, ...]
    zero: float


def view(facts: Ablation) -> View:
    """The section of ablation.

    Raises:
        CnnAuditError: a number is not finite.
    """
    draws_odds = all(unit.hurt is None for unit in facts.units)
    shown = [(unit, (unit.whole, *_largest(unit))) for unit in facts.units]
    drawn = [_drawn(loss, draws_odds) for _, losses in shown for loss in losses]
    ends = [end for each in drawn if each for end in (each.low, each.high)]
    axis = charts.linear(min([0.0, *ends]), max([0.0, *ends]), most=4)
    rows = tuple(_row(unit, losses, axis, draws_odds) for unit, losses in shown)
    return View(facts, rows, draws_odds, axis.ticks(), axis.place(0.0))


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


def _named(unit: UnitAblation) -> Loss | None:
    """The class that the claim names."""
    place = unit.doubted if unit.hurt is None else unit.hurt
    return None if place is None else unit.classes[place]


def _largest(unit: UnitAblation) -> list[Loss]:
    """The class that the claim names and those that change most, in their own order where they are all shown."""
    if len(unit.classes) <= _CLASSES:
        return list(unit.classes)
    named = _named(unit)
    return sorted(unit.classes, key=lambda loss: (loss is not named, -abs(loss.change.value), -_of_odds(loss)))[
        :_CLASSES
    ]


def _of_odds(loss: Loss) -> float:
    return abs(loss.odds.value) if loss.odds else 0.0


def _drawn(loss: Loss, draws_odds: bool) -> Change | None:
    if draws_odds:
        return loss.odds
    return Change(*(100 * value for value in (loss.change.value, loss.change.low, loss.change.high)))


def _row(unit: UnitAblation, losses: Sequence[Loss], axis: Axis, draws_odds: bool) -> Row:
    named = _named(unit)
    lines = tuple(_line(loss, axis, draws_odds, is_named=loss is named) for loss in losses)
    meaning = says(unit.meaning) if unit.meaning else None
    return Row(unit.unit, unit.claim, named is not None, meaning, lines, len(unit.classes) - len(losses) + 1)


def _line(loss: Loss, axis: Axis, draws_odds: bool, *, is_named: bool) -> Line:
    drawn = _drawn(loss, draws_odds)
    low, at, high = (100 * value for value in (loss.change.low, loss.change.value, loss.change.high))
    return Line(
        label=loss.label,
        is_named=is_named,
        before=numbers.share(loss.before.value),
        after=numbers.share(loss.after.value),
        whisker=drawn and Whisker(axis.place(drawn.low), axis.place(drawn.value), axis.place(drawn.high)),
        change=f"{_points(at)} ({_points(low)} to {_points(high)})",
        odds=_with_interval(loss.odds),
        logit=_with_interval(loss.logit),
        answers=f"{numbers.count(loss.lost)} lost, {numbers.count(loss.won)} won, of {numbers.count(loss.before.n)}",
    )


def _points(value: float) -> str:
    """A difference of shares in per cent: "−36.2"."""
    return numbers.signed(round(numbers.finite(value), 1) + 0.0)


def _with_interval(change: Change | None) -> str | None:
    if change is None:
        return None
    return f"{numbers.signed(change.value)} ({numbers.signed(change.low)} to {numbers.signed(change.high)})"
