"""Some of the pictures, drawn and cut into parts: what edits are made of."""

import torch
from jaxtyping import Bool
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.scenery import Scenery, kinds_of
from cnnaudit.auditing.segments import Segmented, segmented


def cut(asked: Asked, most: int, *, watched: bool = False) -> tuple[Scenery, dict[int, Segmented]]:
    """All pictures, with kinds of parts learned from at most so many of them; and the parts of those, by their places.

    Args:
        watched: whether the network is asked as well (see `segmented`).
    """
    places = drawn(asked, torch.ones(len(asked.pictures), dtype=torch.bool), most)
    parts = dict(segmented(asked.classifier, asked.pictures, places, watched=watched))
    kinds = kinds_of(list(parts.values()), asked.seed)
    scenery = Scenery(asked.classifier, asked.pictures, kinds, watched=watched, holding=asked.holding)
    for place, part in parts.items():
        scenery.hold(place, part)
    return scenery, parts


def drawn(asked: Asked, some: Bool[Tensor, " n"], most: int) -> tuple[int, ...]:
    """The places of at most so many of these pictures, at random, in rising order."""
    fitting = some.nonzero().squeeze(1)
    order = torch.randperm(len(fitting), generator=torch.Generator().manual_seed(asked.seed))[:most]
    return tuple(fitting[order].sort().values.tolist())
