"""What units are for, on the page: a table of what changes without each, and without groups of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.report.inspection.exemplars import says
from cnnaudit.results import Ablation, Change, GroupAblation, Loss, UnitAblation

_CLASSES = 4
_GROUPS = 8
_UNITS = 12


@dataclass(frozen=True, slots=True)
class Line:
    """All pictures (`label` is None) or one class without a unit; `change` in points of per cent.

    `whisker` is of what the section draws; None where there is no such change.
    """

    label: str | None
    is_named: bool
    before: str
    after: str
    whisker: charts.Whisker | None
    change: str
    odds: str | None
    logit: str | None
    answers: str


@dataclass(frozen=True, slots=True)
class Row:
    """One unit or group without which something changes; `left_out` classes change less than those in `lines`.

    `notes` say how it is known what it fires on, or which channels these are and what is left without others.
    """

    claim: str
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """A unit or group without which nothing changes by more than chance: what changes over all pictures.

    Attributes:
        name: what was set to its mean, and what it fires on where that is sure.
        aim: the class for which it was chosen; None where there is none.
    """

    name: str
    aim: str | None
    change: str
    answers: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The section: those that matter in full, the others in one line each.

    Attributes:
        draws_odds: whether the changes drawn are of log-odds, for want of any of recall that is sure.
        has_odds, has_logit: whether any line shown in full has these; a single picture of a class has none.
        ticks: of the axis of changes; `zero` is where nothing changes.
        groups_left_out: how many change less than those shown.
    """

    facts: Ablation
    groups: tuple[Row, ...]
    groups_left_out: int
    rows: tuple[Row, ...]
    quiet: tuple[Quiet, ...]
    draws_odds: bool
    has_odds: bool
    has_logit: bool
    ticks: tuple[Tick, ...]
    zero: float


def view(facts: Ablation) -> View:
    """The section of ablation.

    Raises:
        CnnAuditError: a number is not finite.
    """
    draws_odds = not any(group.hurt for group in facts.groups) and all(unit.hurt is None for unit in facts.units)
    groups, units = ([each for each in tried if _named(each)] for tried in (facts.groups, facts.units))
    shown = [(each, (each.whole, *_largest(each))) for each in (*groups[:_GROUPS], *units)]
    drawn = [_drawn(loss, draws_odds) for _, losses in shown for loss in losses]
    ends = [end for each in drawn if each for end in (each.low, each.high)]
    axis = charts.linear(min([0.0, *ends]), max([0.0, *ends]), most=4)
    rows = tuple(_row(each, losses, axis, draws_odds) for each, losses in shown)
    split = len(rows) - len(units)
    lines = [line for row in rows for line in row.lines]
    return View(
        facts,
        groups=rows[:split],
        groups_left_out=len(groups) - split,
        rows=rows[split:],
        quiet=tuple(_quiet(each, facts.layer) for each in (*facts.groups, *facts.units) if not _named(each)),
        draws_odds=draws_odds,
        has_odds=any(line.odds for line in lines),
        has_logit=any(line.logit for line in lines),
        ticks=axis.ticks(),
        zero=axis.place(0.0),
    )


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
    return Row(each.claim, tuple(notes), lines, len(each.classes) - len(losses) + 1)


def _quiet(each: UnitAblation | GroupAblation, layer: str) -> Quiet:
    single = isinstance(each, UnitAblation)
    name = f"channel {each.unit} of {layer}" if single else _group_name(each)
    parts = (each.meaning.part,) if single and each.meaning and each.meaning.is_sure else () if single else each.parts
    return Quiet(
        f"{name}, firing on {' or '.join(parts)}" if parts else name,
        each.chosen_for if single else each.helped,
        _change(each.whole.change),
        _answers(each.whole),
    )


def _group_name(group: GroupAblation) -> str:
    return f"channel{'s' * (len(group.units) > 1)} {_listed(group.units)} of {group.layer}"


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
    return Line(
        label=loss.label,
        is_named=is_named,
        before=numbers.share(loss.before.value),
        after=numbers.share(loss.after.value),
        whisker=drawn and charts.Whisker(axis.place(drawn.low), axis.place(drawn.value), axis.place(drawn.high)),
        change=_change(loss.change),
        odds=_of_scores(loss.odds),
        logit=_of_scores(loss.logit),
        answers=_answers(loss),
    )


def _change(change: Change) -> str:
    """A difference of shares in points of per cent, with its interval: "−36.2 (−46 to −27.8)"."""
    return _with_interval(*(100 * value for value in (change.value, change.low, change.high)), decimals=1)


def _answers(loss: Loss) -> str:
    return " / ".join(map(numbers.count, (loss.lost, loss.won, loss.before.n)))


def _of_scores(change: Change | None) -> str | None:
    """A difference of log-odds or logits: two decimals, more where there would be nothing left."""
    if change is None:
        return None
    decimals = 2 if abs(change.value) >= 0.005 else 12
    return _with_interval(change.value, change.low, change.high, decimals=decimals)


def _with_interval(*values: float, decimals: int) -> str:
    at, low, high = (numbers.signed(round(numbers.finite(value), decimals) + 0.0) for value in values)
    return f"{at} ({low} to {high})"
