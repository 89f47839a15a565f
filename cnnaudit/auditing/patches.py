"""Recurring patches: what goes with a class is put into a few pictures, and what does most becomes a cue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.candidates import Candidate, candidates
from cnnaudit.auditing.cues import Cue, slug
from cnnaudit.auditing.cutting import drawn
from cnnaudit.auditing.interventions import screened
from cnnaudit.auditing.looks import described
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.scenery import Scenery, View
from cnnaudit.results import CuePatch

_TRIED = 48
_ALMOST = 2 / 3  # of the worth of the best: of cues that are worth so much, the smallest says most
_AS_MUCH = 0.9  # of the effect of the whole: a part of it that does so much may be the cue
_PARTS = 2
_CUES = 12
_A_CLASS = 3
_DONORS, _COPIES = 20, 64  # where the sample has fewer of a cue, or of a copy, others are looked for
_LOOKED_AT = 40
_SHOWN = 8
_SAME = 0.8  # of the pictures that have one of two cues have both: they are one


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A candidate that was put into a few pictures, and taken out of a few.

    Attributes:
        effect: how much it changed the answers.
        worth: the same times the share of its class that has it.
    """

    candidate: Candidate
    cue: Cue
    effect: float
    worth: float


def patch_cues(asked: Asked) -> list[Cue]:
    """The recurring patches that most change the network's answer when they are put in, for each class a few.

    They are chosen on pictures that are set apart, and tested on others.
    """
    scenery, sample, found = candidates(asked)
    truth = asked.pictures.truth.numpy()
    tried: list[_Tried] = []
    for done, each in enumerate(found[:_TRIED]):
        asked.told(done, min(_TRIED, len(found)))
        cue = _cue(asked, scenery, sample, each)
        common = float(each.present[truth == each.label].mean())
        effect = screened(asked, cue)
        tried.append(_Tried(each, cue, effect, common * effect))
    labels = sorted({each.label for each in found})
    chosen = [each for label in labels for each in _chosen(tried, label)]
    return [each.cue for each in sorted(chosen, key=lambda each: (not each.candidate.copied, -each.worth))[:_CUES]]


def _cue(asked: Asked, scenery: Scenery, sample: Sequence[int], found: Candidate) -> Cue:
    own = found.present & (asked.pictures.truth.numpy() == found.label)
    donors = _donors(asked, own, sample, _COPIES if found.copied else _DONORS)
    without = tuple(place for place in sample if found.absent[place])
    some = scenery.views(donors[:_LOOKED_AT])
    share = on_object(scenery, some, found.where)
    if share is not None and asked.pictures.masks is None:
        share = 1 - found.outer  # of all pictures that have it
    around = share is not None and share < 0.5
    looks = described(some, found.where, around=around)
    return Cue(
        id=f"{looks.kind}-{found.node}-{slug(asked.classifier.labels[found.label])}",
        kind=looks.kind,
        name=looks.name,
        label=found.label,
        present=torch.from_numpy(found.present),
        association=found.association,
        edit=Pasting(scenery, found.where, around, donors, without),
        attribution=None if np.isnan(found.attribution) else found.attribution,
        object_share=share,
        area=found.area,
        copied=found.copied or looks.copied,
        evidence=looks.evidence,
        patches=partial(patches_of, asked, scenery, found.where, donors),
    )


def _donors(asked: Asked, own: Bool[np.ndarray, " n"], sample: Sequence[int], fewest: int) -> tuple[int, ...]:
    """Pictures that the cue is taken from: those of the sample, which are cut already, and of a rare cue others."""
    held = tuple(place for place in sample if own[place])
    others = torch.from_numpy(own.copy())
    others[list(held)] = False
    return tuple(sorted((*held, *drawn(asked, others, max(0, fewest - len(held))))))


def on_object(
    scenery: Scenery, views: Sequence[View], where: Callable[[View], Bool[np.ndarray, "h w"]]
) -> float | None:
    """The share of the cue that does not lie on the surroundings; None where nothing tells these from objects."""
    if not scenery.tells:
        return None
    shown = [(where(view), view.ground) for view in views]
    whole = sum(int(cue.sum()) for cue, _ in shown)
    return sum(int((cue & ~ground).sum()) for cue, ground in shown) / max(1, whole)


def patches_of(
    asked: Asked, scenery: Scenery, where: Callable[[View], Bool[np.ndarray, "h w"]], donors: Sequence[int]
) -> tuple[CuePatch, ...]:
    """The cue in some pictures, all else dimmed."""
    places = list(donors)[:_SHOWN]
    found: list[CuePatch] = []
    for place, view in zip(places, scenery.views(places), strict=True):
        dimmed = np.where(where(view)[None], view.pixels, 0.25 * view.pixels + 0.5 * 0.75)
        pixels = (dimmed.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        found.append(CuePatch(asked.pictures.names[place], pixels))
    return tuple(found)


def _chosen(tried: Sequence[_Tried], label: int) -> list[_Tried]:
    """A few copies and kinds of a class that do something: each time, of those that are worth enough, the smallest.

    Kinds that are joined of the same ones, or are where a copy is, are not chosen beside each other; but parts that do
    as much as the whole are: what is rare may be joined to much that does nothing.
    """
    kept: list[_Tried] = []
    for copied in (True, False):
        left = [
            each
            for each in tried
            if (each.candidate.label, each.candidate.copied) == (label, copied) and each.worth > 0
            if not any(_together(each.candidate, other.candidate) for other in kept)
        ]
        for _ in range(_A_CLASS):
            if left:
                best = _smallest(left)
                kept += [best, *_parts(best, left)]
                left = [each for each in left if each.candidate.kinds.isdisjoint(best.candidate.kinds)]
    return kept


def _smallest(tried: Sequence[_Tried]) -> _Tried:
    """The smallest of those that are worth enough."""
    enough = _ALMOST * max(each.worth for each in tried)
    return min((each for each in tried if each.worth >= enough), key=lambda each: each.cue.area)


def _parts(whole: _Tried, tried: Sequence[_Tried]) -> list[_Tried]:
    """A few parts of it that do as much, the rarest first; not those that are all but always with it."""
    doing = [
        each
        for each in tried
        if each.candidate.kinds < whole.candidate.kinds and each.effect >= _AS_MUCH * whole.effect
        if not _together(each.candidate, whole.candidate)
    ]
    kept: list[_Tried] = []
    for each in sorted(doing, key=lambda each: (int(each.candidate.present.sum()), -each.effect)):
        if all(each.candidate.kinds.isdisjoint(other.candidate.kinds) for other in kept):
            kept.append(each)
    return kept[:_PARTS]


def _together(one: Candidate, other: Candidate) -> bool:
    """Whether they are all but in the same pictures."""
    return float((one.present & other.present).sum()) > _SAME * float((one.present | other.present).sum())
