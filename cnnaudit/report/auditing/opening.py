"""What the page of an audit begins with: the answer in one sentence, and the next ones."""

from collections.abc import Iterator
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report.auditing import words
from cnnaudit.results import AuditFacts, AuditFinding


@dataclass(frozen=True, slots=True)
class Opening:
    """The claim is a sentence of its own."""

    claim: str
    sentences: tuple[str, ...]


def opening(facts: AuditFacts) -> Opening:
    """In words that come from what was found alone."""
    return Opening(_claim(facts), tuple(_sentences(facts)))


def _claim(facts: AuditFacts) -> str:
    found, tested = words.confirmed(facts), len(facts.findings)
    if found:
        others = len(found) - 1
        more = f", and on {_cues(others, 'other shortcut')}" if others else ""
        return f"This network leans on {found[0].name} to say {found[0].label}{more}: confirmed"
    if not tested:
        return "No cue was found that could be tested"
    return f"No shortcut was confirmed {f'among {_cues(tested)}' if tested > 1 else 'in the one cue'} tested"


def _sentences(facts: AuditFacts) -> Iterator[str]:
    right = numbers.share(facts.accuracy.value)
    yield f"{right} of its answers to {_pictures(facts.pictures)} of {facts.dataset} are right."
    worst, found = facts.hurt.worst, words.confirmed(facts)
    if worst:
        yield f"Of {worst.name}, {numbers.share(worst.right.value)} are."
    if facts.hurt.unlinked and found:
        yield (
            f"Where {found[0].name} no longer goes with {found[0].label}, {numbers.share(facts.hurt.unlinked.value)} "
            "would be."
        )
    if found and found[0].id in facts.hurt.doubtful:
        yield from _by_edits(found[0])
    unsettled = len(words.for_a_person(facts))
    if unsettled:
        affect, may = ("affects", "may be part") if unsettled == 1 else ("affect", "may be parts")
        yield f"{_cues(unsettled, first=True)} {affect} its answers but {may} of the object: a person must say."


def _by_edits(found: AuditFinding) -> Iterator[str]:
    """What is known of pictures that show the cue without the class, where there are none."""
    effect = None if found.strongest is None else found.effects[found.strongest]
    known = f"{found.name[:1].upper()}{found.name[1:]} is hardly ever apart from {found.label} in them"
    if effect is None or effect.operation == "remove":
        yield f"{known}: what becomes of the others, no picture tells."
    else:
        yield (
            f"{known}; where it was put into {numbers.count(effect.pictures)} others, "
            f"{numbers.count(effect.flips)} became {found.label} to the network."
        )


def _pictures(n: int) -> str:
    return f"{numbers.count(n)} picture{'' if n == 1 else 's'}"


def _cues(n: int, what: str = "cue", *, first: bool = False) -> str:
    one = "One" if first else "one"
    return f"{one if n == 1 else numbers.count(n)} {what}{'' if n == 1 else 's'}"
