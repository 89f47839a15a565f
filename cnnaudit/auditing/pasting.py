"""Putting a part of one picture into another, and taking it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from cnnaudit.auditing.cues import Edited
from cnnaudit.auditing.scenery import Scenery, View, pasted, plate
from cnnaudit.results.audits import Operation

_SMALLEST = 0.003  # of a picture: less cannot be a cue


@dataclass(frozen=True, slots=True, eq=False)
class Pasting:
    """The editor of a cue that has a place in each picture.

    To insert, the cue of a picture of its class takes the place of as much of another picture; to remove, the
    surroundings of a picture without the cue take the cue's place. The placebo pastes onto the same pixels of the
    same picture: the surroundings of a picture without the cue when it is put in, the cue of another picture when it
    is taken out. So edges, and what is covered, are the same; the cue alone makes the difference.

    Attributes:
        where: the cue in a picture.
        around: whether it belongs to the surroundings. If so, it is put behind what stands in the picture, and what
            stands before it in the picture that it comes from is painted over.
        donors: pictures of its class that have it.
        without: pictures that do not.
    """

    scenery: Scenery
    where: Callable[[View], Bool[np.ndarray, "h w"]]
    around: bool
    donors: tuple[int, ...]
    without: tuple[int, ...]

    def __call__(self, operation: Operation, places: Sequence[int], random: torch.Generator) -> Edited | None:
        """Edit the pictures at these places (see `cnnaudit.auditing.cues.Editor`)."""
        if not self.donors or not self.without:
            return None
        made = [self._one(operation, place, random) for place in places]
        found = [(place, *each) for place, each in zip(places, made, strict=True) if each is not None]
        if not found:
            return None
        kept, donors, before, after, placebo = zip(*found, strict=True)
        return Edited(tuple(kept), torch.stack(before), torch.stack(after), torch.stack(placebo), tuple(donors))

    def _one(
        self, operation: Operation, place: int, random: torch.Generator
    ) -> tuple[int, Tensor, Tensor, Tensor] | None:
        donor, other = _drawn(self.donors, place, random), _drawn(self.without, place, random)
        if donor is None or other is None:
            return None
        view, with_cue, without_cue = self.scenery.views([place, donor, other])
        where, cue_at = self._region(operation, view, with_cue), self._shown(with_cue)
        if where.mean() < _SMALLEST or not cue_at.any():
            return None
        cue, ground = self._cue_of(with_cue, cue_at, where), plate(without_cue.pixels, without_cue.ground)
        put, taken = pasted(view.pixels, cue, where), pasted(view.pixels, ground, where)
        after, placebo = (put, taken) if operation == "insert" else (taken, put)
        return donor, torch.from_numpy(view.pixels), after, placebo

    def _region(self, operation: Operation, view: View, donor: View) -> Bool[np.ndarray, "h w"]:
        where = self.where(donor if operation == "insert" else view)
        if not self.around:
            return where
        hole = ~donor.ground
        if operation == "insert" and hole.sum() <= where.sum():
            where = where | hole
        return where & view.ground

    def _shown(self, donor: View) -> Bool[np.ndarray, "h w"]:
        """The donor's cue; of one that belongs to the surroundings, what is in them."""
        return self.where(donor) & donor.ground if self.around else self.where(donor)

    def _cue_of(
        self, donor: View, where: Bool[np.ndarray, "h w"], target: Bool[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "c h w"]:
        """The donor's cue and nothing else; a part that may lie anywhere is moved to where it is wanted."""
        if self.around:
            return plate(donor.pixels, where)
        moved = tuple(there - here for here, there in zip(_middle(where), _middle(target), strict=True))
        return plate(np.roll(donor.pixels, moved, (1, 2)), np.roll(where, moved, (0, 1)))


def _middle(where: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """Row and column of the middle of the box round it."""
    rows, columns = (np.flatnonzero(where.any(axis)) for axis in (1, 0))
    return int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2


def _drawn(places: tuple[int, ...], never: int, random: torch.Generator) -> int | None:
    """One of the places at random, not that one."""
    others = [place for place in places if place != never]
    return others[int(torch.randint(len(others), (1,), generator=random))] if others else None
