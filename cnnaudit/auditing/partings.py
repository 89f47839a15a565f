"""Pictures with something and those without it: what a cue parts, seen again, and all the clear sorts there are."""

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
from cnnaudit.results import AuditFinding

_CLEAR = 0.005
"""Of the smaller of two sorts of pictures, how many may be on the wrong side.

Chosen on one half of the cases of tests/benchmarks/shortcuts.py.
"""
_MOSTLY = 0.5  # correlation within classes from which on a sort is the cue's
_SAME = 0.9  # the same from which on two sorts are one

_Judged = tuple[Cue, AuditFinding]


@dataclass(frozen=True, slots=True, eq=False)
class Parting:
    """Pictures with something and those without it, and the id of the finding that says so, if one does."""

    present: Bool[Tensor, " n"]
    name: str
    finding: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Look:
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
    def at(cls, asked: Asked) -> "Look | None":
        """None where no picture is answered."""
        places = answered(asked).nonzero().squeeze(1)
        if not len(places):
            return None
        return cls(len(asked.pictures), places, measured(asked, places), asked.pictures.truth[places].numpy())

    def guesses(self) -> list[Bool[Tensor, " n"]]:
        return [self._of_all(each) for each in guesses(self.rows, self.truth)]

    def sort(self, guess: Bool[Tensor, " n"]) -> Bool[Tensor, " n"] | None:
        """The pictures of the sort that a guess begins to tell from the rest; None where there are no clear sorts."""
        sorts = two_sorts(self.rows, self.truth, guess.cpu()[self.places].numpy())
        return None if sorts is None or sorts.mistaken > _CLEAR else self._of_all(sorts.present)

    def _of_all(self, present: Bool[np.ndarray, " m"]) -> Bool[Tensor, " n"]:
        whole = torch.zeros(self.pictures, dtype=torch.bool)
        whole[self.places] = torch.from_numpy(present)
        return whole


def seen_again(asked: Asked, cue: Cue, look: Look | None) -> Cue:
    """The cue, present in the pictures of its sort, where these sway the network no less than what was taken for it.

    So it is no other sort that pictures happen to be of. What is copied is seen as well as can be.
    """
    sort = None if cue.copied or look is None else look.sort(cue.present)
    if sort is None or swayed(asked, cue.label, sort, ()) < swayed(asked, cue.label, cue.present, ()):
        return cue
    return replace(cue, present=sort)


def partings(asked: Asked, cues: Sequence[_Judged], look: Look | None) -> list[Parting]:
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


def _named(asked: Asked, cues: Sequence[_Judged], sort: Bool[Tensor, " n"]) -> Parting:
    """By the cue that is mostly in its pictures, or mostly in the others; else by the property that differs most.

    Without a cue, the rarer sort is the one that has something.
    """
    theirs = [(_agreement(asked, cue.present, sort), found) for cue, found in cues]
    most, found = max(theirs, key=lambda each: abs(each[0]), default=(0.0, None))
    if found is not None and abs(most) >= _MOSTLY:
        return Parting(sort if most > 0 else ~sort, found.name, found.id)
    sort = ~sort if 2 * int(sort.sum()) > len(sort) else sort
    properties = {name: values for name, values in asked.survey.properties.items() if bool(values.isfinite().all())}
    differing = {name: _agreement(asked, values, sort) for name, values in properties.items()}
    name = max(differing, key=lambda name: abs(differing[name]), default=None)
    return Parting(sort, "another look" if name is None else called(name, 1 if differing[name] > 0 else -1), None)


def _agreement(asked: Asked, one: Tensor, other: Tensor) -> float:
    """The correlation, within classes, of two presences or values of all pictures."""
    rows = torch.stack([one.cpu().double(), other.cpu().double()], 1)
    for _, places in classes(asked):
        rows[places] -= rows[places].mean(0)
    first, second = rows[answered(asked)].unbind(1)
    return float(first @ second / (first.norm() * second.norm()).clamp(min=1e-12))


def swayed(asked: Asked, label: int, present: Bool[Tensor, " n"], alike: Sequence[Bool[Tensor, " n"]]) -> float:
    """How much more often pictures with a cue are answered with its class, among those of one class: a z score.

    And among those that have or have not each of the `alike` (Mantel and Haenszel, J. Natl. Cancer Inst. 22, 1959).
    """
    known = answered(asked)
    said = (asked.survey.predicted[known] == label).numpy()
    has = present.cpu()[known].numpy()
    columns = [asked.pictures.truth[known].numpy(), *(each.cpu()[known].numpy() for each in alike)]
    strata = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].ravel()
    n, here, so, both = (np.bincount(strata, each) for each in (np.ones(len(said)), has, said, has & said))
    varied = here * (n - here) * so * (n - so) / (n * n * (n - 1).clip(1))
    return float((both - here * so / n).sum() / varied.sum() ** 0.5) if varied.sum() > 0 else 0.0


def answered(asked: Asked) -> Bool[Tensor, " n"]:
    """The survey has the class -1 for pictures that the network could not be asked about."""
    return asked.survey.predicted >= 0


def classes(asked: Asked) -> Iterator[tuple[str, Int64[Tensor, " n"]]]:
    """Each class that has pictures, and their places."""
    truth = asked.pictures.truth.masked_fill(~answered(asked), -1)
    for index in truth.unique().tolist():
        if index >= 0:
            yield asked.classifier.labels[index], (truth == index).nonzero()[:, 0]
