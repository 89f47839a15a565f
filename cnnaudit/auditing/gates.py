"""On what an audit fails, for a machine that has to decide: a confirmed shortcut, a poor worst group, a change."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cnnaudit import numbers
from cnnaudit.auditing.sources import SOURCES
from cnnaudit.errors import OptionError, near_matches
from cnnaudit.report.auditing import words
from cnnaudit.results import AuditFacts, Share
from cnnaudit.results.audits import Severity

_NEEDED = ("interventions", "verdicts", *SOURCES, "distinct cues", "names")
"""Parts without which nothing can be said to be free of shortcuts: one that was skipped may have found one."""

Judged: TypeAlias = tuple[bool | None, str]
"""Whether a condition is met, or None if this audit cannot say; and why."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition as it was given, and what judges it."""

    text: str
    judge: Callable[[AuditFacts], Judged]


def _with_severity(*severities: Severity) -> Callable[[AuditFacts], Judged]:
    def judge(facts: AuditFacts) -> Judged:
        found = [each for each in words.confirmed(facts) if each.severity in severities]
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            return True, f"{found[0].id} ({found[0].name}, {found[0].severity}){more}"
        return _unless_skipped(facts, "")

    return judge


def _unless_skipped(facts: AuditFacts, why: str) -> Judged:
    """Not met; or, where a part that might have found more was skipped, not known."""
    missing = [name for name in _NEEDED if name in facts.skipped]
    return (None, f"{missing[0]} failed: {facts.skipped[missing[0]]}") if missing else (False, why)


def _new(facts: AuditFacts) -> Judged:
    return _changes(facts, facts.compared.new if facts.compared else ())


def _worse(facts: AuditFacts) -> Judged:
    return _changes(facts, facts.compared.worse if facts.compared else ())


def _changes(facts: AuditFacts, found: Sequence[str]) -> Judged:
    return (True, found[0]) if found else _unless_skipped(facts, "")


_CONDITIONS: Mapping[str, Callable[[AuditFacts], Judged]] = {
    "confirmed": _with_severity("none", "low", "medium", "high"),
    "low": _with_severity("low", "medium", "high"),
    "medium": _with_severity("medium", "high"),
    "high": _with_severity("high"),
    "new": _new,
    "worse": _worse,
}
_COMPARING = ("new", "worse")
_SHARES: Mapping[str, Callable[[AuditFacts], tuple[str, Share] | None]] = {
    "worst-group": lambda facts: (facts.hurt.worst.name, facts.hurt.worst.right) if facts.hurt.worst else None,
    "accuracy": lambda facts: ("all pictures", facts.accuracy),
}
_BELOW = re.compile(r"([\w-]+)\s*<\s*([0-9.]+)\s*(%?)")


def gates(given: Sequence[str], *, comparing: bool) -> tuple[Gate, ...]:
    """The conditions in words: "confirmed", "high", "worst-group<0.8" …

    Args:
        given: each may hold several, with commas.
        comparing: whether there is an earlier audit to compare with.

    Raises:
        OptionError: there is no such condition, a share is not between 0 and 1, or there is nothing to compare with.
    """
    texts = dict.fromkeys(text.strip() for several in given for text in several.split(",") if text.strip())
    return tuple(Gate(text, _judge(text, comparing)) for text in texts)


def _judge(text: str, comparing: bool) -> Callable[[AuditFacts], Judged]:
    below = _BELOW.fullmatch(text)
    if below and below[1] in _SHARES:
        return _below(below[1], _bound(text, below[2], below[3]))
    if text not in _CONDITIONS:
        known = [*_CONDITIONS, *(f"{name}<0.8" for name in _SHARES)]
        raise OptionError(
            f"An audit cannot fail on {text!r}.{near_matches(text, known)} Conditions: {', '.join(known)}."
        )
    if text in _COMPARING and not comparing:
        raise OptionError(f"{text!r} compares with an earlier audit; name its JSON file with --baseline.")
    return _CONDITIONS[text]


def _bound(text: str, digits: str, percent: str) -> float:
    try:
        bound = float(digits) / (100 if percent else 1)
    except ValueError:
        bound = -1.0
    if not 0 < bound <= 1:
        raise OptionError(f"{text!r}: give a share above 0 and up to 1, such as 0.8 or 80%.")
    return bound


def _below(name: str, bound: float) -> Callable[[AuditFacts], Judged]:
    """By the share itself, not its interval: fewer pictures must not make it harder to fail."""

    def judge(facts: AuditFacts) -> Judged:
        found = _SHARES[name](facts)
        if found is None:
            return None, "no group has enough pictures to tell"
        whom, right = found
        why = f"{numbers.share(right.value)} of {whom} ({words.interval(right)}) are answered rightly"
        if right.value < bound:
            return True, why
        return (False, why) if name == "accuracy" else _unless_skipped(facts, why)

    return judge
