"""What units are for, on the page: a table of what changes without each, and without groups of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from cnnaudit.report import charts, numbers
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.report.inspection.exemplars import says
from cnnaudit.results import Ablation, Change, GroupAblation, Loss, UnitAblation

_CLASSES = 4
_GROUPS = 8
_UNITS = 12


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
    """One unit or group; `left_out` classes change less than those in `lines`.

    `notes` say how it is known what it fires on, or which channels these are and what is left without others.
    """

    claim: str
    matters: bool
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The section.

    Attributes:
        draws_odds: whether the changes drawn are of log-odds, for want of any of recall that is sure.
        ticks: of the axis of changes; `zero` is where nothing changes.
        groups_left_out: how many change less than those shown.
    """

    facts: Ablation
    groups: tuple[Row, ...]
    groups_left_out: int
    rows: tuple[Row, ...]
    draws_odds: bool
    ticks: tuple[Tick, ...]
    zero: float


def view(facts: Ablation) -> View:
    """The section of ablation.

    Raises:
        CnnAuditError: a number is not finite.
    """
    draws_odds = not any(group.hurt for group in facts.groups) and all(unit.hurt is None for unit in facts.units)
    groups = facts.groups[:_GROUPS]
    shown = [(each, (each.whole, *_largest(each))) for each in (*groups, *facts.units)]
    drawn = [_drawn(loss, draws_odds) for _, losses in shown for loss in losses]
    ends = [end for each in drawn if each for end in (each.low, each.high)]
    axis = charts.linear(min([0.0, *ends]), max([0.0, *ends]), most=4)
    rows = tuple(_row(each, losses, axis, draws_odds) for each, losses in shown)
    split = len(groups)
    return View(facts, rows[:split], len(facts.groups) - split, rows[split:], draws_odds, axis.ticks(), axis.place(0.0))


def twin(facts: Ablation) -> dict[str, Any]:
    """The section in the JSON twin: all classes of all units and groups."""
    return {
        "layer": facts.layer,
        "channels": facts.channels,
        "pictures": facts.pictures,
        "labelled": facts.labelled,
        "chosen": facts.chosen,
        "unread": facts.unread,
        "units": facts.units,
        "groups": [_record(group) for group in facts.groups],
    }


def _record(group: GroupAblation) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)} | {"stands_out": group.stands_out}


def _named(each: UnitAblation | GroupAblation) -> list[Loss]:
    """The classes that the claim names."""
    hurt = each.hurt if isinstance(each, GroupAblation) else () if each.hurt is None else (each.hurt,)
    places = hurt[:2] or (() if each.doubted is None else (each.doubted,))
    return [each.classes[place] for place in places]


def _largest(each: UnitAblation | GroupAblation) -> list[Loss]:
    """The classes that the claim names and those that change most, in their own order where they are all shown."""
    if len(each.classes) <= _CLASSES:
        return list(each.classes)
    named = _named(each)
    return sorted(each.classes, key=lambda loss: (loss not in named, -abs(loss.change.value), -_of_odds(loss)))[
        :_CLASSES
    ]


def _of_odds(loss: Loss) -> float:
    return abs(loss.odds.value) if loss.odds else 0.0


def _drawn(loss: Loss, draws_odds: bool) -> Change | None:
    if draws_odds:
        return loss.odds
    return Change(*(100 * value for value in (loss.change.value, loss.change.low, loss.change.high)))


def _row(each: UnitAblation | GroupAblation, losses: Sequence[Loss], axis: Axis, draws_odds: bool) -> Row:
    named = _named(each)
    lines = tuple(_line(loss, axis, draws_odds, is_named=loss in named) for loss in losses)
    notes = _about_group(each, losses) if isinstance(each, GroupAblation) else _about_unit(each)
    return Row(each.claim, bool(named), tuple(notes), lines, len(each.classes) - len(losses) + 1)


def _about_unit(unit: UnitAblation) -> list[str]:
    return [f"Best patches: {says(unit.meaning)}."] if unit.meaning else []


def _about_group(group: GroupAblation, losses: Sequence[Loss]) -> list[str]:
    """Which channels these are, and how many answers are right without as many others."""
    notes = [f"{'Channels' if len(group.units) > 1 else 'Channel'} {_listed(group.units)}."]
    if group.without_others:
        left = ", ".join(
            f"{loss.label} {numbers.share(other.value)}"
            for loss, other in zip(group.classes, group.without_others, strict=True)
            if loss in losses
        )
        notes.append(f"Right without as many others, drawn at random: {left}.")
    elif group.hurt:
        notes.append("The layer has too few other channels to compare with.")
    return notes


def _listed(units: Sequence[int]) -> str:
    shown = ", ".join(map(str, units[:_UNITS]))
    return shown + (f" and {numbers.count(len(units) - _UNITS)} more" if len(units) > _UNITS else "")


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
