"""From effects to verdicts: does the network lean on the cue, and is the cue the object itself?"""

import math
from collections.abc import Mapping, Sequence

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.association import SURE_Z
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.interventions import Tested
from cnnaudit.numbers import count, percent
from cnnaudit.results import AuditFinding, Change, Edit, Effect, Presence
from cnnaudit.results.audits import Nature, Severity, Verdict
from cnnaudit.training.metrics import share

LEANS = 0.16
"""Change of the probability of the class, over the placebo, from which on the network is said to lean on the cue."""
COPY_LEANS = 0.05
"""The same for a patch that is copied from picture to picture: its edit takes nothing else along.

Both were chosen on one half of the cases of tests/benchmarks/shortcuts.py.
"""
_SURE = 0.05  # false discoveries among what is said to be an effect
_BESIDE, _ON = 0.35, 0.65  # share of the cue on the object: below, it lies beside; above, on it
_MOST = 0.5  # share of a property's link with the class that the surroundings have, if it is theirs
_APART = 10  # pictures with the cue alone or the class alone, without which the two cannot be told apart
_ALL_OVER = 0.875  # area under the ROC curve with which the surroundings tell a property that they have too
_FULLY = 0.99  # the same from which on they have all of it, if they have all of its link with the class too
_MEDIUM, _HIGH = 0.35, 0.6
CONCERNED = 200
"""Pictures that a finding names."""
_ENOUGH = 10  # pictures edited, and pictures that the cue was taken from
_COPIES = 5  # the latter of a cue that is the same in each
_OF_NATURE: Mapping[Nature, Verdict] = {
    "shortcut": "confirmed",
    "object": "not confirmed",
    "undecided": "inconclusive",
}


def judged(asked: Asked, found: Sequence[Tested]) -> list[tuple[Cue, AuditFinding]]:
    """A finding for each cue, the gravest first: of those that do as much, the one that covers less."""
    order = {"confirmed": 0, "inconclusive": 1, "not confirmed": 2}
    made = [(each[0], _finding(asked, *each)) for each in found]
    return sorted(made, key=lambda each: (order[each[1].verdict], -size_of(each[1]) * (1 - each[0].area / 2)))


def size_of(finding: AuditFinding) -> float:
    """How far the intervals of what the cue does stay from no change at all, the mean of putting in and taking out."""
    reaches = [_reach(each) for each in finding.effects]
    return sum(reaches) / len(reaches) if reaches else 0.0


def _whole(effects: Sequence[Effect]) -> float:
    r"""The near end of the interval of the mean of putting in and taking out, weighted by their pictures.

    $\sum w_k d_k - \sqrt{\sum w_k^2 (d_k - l_k)^2}$ of changes $d_k$ in the direction in which the cue acts, and the
    near ends $l_k$ of theirs (MOVER: Zou and Donner, Statistics in Medicine 27, 2008): the pictures are not the same.
    """
    pictures = max(1, sum(each.pictures for each in effects))
    weights = [each.pictures / pictures for each in effects]
    mean = sum(weight * each.size for weight, each in zip(weights, effects, strict=True))
    return mean - math.hypot(*(w * (each.size - _reach(each)) for w, each in zip(weights, effects, strict=True)))


def _reach(effect: Effect) -> float:
    """The end of the interval that is nearer to no change, in the direction in which the cue acts."""
    return -effect.difference.high if effect.operation == "remove" else effect.difference.low


def _finding(asked: Asked, cue: Cue, effects: tuple[Effect, ...], edits: tuple[Edit, ...]) -> AuditFinding:
    nature, evidence = _nature(asked, cue)
    leans = _leans(cue, effects)
    strongest = _strongest(effects, leans)
    effect = effects[strongest] if strongest is not None else None
    verdict = _verdict(cue, effects, nature, leans)
    shown = int(cue.present.sum())
    return AuditFinding(
        id=cue.id,
        kind=cue.kind,
        name=cue.name,
        label=asked.classifier.labels[cue.label],
        claim=_claim(asked, cue, effect, nature, leans),
        verdict=verdict,
        nature=nature,
        severity=_severity(effect) if leans and effect and verdict != "not confirmed" else "none",
        association=cue.association,
        attribution=cue.attribution,
        effects=effects,
        strongest=strongest,
        evidence=(*cue.evidence, *evidence, *_lost_and_gained(asked, cue)),
        present=shown,
        pictures=len(asked.pictures),
        presence=_presence(asked, cue),
        patches=cue.patches(),
        edits=edits,
        concerned=tuple(asked.pictures.names[k] for k in cue.present.nonzero().squeeze(1)[:CONCERNED].tolist()),
    )


