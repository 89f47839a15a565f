"""What cues are called: by the user now, by the user in an earlier audit, or by what they look like."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.comparing import carried
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.earlier import Outcome, Seen
from cnnaudit.auditing.judging import CONCERNED
from cnnaudit.errors import near_matches
from cnnaudit.results import AuditFinding


def called(asked: Asked, cues: Sequence[Cue], names: Mapping[str, str], before: Outcome | None) -> list[Cue]:
    """The cues with the names that the user gave them, now or in the earlier audit."""
    kept = {} if before is None else _kept(asked, cues, before)
    return [replace(cue, name={**kept, **names}.get(cue.id, cue.name)) for cue in cues]


def described(finding: AuditFinding, cues: Sequence[Cue]) -> AuditFinding:
    """The finding, with what its cue looks like where the user named it."""
    looks = next(cue.name for cue in cues if cue.id == finding.id)
    return finding if finding.name == looks else replace(finding, described=looks)


def unknown(names: Mapping[str, str], ids: Sequence[str]) -> tuple[str, ...]:
    """A note for each name that was given for a cue that was not found."""
    absent = [each for each in names if each not in ids]
    return tuple(
        f"A name was given for {each!r} ({names[each]}), but no such cue was found.{near_matches(each, ids)}"
        for each in absent
    )


def _kept(asked: Asked, cues: Sequence[Cue], before: Outcome) -> Mapping[str, str]:
    pictures = (asked.pictures.name, len(asked.pictures), asked.seed)
    return carried(before, [_seen(asked, cue) for cue in cues], pictures)


def _seen(asked: Asked, cue: Cue) -> Seen:
    places = cue.present.nonzero().squeeze(1)[:CONCERNED].tolist()
    label = asked.classifier.labels[cue.label]
    return Seen(cue.id, cue.kind, cue.name, cue.name, label, frozenset(asked.pictures.names[k] for k in places))
