"""A finding on the page: its effects against a placebo, its pictures, and where it is seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.auditing import words
from cnnaudit.report.auditing.tiles import Tile, tile
from cnnaudit.report.auditing.words import Whisker
from cnnaudit.report.charts import Axis
from cnnaudit.results import AuditFinding, Edit, Effect, Exchange, Presence

PATCHES, EDITS, CLASSES = 8, 4, 8
"""How many of each are shown of more."""
_PATCH_SIDE, _EDIT_SIDE, _THUMB_SIDE = 96, 160, 48

_NATURES = {
    "shortcut": "It lies beside the object: a shortcut.",
    "object": "It belongs to the object: no shortcut.",
    "undecided": "The evidence does not settle whether it belongs to the object: a person must say.",
}


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One operation: effect and placebo on the axis of the page, and the rest in words."""

    done: str
    where: str
    is_strongest: bool
    pictures: str
    effect: Whisker
    placebo: Whisker
    difference: Whisker
    flips: str
    p: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One of three states of a picture, with the probability of the cue's class."""

    title: str
    tile: Tile
    probability: str


@dataclass(frozen=True, slots=True)
class Triple:
    """A picture before, after and after the placebo."""

    name: str
    done: str
    states: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """One class: how often the cue is seen (per cent), and the accuracy with it and without."""

    label: str
    is_its: bool
    pictures: str
    present: str
    at: float
    right_with: Whisker | None
    right_without: Whisker | None


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A finding in full; `left_out` classes are in the twin alone, and `swapped` tells of pairs of pictures."""

    facts: AuditFinding
    kind: str
    nature: str
    association: str
    attribution: str | None
    share: str
    effects: tuple[EffectRow, ...]
    swapped: str | None
    patches: tuple[Tile, ...]
    edits: tuple[Triple, ...]
    presence: tuple[PresenceRow, ...]
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A finding as a row of a table; `at` has the numbers by which it is sorted."""

    facts: AuditFinding
    kind: str
    thumb: Tile | None
    association: str
    attribution: str
    done: str
    effect: str
    placebo: str
    difference: str
    p: str
    pictures: str
    at: dict[str, float]


def view(finding: AuditFinding, axis: Axis) -> View:
    """A finding in full.

    Raises:
        CnnAuditError: a number is not finite.
    """
    classes = _classes(finding)
    return View(
        finding,
        words.KINDS[finding.kind],
        _NATURES[finding.nature],
        numbers.number(finding.association, 2),
        None if finding.attribution is None else numbers.number(finding.attribution, 2),
        numbers.percent(finding.present / finding.pictures if finding.pictures else 0.0),
        tuple(
            _effect(each, axis, finding.label, is_strongest=place == finding.strongest)
            for place, each in enumerate(finding.effects)
        ),
        next((_swapped(each.exchange, finding.label) for each in finding.effects if each.exchange), None),
        tuple(tile(each.pixels, _PATCH_SIDE, f"{finding.name} in {each.name}") for each in finding.patches[:PATCHES]),
        tuple(_triple(each, finding) for each in _spread(finding.edits)),
        tuple(_presence(each, finding.label) for each in classes),
        len(finding.presence) - len(classes),
    )


def line(finding: AuditFinding) -> Line:
    """A finding as a row of a table."""
    effect = words.strongest(finding)
    thumb = tile(finding.patches[0].pixels, _THUMB_SIDE, finding.patches[0].name) if finding.patches else None
    return Line(
        finding,
        words.KINDS[finding.kind],
        thumb,
        numbers.number(finding.association, 2),
        "" if finding.attribution is None else numbers.number(finding.attribution, 2),
        words.DONE[effect.operation] if effect else "could not be edited",
        words.difference(effect.effect.value) if effect else "",
        words.difference(effect.placebo.value) if effect else "",
        _with_interval(effect) if effect else "",
        words.chance(effect.p_adjusted) if effect else "",
        numbers.count(effect.pictures) if effect else "",
        _sorting(finding, effect),
    )


