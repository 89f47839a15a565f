"""What has become of the findings of an earlier audit: which are new, gone, worse or better."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cnnaudit import numbers
from cnnaudit.auditing.earlier import Outcome, Seen
from cnnaudit.report.auditing import words
from cnnaudit.results import Change, Compared, Operation, Share

_ALIKE = 0.6
"""Likeness above which two cues are taken for the same."""
_SURELY = 0.9
"""The same for a name to be handed on: a wrong one would mislead."""
_SAME_ID = 0.2
_FILLING = frozenset({"a", "an", "in", "of", "on", "over", "the"})


def compared(before: Outcome, now: Outcome) -> Compared:
    """What has changed since: cues, accuracy, and the worst group.

    A cue is new if it is confirmed now and was not, and gone if it was and is not. It is worse (better) if its
    difference to the placebo is larger (smaller) by more than both 95 % intervals allow, and in at least one of the
    audits it is not ruled out. Accuracy and the worst group's are so if their intervals lie apart.
    """
    pairs = paired(before.findings, now.findings, same_pictures=before.pictures == now.pictures)
    both = [(old, new) for old, new in pairs if old and new]
    shares = list(_shares(before, now))
    return Compared(
        new=tuple(_appeared(old, new) for old, new in pairs if new and _confirmed(new) and not _confirmed(old)),
        gone=tuple(_vanished(old, new) for old, new in pairs if old and _confirmed(old) and not _confirmed(new)),
        worse=(*_moved(both, 1), *(says for turn, says in shares if turn > 0)),
        better=(*_moved(both, -1), *(says for turn, says in shares if turn < 0)),
    )


def paired(
    before: Sequence[Seen], now: Sequence[Seen], *, same_pictures: bool, least: float = _ALIKE
) -> list[tuple[Seen | None, Seen | None]]:
    """Each cue with the one that it was, those most alike first; then those without an earlier or a later one.

    Args:
        same_pictures: whether cues can be compared by the pictures that have them.
        least: likeness, 0 to 1, above which two are the same.
    """
    likeness = [(_likeness(old, new, same_pictures), i, k) for i, old in enumerate(before) for k, new in enumerate(now)]
    found: dict[int, int] = {}
    for value, i, k in sorted(likeness, key=lambda each: -each[0]):
        if value > least and k not in found and i not in found.values():
            found[k] = i
    pairs: list[tuple[Seen | None, Seen | None]] = [
        (before[found[k]] if k in found else None, new) for k, new in enumerate(now)
    ]
    return pairs + [(old, None) for i, old in enumerate(before) if i not in found.values()]


def carried(before: Outcome, now: Sequence[Seen], pictures: tuple[str, int, int]) -> Mapping[str, str]:
    """The names that a user gave to cues of an earlier audit, by the ids of these that are surely the same."""
    named = [each for each in before.findings if each.name != each.described]
    pairs = paired(named, now, same_pictures=before.pictures == pictures, least=_SURELY)
    return {new.id: old.name for old, new in pairs if old and new}


def unlike(before: Outcome, now: Outcome, skipped: Iterable[str]) -> tuple[str, ...]:
    """Notes on what the comparison may show besides a change of the network."""
    notes: list[str] = []
    if before.pictures[:2] != now.pictures[:2]:
        was, count = before.pictures[:2]
        notes.append(
            f"The earlier audit is of {numbers.count(count)} pictures of {was}, this one of "
            f"{numbers.count(now.pictures[1])} of {now.pictures[0]}: what has changed may be the pictures."
        )
    missing = ", ".join(skipped)
    if missing:
        notes.append(
            f"Not all parts of this audit could be made ({missing}): what is gone may just not have been seen."
        )
    return tuple(notes)


def _likeness(old: Seen, new: Seen, same_pictures: bool) -> float:
    """0 to 1: of the words that describe them, and of the pictures that have them; numbered ids alone say little."""
    if (old.kind, old.label) != (new.kind, new.label):
        return 0.0
    alike = _overlap(_words(old.described), _words(new.described))
    if same_pictures:
        alike = (alike + _overlap(old.concerned, new.concerned)) / 2
    return min(1.0, alike + _SAME_ID * (old.id == new.id))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split()) - _FILLING


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's index."""
    return len(one & other) / len(one | other) if one | other else 0.0


def _confirmed(cue: Seen | None) -> bool:
    return cue is not None and cue.verdict == "confirmed"


def _appeared(old: Seen | None, new: Seen) -> str:
    return f"{new.claim} Before, it was {old.verdict if old else 'not found'}."


def _vanished(old: Seen, new: Seen | None) -> str:
    now = f"is {new.verdict} now" if new else "is not found now"
    return f"{_capital(old.name)} was confirmed for {old.label}, and {now}. It was said before: {old.claim}"


def _moved(pairs: Sequence[tuple[Seen, Seen]], turn: int) -> Iterator[str]:
    """Those whose effects have grown (turn 1) or shrunk (-1)."""
    for old, new in pairs:
        if old.verdict == new.verdict == "not confirmed":
            continue
        changes = _apart(old, new, turn)
        if changes:
            done, was, now = max(changes, key=lambda each: abs(each[2].value - each[1].value))
            what = f"{_capital(new.name)} {words.DONE[done]} changes P({new.label})"
            yield f"{what} by {_change(now)} over the placebo now; it was {_change(was)}."


def _apart(old: Seen, new: Seen, turn: int) -> list[tuple[Operation, Change, Change]]:
    """Operations of both whose intervals lie apart, this way round, in the direction in which the cue acts."""
    found: list[tuple[Operation, Change, Change]] = []
    for operation, now in new.effects.items():
        was = old.effects.get(operation)
        way = -turn if operation == "remove" else turn
        if was and (now.low > was.high if way > 0 else now.high < was.low):
            found.append((operation, was, now))
    return found


def _shares(before: Outcome, now: Outcome) -> Iterator[tuple[int, str]]:
    """Accuracy, and that of the worst group, where they have fallen (1) or risen (-1), in words."""
    yield from _share("Accuracy", before.accuracy, now.accuracy)
    if before.worst and now.worst:
        (was, old), (name, new) = before.worst, now.worst
        same = (
            f"The accuracy of the worst group, {name},"
            if was == name
            else f"The worst group is {name}, it was {was}: it"
        )
        yield from _share(same, old, new)


def _share(what: str, was: Share, now: Share) -> Iterator[tuple[int, str]]:
    fallen, risen = now.high < was.low, now.low > was.high
    if fallen or risen:
        says = f"{what} has {'fallen' if fallen else 'risen'} from {_interval(was)} to {_interval(now)}."
        yield (1 if fallen else -1), says


def _interval(share: Share) -> str:
    return f"{numbers.share(share.value)} ({words.interval(share)}, n = {numbers.count(share.n)})"


def _change(change: Change) -> str:
    low, high = words.difference(change.low), words.difference(change.high)
    return f"{words.difference(change.value)} ({low} to {high})"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
