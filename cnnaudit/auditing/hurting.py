"""Whom a classifier fails: classes with a cue and without it, and what is right where the two have nothing to do with
each other."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.sorts import measured, two_sorts
from cnnaudit.results import AuditFinding, Group, Hurt, Share
from cnnaudit.training.metrics import share

LEAST = 10
"""How many pictures a group needs to be called the worst."""
CLEAR = 4.0
"""Standard deviations between two sorts of pictures: one in 44 is nearer to the other, were both as frequent."""
_UNKNOWN = 0.1  # of the weight may lie on groups of which there is no picture
_SWAYED = 2.33  # a z score with one chance in a hundred

_Proved = tuple[Cue, AuditFinding]


def hurt(asked: Asked, cues: Sequence[tuple[Cue, AuditFinding]]) -> Hurt:
    """Groups of a class by each cue that is confirmed or undecided; the worst; and the accuracy without the link.

    Which pictures have a cue is told again where they fall into two clear sorts (`_seen_again`): of a few pictures
    with a cue and another class, half may else be mistaken.

    The worst group is the one with the lowest accuracy, as in Sagawa et al., "Distributionally Robust Neural Networks"
    (ICLR 2020), among the groups by confirmed cues; where there is none, among the classes. Groups by cues that are
    not confirmed do not count there, nor those by cues that are seen in others (`_telling`): of so many the lowest is
    low by chance. Nor are clusters of the network's last features groups (Sohoni et al., arXiv 2011.12945): on a
    network with many errors they part the right answers from the wrong ones.
    """
    right = asked.survey.predicted == asked.pictures.truth
    confirmed = [(cue, found) for cue, found in cues if found.verdict == "confirmed"]
    open_ones = [(cue, found) for cue, found in cues if (found.verdict, found.nature) == ("inconclusive", "undecided")]
    proved = _seen_again(asked, confirmed)
    telling = {found.id for _, found in _telling(asked, proved)}
    sure = list(_by_cues(asked, proved, right))
    whole = [] if proved else list(_by_class(asked, right))
    unsure = list(_by_cues(asked, open_ones, right))
    groups = sorted((*sure, *whole, *unsure), key=_first_the_worst)
    eligible = [each for each in sure if each.finding in telling] or whole
    worst = min((each for each in eligible if each.pictures >= LEAST), key=_first_the_worst, default=None)
    return Hurt(tuple(groups), worst, _unlinked(asked, proved[0][0], right) if proved else None)


def _seen_again(asked: Asked, proved: Sequence[_Proved]) -> list[_Proved]:
    """The cues, present in the pictures of the sort that theirs begin to tell from the rest, where there is one.

    The sorts must be clear, and the network swayed by them no less than by what was taken for the cue: so they are
    no other sorts that pictures happen to fall into. What is copied is seen as well as can be.
    """
    places = _answered(asked).nonzero().squeeze(1)
    if all(cue.copied for cue, _ in proved) or not len(places):
        return list(proved)
    rows, truth = measured(asked, places), asked.pictures.truth[places].numpy()
    found: list[_Proved] = []
    for cue, finding in proved:
        before = cue.present.cpu()
        sorts = None if cue.copied else two_sorts(rows, truth, before[places].numpy())
        if sorts is not None and sorts.apart >= CLEAR:
            after = before.clone()
            after[places] = torch.from_numpy(sorts.present)
            if _swayed(asked, cue.label, after, ()) >= _swayed(asked, cue.label, before, ()):
                cue = replace(cue, present=after)
        found.append((cue, finding))
    return found


def _telling(asked: Asked, proved: Sequence[_Proved]) -> list[_Proved]:
    """Without cues that sway the network no more among pictures that are alike in the others: they are seen in those.

    The cue that sways it most comes first, each time of those that are left.
    """
    kept: list[_Proved] = []
    left = list(proved)
    while left:
        known = [cue.present for cue, _ in kept]
        scores = [_swayed(asked, cue.label, cue.present, known) for cue, _ in left]
        best = int(np.argmax(scores))
        if kept and scores[best] < _SWAYED:
            break
        kept.append(left.pop(best))
    return kept


def _swayed(asked: Asked, label: int, present: Bool[Tensor, " n"], alike: Sequence[Bool[Tensor, " n"]]) -> float:
    """How much more often pictures with a cue are answered with its class, among those of one class: a z score.

    And among those that have or have not each of the `alike` (Mantel and Haenszel, J. Natl. Cancer Inst. 22, 1959).
    """
    answered = _answered(asked)
    said = (asked.survey.predicted[answered] == label).numpy()
    has = present.cpu()[answered].numpy()
    columns = [asked.pictures.truth[answered].numpy(), *(each.cpu()[answered].numpy() for each in alike)]
    strata = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].ravel()
    n, here, so, both = (np.bincount(strata, each) for each in (np.ones(len(said)), has, said, has & said))
    varied = here * (n - here) * so * (n - so) / (n * n * (n - 1).clip(1))
    return float((both - here * so / n).sum() / varied.sum() ** 0.5) if varied.sum() > 0 else 0.0


def _unlinked(asked: Asked, cue: Cue, right: Bool[Tensor, " n"]) -> Share | None:
    answered = _answered(asked)
    return linked_no_more(cue.present.cpu()[answered], asked.pictures.truth[answered], right[answered])


def _answered(asked: Asked) -> Bool[Tensor, " n"]:
    """The survey has the class -1 for pictures that the network could not be asked about."""
    return asked.survey.predicted >= 0


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


def _by_cues(asked: Asked, cues: Sequence[tuple[Cue, AuditFinding]], right: Bool[Tensor, " n"]) -> Iterator[Group]:
    """Each class with each cue and without it; groups without a picture are left out."""
    for cue, found in cues:
        for label, places in _classes(asked):
            present = cue.present.cpu()[places]
            for word, state in (("with", present), ("without", ~present)):
                if bool(state.any()):
                    yield _group(f"{label} {word} {found.name}", label, found.id, right[places[state]])


def _by_class(asked: Asked, right: Bool[Tensor, " n"]) -> Iterator[Group]:
    for label, places in _classes(asked):
        yield _group(label, label, None, right[places])


def _classes(asked: Asked) -> Iterator[tuple[str, Int64[Tensor, " n"]]]:
    """Each class that has pictures, and their places."""
    truth = asked.pictures.truth.masked_fill(~_answered(asked), -1)
    for index in truth.unique().tolist():
        if index >= 0:
            yield asked.classifier.labels[index], (truth == index).nonzero()[:, 0]


def _group(name: str, label: str, finding: str | None, right: Bool[Tensor, " n"]) -> Group:
    return Group(name, label, finding, len(right), share(int(right.sum()), len(right)))


def _first_the_worst(group: Group) -> tuple[float, float]:
    return group.right.value, group.right.high
