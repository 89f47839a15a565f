"""Cues that two sources found are told once, and each by an id of its own."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np

from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.pasting import Pasting

_TOGETHER = 0.8  # of the pictures that have one of two cues have both
_WITHIN = 0.8  # of the smaller lies on the larger
_LARGER = 4.0  # times: a tag on snow is not the snow
_LOOKED_AT = 8


def distinct(cues: Sequence[Cue]) -> list[Cue]:
    """Without those of the same class that are all but in the same pictures and at the same place as an earlier one.

    Cues that have no place of their own are kept. Of equal ids, as classes have whose names differ in signs alone,
    the later ones get a number.
    """
    kept: list[Cue] = []
    for cue in cues:
        if not any(_same(cue, other) for other in kept):
            kept.append(replace(cue, id=_free(cue.id, {other.id for other in kept})))
    return kept


def _free(name: str, taken: Container[str]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def _same(one: Cue, other: Cue) -> bool:
    if one.label != other.label or not isinstance(one.edit, Pasting) or not isinstance(other.edit, Pasting):
        return False
    both = one.present & other.present
    if float(both.sum()) <= _TOGETHER * float((one.present | other.present).sum()):
        return False
    return _overlap(one.edit, other.edit, [place for place in one.edit.donors if both[place]][:_LOOKED_AT])


def _overlap(one: Pasting, other: Pasting, places: Sequence[int]) -> bool:
    """Whether one lies on the other, and they are of about one size, in most of these pictures."""
    found: list[bool] = []
    for here, there in zip(one.scenery.views(places), other.scenery.views(places), strict=True):
        masks = one.where(here), other.where(there)
        smaller, larger = sorted(int(mask.sum()) for mask in masks)
        shared = int((masks[0] & masks[1]).sum())
        found.append(smaller > 0 and shared >= _WITHIN * smaller and larger <= _LARGER * smaller)
    return bool(np.mean(found) > 0.5) if found else False
