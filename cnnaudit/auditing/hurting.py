"""Whom a classifier fails: classes with a cue and without it, and what is right where the two have nothing to do with
each other."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.association import SURE_Z
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.partings import Look, Parting, answered, classes, partings, seen_again, swayed
from cnnaudit.results import AuditFinding, Group, Hurt, Share
from cnnaudit.training.metrics import share

LEAST = 10
"""How many pictures a group needs to be called the worst."""
_UNKNOWN = 0.1  # of the weight may lie on groups of which there is no picture
_SELDOM = 0.1  # of a class's pictures, and of the others
_CHANCE = 0.05  # of the groups that are said to differ

_Judged = tuple[Cue, AuditFinding]


def hurt(asked: Asked, cues: Sequence[_Judged]) -> Hurt:
    """Groups of a class by each cue that is confirmed or undecided; the worst; and the accuracy without the link.

    Which pictures have a cue is told again where they fall into two clear sorts (`Look`): of a few pictures with a
    cue and another class, half may else be mistaken.

    The worst group is the one with the lowest accuracy, as in Sagawa et al., "Distributionally Robust Neural Networks"
    (ICLR 2020), among the groups by confirmed cues that tell something (`_telling`) and cannot be mistaken
    (`_may_be_mistaken`), of which the classes take the place if there are none; where no cue is confirmed, among the
    classes and those of their clear sorts that surely differ (`_differing`). Other groups do not count there: of
    so many the lowest is low by chance. Nor are clusters of the network's last features groups (Sohoni et al., arXiv
    2011.12945): on a network with many errors they part the right answers from the wrong ones.
    """
    right, look = asked.survey.predicted == asked.pictures.truth, Look.at(asked)
    confirmed = [each for each in cues if each[1].verdict == "confirmed"]
    proved = [(seen_again(asked, cue, look), found) for cue, found in confirmed]
    unclear = [cue for (cue, _), (again, _) in zip(confirmed, proved, strict=True) if again is cue]
    doubtful = tuple(cue.id for cue in unclear if _may_be_mistaken(asked, cue, right))
    if proved:
        counted = list(_by_cues(asked, proved, right))
        telling = [(cue, found) for cue, found in _telling(asked, proved) if found.id not in doubtful]
        eligible = list(_by_cues(asked, telling, right)) or list(_by_class(asked, right))
    else:
        counted = eligible = [*_by_class(asked, right), *_differing(asked, partings(asked, cues, look), right)]
    told = {each.finding for each in counted}
    unsure = [(cue, found) for cue, found in cues if found.id not in told and _is_open(found)]
    groups = sorted(dict.fromkeys((*counted, *_by_cues(asked, unsure, right))), key=_first_the_worst)
    worst = min((each for each in eligible if each.pictures >= LEAST), key=_first_the_worst, default=None)
    unlinked = _unlinked(asked, proved[0][0], right) if proved and proved[0][0].id not in doubtful else None
    return Hurt(tuple(groups), worst, unlinked, doubtful)


def _may_be_mistaken(asked: Asked, cue: Cue, right: Bool[Tensor, " n"]) -> bool:
    """Whether the few pictures that seem to show the cue apart from the class may not show it so.

    The network leans on it, and yet answers them no worse than the rest of their classes (Fisher's exact test). A
    property is what is measured, a background what is not the object, and a copy is seen as well as can be.
    """
    if cue.kind in ("property", "background") or cue.copied:
        return False
    own, known = (asked.pictures.truth == cue.label).cpu(), answered(asked).cpu()
    apart, right = cue.present.cpu() != own, right.cpu()
    sides = [(side & known & apart, side & known & ~apart) for side in (own, ~own)]
    seldom = max(int(few.sum()) / max(1, int(few.sum() + rest.sum())) for few, rest in sides) < _SELDOM
    return seldom and bool(apart.any()) and not any(_is_worse(right[few], right[rest]) for few, rest in sides)


def _is_worse(few: Bool[Tensor, " n"], rest: Bool[Tensor, " m"]) -> bool:
    from scipy.stats import fisher_exact

    table = [[int(each.sum()), len(each) - int(each.sum())] for each in (few, rest)]
    return fisher_exact(table, alternative="less").pvalue <= _CHANCE  # type: ignore[attr-defined]


def _is_open(found: AuditFinding) -> bool:
    return (found.verdict, found.nature) == ("inconclusive", "undecided")


def _differing(asked: Asked, parted: Sequence[Parting], right: Bool[Tensor, " n"]) -> list[Group]:
    """The two groups of each class that are not answered alike.

    By Fisher's exact test, with one in twenty of them by chance at most (Benjamini and Hochberg, JRSS B 57, 1995).
    """
    from scipy.stats import false_discovery_control, fisher_exact

    both = [_sides(each, *whole, right) for each in parted for whole in classes(asked)]
    tried = [sides for sides in both if len(sides) == 2 and min(each.pictures for each in sides) >= LEAST]
    tables = [[[each.right.right, each.right.n - each.right.right] for each in sides] for sides in tried]
    ps = [fisher_exact(table).pvalue for table in tables]  # type: ignore[attr-defined]
    adjusted = false_discovery_control(ps) if ps else ()
    return [each for sides, p in zip(tried, adjusted, strict=True) if p <= _CHANCE for each in sides]


def _telling(asked: Asked, proved: Sequence[_Judged]) -> list[_Judged]:
    """Without cues that sway the network no more among pictures that are alike in the others: they are seen in those.

    The cue that sways it most comes first, each time of those that are left.
    """
    kept: list[_Judged] = []
    left = list(proved)
    while left:
        known = [cue.present for cue, _ in kept]
        scores = [swayed(asked, cue.label, cue.present, known) for cue, _ in left]
        best = int(np.argmax(scores))
        if kept and scores[best] < SURE_Z:
            break
        kept.append(left.pop(best))
    return kept


def _unlinked(asked: Asked, cue: Cue, right: Bool[Tensor, " n"]) -> Share | None:
    known = answered(asked)
    return linked_no_more(cue.present.cpu()[known], asked.pictures.truth[known], right[known])


def linked_no_more(present: Bool[Tensor, " n"], truth: Int64[Tensor, " n"], right: Bool[Tensor, " n"]) -> Share | None:
    r"""What accuracy would be if the cue were as frequent in every class.

    $\sum_{c,s} P(c)\,P(s)\,a(c,s)$ over classes $c$ and presence $s$, with $a(c,s)$ the accuracy of these pictures.
    Its interval reaches $\sqrt{\sum (P(c)P(s)(a-l))^2}$ down from Wilson's limits $l$ of each accuracy, and up
    likewise (MOVER: Zou and Donner, Statistics in Medicine 27, 2008, eq. 2). A cell without a picture counts as the
    other classes with the same presence do, with an interval from 0 to 1. None where such cells have more than a tenth
    of the weight.
    """
    n = len(truth)
    value = down = up = missing = 0.0
    for has in (False, True):
        state = present == has
        usual = float(right[state].double().mean()) if bool(state.any()) else 0.0
        for label in truth.unique().tolist():
            weight = float((truth == label).sum()) / n * float(state.sum()) / n
            cell = state & (truth == label)
            found = share(int(right[cell].sum()), int(cell.sum()))
            accuracy = found.value if found.n else usual
            missing += 0.0 if found.n else weight
            value += weight * accuracy
            down += (weight * (accuracy - found.low)) ** 2
            up += (weight * (found.high - accuracy)) ** 2
    if missing > _UNKNOWN:
        return None
    value = min(1.0, value)  # which rounding may exceed
    return Share(round(value * n), n, value, max(0.0, value - math.sqrt(down)), min(1.0, value + math.sqrt(up)))


def _by_cues(asked: Asked, cues: Sequence[_Judged], right: Bool[Tensor, " n"]) -> Iterator[Group]:
    """Each class with each cue and without it; as a class alone, where one of the two has no picture."""
    for cue, found in cues:
        for label, places in classes(asked):
            yield from _sides(Parting(cue.present.cpu(), found.name, found.id), label, places, right)


def _sides(parting: Parting, label: str, places: Int64[Tensor, " n"], right: Bool[Tensor, " m"]) -> list[Group]:
    present = parting.present[places]
    if not 0 < int(present.sum()) < len(places):
        return [_group(label, label, None, right[places])]
    return [
        _group(f"{label} {word} {parting.name}", label, parting.finding, right[places[state]])
        for word, state in (("with", present), ("without", ~present))
    ]


def _by_class(asked: Asked, right: Bool[Tensor, " n"]) -> Iterator[Group]:
    for label, places in classes(asked):
        yield _group(label, label, None, right[places])


def _group(name: str, label: str, finding: str | None, right: Bool[Tensor, " n"]) -> Group:
    return Group(name, label, finding, len(right), share(int(right.sum()), len(right)))


def _first_the_worst(group: Group) -> tuple[float, float]:
    return group.right.value, group.right.high