def _leans(cue: Cue, effects: Sequence[Effect]) -> bool:
    """Whether the network leans on the cue: putting it in does much, and taking it out agrees on the whole.

    Taking out alone does not count: without the cue, pictures may only have become strange. The two are weighted by
    their pictures (`_whole`): a rare cue can be put into many, and taken out of few.
    """
    told, enough = [each for each in effects if _tells(cue, each)], _enough(cue)
    put = [each for each in told if each.operation != "remove" and each.p_adjusted < _SURE]
    return _whole(told) >= enough and any(_reach(each) >= enough / 2 for each in put)


def _tells(cue: Cue, effect: Effect) -> bool:
    """Whether so many pictures were edited, with cues from so many others, that something can be said."""
    fewest = _COPIES if cue.copied else _ENOUGH
    return effect.pictures >= _ENOUGH and (effect.donors is None or effect.donors >= fewest)


def _strongest(effects: Sequence[Effect], leans: bool) -> int | None:
    """The effect that the verdict rests on: that of putting in, without which the network is not said to lean."""
    put = [k for k, each in enumerate(effects) if each.operation != "remove"]
    proved = [k for k in put if effects[k].p_adjusted < _SURE]
    rests_on = proved if leans else [k for k in put if effects[k].pictures >= _ENOUGH] or range(len(effects))
    return max(rests_on, key=lambda k: _reach(effects[k]), default=None)


def _rules_out(cue: Cue, effect: Effect) -> bool:
    """Whether so large an effect that the network would lean on the cue is outside the interval."""
    far = -effect.difference.low if effect.operation == "remove" else effect.difference.high
    return _tells(cue, effect) and far < _enough(cue)


def _enough(cue: Cue) -> float:
    return COPY_LEANS if cue.copied else LEANS


def _verdict(cue: Cue, effects: Sequence[Effect], nature: Nature, leans: bool) -> Verdict:
    """Of two questions, does the network lean on it, and is it a shortcut: one that is denied settles both.

    What is the object is none, however much or little it does.
    """
    if leans or nature == "object":
        return _OF_NATURE[nature]
    return "not confirmed" if effects and all(_rules_out(cue, each) for each in effects) else "inconclusive"


def _severity(effect: Effect) -> Severity:
    size = abs(effect.difference.value)
    return "high" if size >= _HIGH else "medium" if size >= _MEDIUM else "low"


def _nature(asked: Asked, cue: Cue) -> tuple[Nature, tuple[str, ...]]:
    """What the cue is, and the sentences that say so.

    A part is beside the object when it lies in what reaches the picture's border, or when it repeats exactly, as no
    natural object does; a property is, when the surroundings alone have it, and its link with the class. An object may
    reach the border too: what goes with its class in all but a few pictures is only called a shortcut where masks say
    so, or the surroundings have all of it.
    """
    masked = asked.pictures.masks is not None
    if cue.copied:
        if masked and cue.object_share is not None and cue.object_share > _ON:
            return "undecided", ("It repeats exactly, and masks say that it lies on the object: a person must say.",)
        return "shortcut", ("Nothing natural repeats so exactly: it was put there.",)
    nature, evidence = (_nature_of_property if cue.kind == "property" else _nature_of_part)(cue)
    whole = cue.kind == "property" and cue.object_share == 0 and (cue.around is None or cue.around.told > _FULLY)
    if nature == "shortcut" and not (masked or whole) and _apart(asked, cue) < _APART:
        alone = "It is with all but a few of the class and with hardly anything else: a person must say what it is."
        return "undecided", (*evidence, alone)
    return nature, evidence


def _apart(asked: Asked, cue: Cue) -> int:
    """In how many pictures the cue and its class do not go together."""
    return int((cue.present.cpu() != (asked.pictures.truth == cue.label)).sum())


def _nature_of_part(cue: Cue) -> tuple[Nature, tuple[str, ...]]:
    if cue.object_share is None:
        return "undecided", (
            "In most pictures nothing is seen to stand before a background: whether it is part of the object, a person "
            "must say. Masks would tell.",
        )
    share_of = f"{percent(cue.object_share)} of it lies on what stands before the background"
    if cue.object_share < _BESIDE:
        return "shortcut", (f"It belongs to the surroundings: {share_of}.",)
    if cue.object_share > _ON:
        return "object", (f"It may well be the object itself: {share_of}.",)
    return "undecided", (f"Whether it is part of the object, a person must say: {share_of}.",)


