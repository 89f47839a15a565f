"""A cue: something in pictures that goes with a class, and how to put it in and take it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from cnnaudit.results.audits import CueKind, CuePatch, Operation
from cnnaudit.shapes import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """Pictures before and after an edit and after its placebo, `n c h w` each, and their places in the set.

    The placebo is the same operator on as much of the same pictures, without the cue.

    Attributes:
        donors: for each, the picture that the cue was taken from, of which there may be few; empty where it is taken
            from none.
    """

    places: tuple[int, ...]
    before: Pixels
    after: Pixels
    placebo: Pixels
    donors: tuple[int, ...] = ()


Editor: TypeAlias = Callable[[Operation, Sequence[int], torch.Generator], Edited | None]
"""Edits the pictures at some places; those where it cannot be done are left out, and None if there are none."""


@dataclass(frozen=True, slots=True)
class Around:
    """How much of a property is left in the surroundings alone: see `surroundings.around`.

    Attributes:
        told: the area under the ROC curve of the surroundings' property against having it.
        link: the z score with which the surroundings' property goes with the class, or with its being answered.
        whole: the z score with which the whole pictures' does; of the two, the side where this is more.
    """

    told: float
    link: float
    whole: float

    @property
    def object_share(self) -> float:
        """The share of the link with the class that the surroundings do not have, 0 to 1."""
        return min(1.0, max(0.0, 1 - self.link / self.whole))


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """A candidate: nothing is known yet of whether the network leans on it.

    Attributes:
        id: short, the same for the same cue in the same set.
        name: in words.
        label: the class that it goes with, an index into the network's labels.
        present: in which pictures of the set it is.
        association: the area under the ROC curve of the cue against the class, 0.5 to 1.
        attribution: see `AuditFinding`.
        edit: how it is put in and taken out.
        operations: those that make sense for it.
        object_share: how much of the cue lies on the object, 0 to 1, by masks if there are any, else by estimate;
            None where that cannot be said. Of a property: the share of its link with the class that the surroundings
            lack; 0 of what has no place, such as a border or a column.
        around: of a property that has a place, what the surroundings have of it; None where that cannot be said.
        area: the share of a picture that it covers where it is; 1 for a property of the whole.
        copied: whether it is all but the same in every picture, as nothing natural is.
        evidence: sentences on what the cue is.
        patches: makes some pictures of it.
    """

    id: str
    kind: CueKind
    name: str
    label: int
    present: Bool[Tensor, " n"]
    association: float
    edit: Editor
    operations: tuple[Operation, ...] = ("remove", "insert")
    attribution: float | None = None
    object_share: float | None = None
    around: Around | None = None
    area: float = 1.0
    copied: bool = False
    evidence: tuple[str, ...] = ()
    patches: Callable[[], tuple[CuePatch, ...]] = tuple


def slug(text: str) -> str:
    """A text as a part of an id: its letters and digits, small, with hyphens between."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
