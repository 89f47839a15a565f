"""All that the page of an audit shows, worked out before the template runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.auditing import findings, words
from cnnaudit.report.auditing.opening import Opening, opening
from cnnaudit.report.auditing.tiles import Tile, tile
from cnnaudit.report.auditing.words import Whisker
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.results import AuditFacts, Group, Problem, Robustness, Share, Slice, SliceCue

FULL = 15
"""How many findings are shown in full; the others are rows of a table."""
_GROUPS, _SLICES, _PROBLEMS, _SAMPLES = 24, 12, 24, 8
_SIDE = 96


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers under the claim."""

    title: str
    right: Whisker
    remark: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group and how often it is answered rightly; `undecided` where its cue is not confirmed."""

    name: str
    undecided: bool
    is_worst: bool
    right: Whisker
    n: str


@dataclass(frozen=True, slots=True, eq=False)
class SliceRow:
    """A slice with some of its pictures, and what it has more often than others: the cue, inside and elsewhere."""

    facts: Slice
    right: str
    interval: str
    elsewhere: str
    p: str
    cues: tuple[tuple[SliceCue, str, str], ...]
    samples: tuple[Tile, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ProblemRow:
    """A problem with its pictures; `named` are these and their classes."""

    facts: Problem
    named: tuple[tuple[str, str], ...]
    samples: tuple[Tile, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ProblemKind:
    """All problems of one kind, `rows` those that are shown."""

    kind: str
    count: int
    rows: tuple[ProblemRow, ...]


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """A change and what becomes of the answers."""

    change: str
    right: Whisker
    consistent: Whisker
    n: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The page of an audit.

    Attributes:
        proved, unsettled: findings in full: the confirmed ones, and those that a person must judge.
        tested: the other cues, a row each.
        ticks, zero: of the axis of all effects.
        doubted, doubt: cues that are seldom seen apart from their classes, and what is to be said of them.
        group_ticks, robust_ticks: of the axes of shares.
        skipped: the parts of the audit that could not be made, and why.
    """

    facts: AuditFacts
    opening: Opening
    figures: tuple[Figure, ...]
    proved: tuple[findings.View, ...]
    unsettled: tuple[findings.View, ...]
    tested: tuple[findings.Line, ...]
    ticks: tuple[Tick, ...]
    zero: float
    groups: tuple[GroupRow, ...]
    doubted: tuple[str, ...]
    doubt: str
    group_ticks: tuple[Tick, ...]
    whole: float
    slices: tuple[SliceRow, ...]
    problems: tuple[ProblemKind, ...]
    robustness: tuple[RobustnessRow, ...]
    robust_ticks: tuple[Tick, ...]
    skipped: tuple[tuple[str, str], ...]


def view(facts: AuditFacts) -> View:
    """The page of an audit, the same for the same record.

    Raises:
        CnnAuditError: a number that would be shown is not finite.
    """
    proved = words.confirmed(facts)[:FULL]
    unsettled = words.for_a_person(facts)[: FULL - len(proved)]
    full = [*proved, *unsettled]
    effects = [effect for each in full for effect in each.effects]
    axis = words.axis_of([change for each in effects for change in (each.effect, each.placebo)])
    shares = charts.shares([each.right.low for each in facts.hurt.groups] or [0.0], most=2)
    robust = charts.shares([low for each in facts.robustness for low in _lows(each)] or [0.0], most=2)
    return View(
        facts,
        opening(facts),
        _figures(facts),
        tuple(findings.view(each, axis) for each in proved),
        tuple(findings.view(each, axis) for each in unsettled),
        tuple(findings.line(each) for each in facts.findings if not any(each is other for other in full)),
        axis.ticks(),
        axis.place(0.0),
        _groups(facts, shares),
        *words.doubted(facts),
        shares.ticks(charts.per_cent),
        shares.place(max(shares.low, facts.accuracy.value)),
        tuple(map(_slice, facts.slices[:_SLICES])),
        _problems(facts.problems),
        tuple(_robustness(each, robust) for each in facts.robustness),
        robust.ticks(charts.per_cent),
        tuple((numbers.words(name).capitalize(), reason) for name, reason in facts.skipped.items()),
    )


def _lows(each: Robustness) -> tuple[float, float]:
    return each.right.low, each.consistent.low


def _figures(facts: AuditFacts) -> tuple[Figure, ...]:
    """Accuracy; of the worst group; where the gravest cue says nothing of the class."""
    axis, worst, found = charts.linear(0.0, 1.0), facts.hurt.worst, words.confirmed(facts)

    def figure(title: str, right: Share, remark: str) -> Figure:
        return Figure(title, words.shared(right, axis), remark)

    shown = [figure("All pictures", facts.accuracy, f"{numbers.count(facts.pictures)} pictures")]
    if worst:
        shown.append(figure("The worst group", worst.right, f"{worst.name}, {numbers.count(worst.right.n)} pictures"))
    if facts.hurt.unlinked and found:
        remark = f"were {found[0].name} as frequent in every class"
        shown.append(figure("Without the link", facts.hurt.unlinked, remark))
    return tuple(shown)


def _groups(facts: AuditFacts, axis: Axis) -> tuple[GroupRow, ...]:
    sure = {each.id for each in words.confirmed(facts)}
    return tuple(
        GroupRow(
            each.name,
            each.finding is not None and each.finding not in sure,
            _is(each, facts.hurt.worst),
            words.shared(each.right, axis),
            numbers.count(each.pictures),
        )
        for each in facts.hurt.groups[:_GROUPS]
    )


def _is(group: Group, worst: Group | None) -> bool:
    return worst is not None and (group.name, group.finding) == (worst.name, worst.finding)


def _slice(found: Slice) -> SliceRow:
    return SliceRow(
        found,
        numbers.share(found.right.value),
        words.interval(found.right),
        numbers.share(found.elsewhere.value),
        words.chance(found.p_adjusted),
        tuple((cue, numbers.share(cue.inside.value), numbers.share(cue.elsewhere.value)) for cue in found.cues),
        tuple(tile(photo, _SIDE, found.name) for photo in found.samples[:_SAMPLES]),
    )


def _problems(problems: Sequence[Problem]) -> tuple[ProblemKind, ...]:
    kinds = dict.fromkeys(each.kind for each in problems)
    return tuple(_kind(kind, [each for each in problems if each.kind == kind]) for kind in kinds)


def _kind(kind: str, problems: Sequence[Problem]) -> ProblemKind:
    return ProblemKind(kind, len(problems), tuple(map(_problem, problems[:_PROBLEMS])))


def _problem(found: Problem) -> ProblemRow:
    named = tuple(zip(found.names, found.labels, strict=True))
    shown = zip(named, found.samples, strict=False)  # two samples at most, of any number
    return ProblemRow(found, named, tuple(tile(photo, _SIDE, f"{name}, {label}") for (name, label), photo in shown))


def _robustness(each: Robustness, axis: Axis) -> RobustnessRow:
    return RobustnessRow(
        each.change, words.shared(each.right, axis), words.shared(each.consistent, axis), numbers.count(each.pictures)
    )