def _nature_of_property(cue: Cue) -> tuple[Nature, tuple[str, ...]]:
    if cue.object_share is None:
        return "undecided", ("These pictures do not tell whether the surroundings have it too: a person must say.",)
    if cue.around is None:
        return "shortcut", ("It belongs to the picture as a whole.",)
    painted = (
        f"with the objects painted over, the rest tells which pictures have it with AUROC {cue.around.told:.2f} and "
        f"goes with the class, or with its being answered, by {cue.around.link:.1f} standard errors, where the whole "
        f"pictures do by {cue.around.whole:.1f}"
    )
    linked = cue.around.link >= SURE_Z
    if cue.object_share > _ON and not linked:
        return "object", (f"It comes from what stands in the pictures: {painted}.",)
    if cue.around.told > _ALL_OVER and linked and 1 - cue.object_share > _MOST:
        return "shortcut", (f"The surroundings have it too: {painted}.",)
    return "undecided", (f"Whether it comes from the object, a person must say: {painted}.",)


def _lost_and_gained(asked: Asked, cue: Cue) -> tuple[str, ...]:
    """Whether the class is lost where the cue is absent, and gained where it is present with another object."""
    truth, answers, label = asked.pictures.truth, asked.survey.predicted, asked.classifier.labels[cue.label]
    own = truth == cue.label
    rows: list[str] = []
    for where, said in (
        (own & ~cue.present, f"pictures of {label} without it are answered {label}"),
        (~own & cue.present, f"pictures of other classes with it are answered {label}"),
    ):
        n = int(where.sum())
        if n:
            right = share(int((answers[where] == cue.label).sum()), n)
            rows.append(f"{count(right.right)} of {count(n)} {said} ({percent(right.value)}).")
    if not bool((own & ~cue.present).any()) and not bool((~own & cue.present).any()):
        rows.append(
            f"In these pictures it is with every {label} and with nothing else: only edits can tell them apart."
        )
    return tuple(rows)


def _presence(asked: Asked, cue: Cue) -> tuple[Presence, ...]:
    truth, right = asked.pictures.truth, asked.survey.predicted == asked.pictures.truth
    rows: list[Presence] = []
    for k in truth.unique().tolist():
        own = truth == k
        sides = [own & cue.present, own & ~cue.present]
        shares = [share(int(right[side].sum()), int(side.sum())) if bool(side.any()) else None for side in sides]
        rows.append(Presence(asked.classifier.labels[k], int(own.sum()), int(sides[0].sum()), *shares))
    return tuple(rows)


_DONE = {
    "insert": ("Putting {name} into pictures of other classes", "raises"),
    "remove": ("Taking {name} out of pictures of {label}", "lowers"),
}
_NOTHING = 0.05  # change of probability that is not worth a direction


def _claim(asked: Asked, cue: Cue, effect: Effect | None, nature: Nature, leans: bool) -> str:
    """The finding in one sentence, sizes counted in the direction in which the cue would act."""
    label, name = asked.classifier.labels[cue.label], cue.name
    seen = f"{count(int(cue.present.sum()))} of {count(len(asked.pictures))} pictures"
    if effect is None:
        goes = f"{name[:1].upper()}{name[1:]} goes with {label} (AUROC {cue.association:.2f}; {seen})"
        return f"{goes}. It could not be tested: there is no way to put it in or take it out."
    turn = -1 if effect.operation == "remove" else 1
    value, low, high = _turned(effect.difference, turn)
    subject, verb = (words.format(name=name, label=label) for words in _DONE[effect.operation])
    alone = _plain(turn * effect.placebo.value)
    numbers = f"(95 % interval {_plain(low)} to {_plain(high)}; the placebo alone: {alone})"
    if value < _NOTHING:
        did = f"hardly changes P({label}), by {_plain(value)} over the placebo {numbers}"
    else:
        did = f"{verb} P({label}) by {value:.2f} over the placebo {numbers}"
    return f"{subject} {did}; {seen} have it.{_after(nature, leans)}"


def _plain(value: float) -> str:
    """Two decimals; nothing has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _turned(change: Change, turn: int) -> tuple[float, float, float]:
    low, high = sorted((turn * change.low, turn * change.high))
    return turn * change.value, low, high


def _after(nature: Nature, leans: bool) -> str:
    if not leans:
        return ""
    return {"object": " It seems to be the object itself.", "undecided": " Is it the object? A person must say."}.get(
        nature, ""
    )
