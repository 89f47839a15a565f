"""Whom a classifier fails: classes with a cue and without it, and what is right where the two have nothing to do with
each other."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.sorts import guesses, measured, two_sorts
from cnnaudit.auditing.wording import called
from cnnaudit.results import AuditFinding, Group, Hurt, Share
from cnnaudit.training.metrics import share

LEAST = 10
"""How many pictures a group needs to be called the worst."""
CLEAR = 0.005
"""Of the smaller of two sorts of pictures, how many may be on the wrong side.

Chosen on one half of the cases of tests/benchmarks/shortcuts.py.
"""
_UNKNOWN = 0.1  # of the weight may lie on groups of which there is no picture
_SWAYED = 2.33  # a z score with one chance in a hundred

_MOSTLY = 0.5  # correlation within classes from which on a sort is the cue's
_SAME = 0.9  # the same from which on two sorts are one
_CHANCE = 0.05  # of the groups that are said to differ

_Judged = tuple[Cue, AuditFinding]


@dataclass(frozen=True, slots=True, eq=False)
class _Parting:
    """Pictures with something and those without it, and the id of the finding that says so, if one does."""

    present: Bool[Tensor, " n"]
    name: str
    finding: str | None


def hurt(asked: Asked, cues: Sequence[_Judged]) -> Hurt:
    """Groups of a class by each cue that is confirmed or undecided; the worst; and the accuracy without the link.

    Which pictures have a cue is told again where they fall into two clear sorts (`_Look`): of a few pictures with a
    cue and another class, half may else be mistaken.

    The worst group is the one with the lowest accuracy, as in Sagawa et al., "Distributionally Robust Neural Networks"
    (ICLR 2020), among the groups by confirmed cues that tell something (`_telling`); where none is confirmed, among
    the classes and those of their clear sorts that surely differ (`_differing`). Other groups do not count there: of
    so many the lowest is low by chance. Nor are clusters of the network's last features groups (Sohoni et al., arXiv
    2011.12945): on a network with many errors they part the right answers from the wrong ones.
    """
    right, look = asked.survey.predicted == asked.pictures.truth, _Look.at(asked)
    proved = [(_seen_again(asked, cue, look), found) for cue, found in cues if found.verdict == "confirmed"]
    if proved:
        counted = list(_by_cues(asked, proved, right))
        telling = {found.id for _, found in _telling(asked, proved)}
        eligible = [each for each in counted if each.finding in telling]
    else:
        counted = eligible = [*_by_class(asked, right), *_differing(asked, _partings(asked, cues, look), right)]
    told = {each.finding for each in counted}
    unsure = [(cue, found) for cue, found in cues if found.id not in told and _is_open(found)]
    groups = sorted((*counted, *_by_cues(asked, unsure, right)), key=_first_the_worst)
    worst = min((each for each in eligible if each.pictures >= LEAST), key=_first_the_worst, default=None)
    return Hurt(tuple(groups), worst, _unlinked(asked, proved[0][0], right) if proved else None)


def _is_open(found: AuditFinding) -> bool:
    return (found.verdict, found.nature) == ("inconclusive", "undecided")


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the pictures that are answered look like.

    Attributes:
        pictures: how many there are, with those that are not answered.
        places: of those that are.
        rows: see `sorts.measured`.
    """

    pictures: int
    places: Int64[Tensor, " m"]
    rows: Float32[np.ndarray, "m d"]
    truth: Int64[np.ndarray, " m"]

    @classmethod
    def at(cls, asked: Asked) -> "_Look | None":
        """None where no picture is answered."""
        places = _answered(asked).nonzero().squeeze(1)
        if not len(places):
            return None
        return cls(len(asked.pictures), places, measured(asked, places), asked.pictures.truth[places].numpy())

    def guesses(self) -> list[Bool[Tensor, " n"]]:
        return [self._of_all(each) for each in guesses(self.rows, self.truth)]

    def sort(self, guess: Bool[Tensor, " n"]) -> Bool[Tensor, " n"] | None:
        """The pictures of the sort that a guess begins to tell from the rest; None where there are no clear sorts."""
        sorts = two_sorts(self.rows, self.truth, guess.cpu()[self.places].numpy())
        return None if sorts is None or sorts.mistaken > CLEAR else self._of_all(sorts.present)

    def _of_all(self, present: Bool[np.ndarray, " m"]) -> Bool[Tensor, " n"]:
        whole = torch.zeros(self.pictures, dtype=torch.bool)
        whole[self.places] = torch.from_numpy(present)
        return whole