def _sorting(finding: AuditFinding, effect: Effect | None) -> dict[str, float]:
    found = {"association": finding.association, "attribution": finding.attribution or 0.0}
    if effect is None:
        return found | {"effect": 0.0, "placebo": 0.0, "difference": 0.0, "p": 1.0, "pictures": 0}
    values = {"effect": effect.effect.value, "placebo": effect.placebo.value, "difference": effect.difference.value}
    return found | values | {"p": effect.p_adjusted, "pictures": effect.pictures}


def _with_interval(effect: Effect) -> str:
    change = effect.difference
    return f"{words.difference(change.value)} ({words.difference(change.low)} to {words.difference(change.high)})"


def _effect(effect: Effect, axis: Axis, label: str, *, is_strongest: bool) -> EffectRow:
    flips, placebo = numbers.count(effect.flips), numbers.count(effect.placebo_flips)
    return EffectRow(
        words.DONE[effect.operation],
        words.WHERE[effect.operation],
        is_strongest,
        f"{numbers.count(effect.pictures)} pictures{_taken(effect)}",
        words.points(effect.effect, axis),
        words.points(effect.placebo, axis),
        words.points(effect.difference, axis),
        f"{flips} {words.FLIPS[effect.operation]} {label}; {placebo} by the placebo",
        words.chance(effect.p_adjusted),
    )


def _swapped(exchange: Exchange, label: str) -> str:
    pairs, after, placebo = numbers.count(exchange.after.n), exchange.after, numbers.share(exchange.placebo.value)
    return (
        f"Of {pairs} pairs drawn at random, one of {label} with it and one of another class without it, both answers "
        f"change sides in {numbers.share(after.value)} ({words.interval(after)}) when it is taken out of the one and "
        f"put into the other; with the placebos in {placebo}."
    )


def _taken(effect: Effect) -> str:
    return "" if effect.donors is None else f" (the cue is taken from {numbers.count(effect.donors)})"


def _spread(edits: Sequence[Edit]) -> Iterator[Edit]:
    """The first of each operation, then the second of each, …, so that every operation is seen."""
    turns: dict[str, int] = {}
    placed = []
    for edit in edits:
        turns[edit.operation] = turns.get(edit.operation, 0) + 1
        placed.append((turns[edit.operation], edit))
    yield from (edit for _, edit in sorted(placed, key=lambda each: each[0])[:EDITS])


def _triple(edit: Edit, finding: AuditFinding) -> Triple:
    done = words.DONE[edit.operation]
    states = (
        ("as it is", edit.before, edit.probability_before),
        (done, edit.after, edit.probability_after),
        ("placebo", edit.placebo, edit.probability_placebo),
    )
    return Triple(
        edit.name,
        f"{finding.name} {done}",
        tuple(
            Shown(title, tile(photo, _EDIT_SIDE, f"{edit.name}, {title}"), numbers.percent(probability))
            for title, photo, probability in states
        ),
    )


def _classes(finding: AuditFinding) -> list[Presence]:
    """Its own class first, then those in which it is seen most, in their own order where all are shown."""
    if len(finding.presence) <= CLASSES:
        return list(finding.presence)
    return sorted(finding.presence, key=lambda row: (row.label != finding.label, -_seen(row)))[:CLASSES]


def _seen(row: Presence) -> float:
    return row.present / row.pictures if row.pictures else 0.0


def _presence(row: Presence, label: str) -> PresenceRow:
    axis = charts.linear(0.0, 1.0, most=4)
    return PresenceRow(
        row.label,
        row.label == label,
        numbers.count(row.pictures),
        numbers.percent(_seen(row)),
        round(100 * _seen(row), 2),
        row.right_with and words.shared(row.right_with, axis),
        row.right_without and words.shared(row.right_without, axis),
    )
