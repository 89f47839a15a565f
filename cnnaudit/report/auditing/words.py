"""What the page of an audit says again and again, in one form."""

from collections.abc import Mapping
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.charts import Axis
from cnnaudit.results import AuditFacts, AuditFinding, Change, CueKind, Effect, Operation, Share

KINDS: Mapping[CueKind, str] = {
    "patch": "recurring patches",
    "place": "a fixed place",
    "property": "a property of the whole picture",
    "attribution": "pictures that are explained alike",
    "background": "all that the masks leave outside",
}
DONE: Mapping[Operation, str] = {"remove": "taken out", "insert": "put in"}
WHERE: Mapping[Operation, str] = {
    "remove": "of pictures that have it",
    "insert": "to pictures of other classes",
}
FLIPS: Mapping[Operation, str] = {"remove": "cease to be", "insert": "become"}

_LEAST_P = 0.001


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value with its interval: per cent of the axis, and in words."""

    low: float
    at: float
    high: float
    says: str
    interval: str


def points(change: Change, axis: Axis) -> Whisker:
    """A change of a probability: "+0.61", "0.55 to 0.66"."""
    low, at, high = (axis.place(value) for value in (change.low, change.value, change.high))
    return Whisker(low, at, high, difference(change.value), f"{difference(change.low)} to {difference(change.high)}")


def shared(share: Share, axis: Axis) -> Whisker:
    """A share with its interval; an axis may begin above zero."""
    low, at, high = (axis.place(max(axis.low, value)) for value in (share.low, share.value, share.high))
    return Whisker(low, at, high, numbers.share(share.value), interval(share))


def interval(share: Share) -> str:
    """`"98.9 to 99.3 %"`."""
    low, high = numbers.share(share.low), numbers.share(share.high)
    return f"{low.removesuffix('%').strip()} to {high}"


def difference(value: float) -> str:
    """A difference of probabilities to two digits behind the point, and more where these would say zero."""
    rounded = round(numbers.finite(value), 2)
    text = f"{rounded:+.2f}" if rounded or not value else f"{value:+.1g}"
    return text.replace("-", "−") if value else "0"


def chance(p: float) -> str:
    """A p-value; what resampling gives says no more than that it is below a thousandth."""
    return f"< {_LEAST_P}" if numbers.finite(p) < _LEAST_P else numbers.number(p, 2)


def strongest(finding: AuditFinding) -> Effect | None:
    """The effect that the verdict rests on."""
    return None if finding.strongest is None else finding.effects[finding.strongest]


def confirmed(facts: AuditFacts) -> tuple[AuditFinding, ...]:
    """The shortcuts that are proved."""
    return tuple(each for each in facts.findings if each.verdict == "confirmed")


def for_a_person(facts: AuditFacts) -> tuple[AuditFinding, ...]:
    """Cues that are proved to change the answers, of which it is not settled whether they are of the object.

    What is not proved to has no severity.
    """
    return tuple(
        each
        for each in facts.findings
        if each.verdict == "inconclusive" and each.nature == "undecided" and each.severity != "none"
    )


def doubted(facts: AuditFacts) -> tuple[tuple[str, ...], str]:
    """The names of cues that are seldom seen apart from their classes, and what follows them; both empty for none."""
    names = [each.name for each in facts.findings if each.id in facts.hurt.doubtful]
    if not names:
        return (), ""
    seldom, seen = (
        ("is seldom seen apart from its class", "it seems")
        if len(names) == 1
        else ("are seldom seen apart from their classes", "they seem")
    )
    names[0] = names[0][:1].upper() + names[0][1:]
    return tuple(names), f"{seldom}: in the few pictures where {seen} to be, the audit may be mistaken."


def axis_of(changes: list[Change]) -> Axis:
    """One for all effects of the page, so that they can be compared."""
    return charts.linear(
        min([-0.1, *(each.low for each in changes)]), max([0.1, *(each.high for each in changes)]), most=5
    )