def _seen_again(asked: Asked, cue: Cue, look: _Look | None) -> Cue:
    """The cue, present in the pictures of its sort, where these sway the network no less than what was taken for it.

    So it is no other sort that pictures happen to be of. What is copied is seen as well as can be.
    """
    sort = None if cue.copied or look is None else look.sort(cue.present)
    if sort is None or _swayed(asked, cue.label, sort, ()) < _swayed(asked, cue.label, cue.present, ()):
        return cue
    return replace(cue, present=sort)


def _partings(asked: Asked, cues: Sequence[_Judged], look: _Look | None) -> list[_Parting]:
    """All clear sorts, each once, found from the cues or from nothing; and what is copied."""
    if look is None:
        return []
    copied = [cue.present.cpu() for cue, _ in cues if cue.copied]
    others = [cue.present for cue, _ in cues if not cue.copied]
    kept: list[Bool[Tensor, " n"]] = []
    for sort in (*copied, *map(look.sort, (*others, *look.guesses()))):
        if sort is not None and not any(abs(_agreement(asked, sort, other)) > _SAME for other in kept):
            kept.append(sort)
    named = [_named(asked, cues, sort) for sort in reversed(kept)]
    return list({each.name: each for each in named}.values())  # of a name the first, which a cue found


def _named(asked: Asked, cues: Sequence[_Judged], sort: Bool[Tensor, " n"]) -> _Parting:
    """By the cue that is mostly in its pictures, or mostly in the others; else by the property that differs most.

    Without a cue, the rarer sort is the one that has something.
    """
    theirs = [(_agreement(asked, cue.present, sort), found) for cue, found in cues]
    most, found = max(theirs, key=lambda each: abs(each[0]), default=(0.0, None))
    if found is not None and abs(most) >= _MOSTLY:
        return _Parting(sort if most > 0 else ~sort, found.name, found.id)
    sort = ~sort if 2 * int(sort.sum()) > len(sort) else sort
    properties = {name: values for name, values in asked.survey.properties.items() if bool(values.isfinite().all())}
    differing = {name: _agreement(asked, values, sort) for name, values in properties.items()}
    name = max(differing, key=lambda name: abs(differing[name]), default=None)
    return _Parting(sort, "another look" if name is None else called(name, 1 if differing[name] > 0 else -1), None)


def _agreement(asked: Asked, one: Tensor, other: Tensor) -> float:
    """The correlation, within classes, of two presences or values of all pictures."""
    rows = torch.stack([one.cpu().double(), other.cpu().double()], 1)
    for _, places in _classes(asked):
        rows[places] -= rows[places].mean(0)
    first, second = rows[_answered(asked)].unbind(1)
    return float(first @ second / (first.norm() * second.norm()).clamp(min=1e-12))


def _differing(asked: Asked, partings: Sequence[_Parting], right: Bool[Tensor, " n"]) -> list[Group]:
    """The two groups of each class that are not answered alike.

    By Fisher's exact test, with one in twenty of them by chance at most (Benjamini and Hochberg, JRSS B 57, 1995).
    """
    from scipy.stats import false_discovery_control, fisher_exact

    both = [_sides(each, *whole, right) for each in partings for whole in _classes(asked)]
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


def _by_cues(asked: Asked, cues: Sequence[_Judged], right: Bool[Tensor, " n"]) -> Iterator[Group]:
    """Each class with each cue and without it; groups without a picture are left out."""
    for cue, found in cues:
        for label, places in _classes(asked):
            yield from _sides(_Parting(cue.present.cpu(), found.name, found.id), label, places, right)


def _sides(parting: _Parting, label: str, places: Int64[Tensor, " n"], right: Bool[Tensor, " m"]) -> list[Group]:
    present = parting.present[places]
    return [
        _group(f"{label} {word} {parting.name}", label, parting.finding, right[places[state]])
        for word, state in (("with", present), ("without", ~present))
        if bool(state.any())
    ]


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
