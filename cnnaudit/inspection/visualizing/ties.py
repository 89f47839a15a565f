"""Which of two is ahead where both reach the upper limit of an activation function."""

import math
from collections import defaultdict
from dataclasses import replace

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.inspection.best import largest
from cnnaudit.inspection.photo_sets import Photos, photo_set
from cnnaudit.inspection.units import before_bounded
from cnnaudit.inspection.watching import Progress, called, watch
from cnnaudit.results import Visualization, Visualizations

_NEAR = 1e-3


def settle_ties(
    classifier: Classifier, found: Visualizations, photos: Photos, *, progress: Progress | None = None
) -> Visualizations:
    """The same visualisations; those that reach an upper limit as the best of `photos` does, compared before it.

    A ReLU6 gives 6 for all that excites its unit enough, made pictures and photos alike. What it is given tells them
    apart, and is in the same order. That takes a pass over the pictures, through the layers in question alone.

    Args:
        found: made by `visualize_feature`, with the `best` of these photos.
        photos: as in `exemplars`.

    Raises:
        OptionError: `photos` is nothing that can be read.
        DataError: no picture can be read.
        ModelError: the network fails on the pictures.
    """
    tied = [each for each in found.pictures if _is_tied(each)]
    before = before_bounded(classifier, {each.layer for each in tied if each.layer})
    best = _largest_given(classifier, photos, before, tied, progress)
    settled = (replace(each, best_given=best.get((each.layer, each.channel))) for each in tied)
    by_picture = dict(zip(map(id, tied), settled, strict=True))
    return replace(found, pictures=tuple(by_picture.get(id(each), each) for each in found.pictures))


def _is_tied(each: Visualization) -> bool:
    """Whether both are at the limit, or so near to it that rounding may decide."""
    if each.given is None or each.best is None or each.activation > each.best:
        return False
    return math.isclose(each.activation, each.best, rel_tol=_NEAR)


def _largest_given(
    classifier: Classifier,
    photos: Photos,
    before: dict[str, str],
    tied: list[Visualization],
    progress: Progress | None,
) -> dict[tuple[str | None, int | None], float]:
    """Of each tied unit over all pictures."""
    units: dict[str, list[int]] = defaultdict(list)
    for each in tied:
        if each.layer in before and each.channel is not None and each.channel not in units[before[each.layer]]:
            units[before[each.layer]].append(each.channel)
    if not units:
        return {}
    tops = {name: torch.full((len(channels),), -torch.inf) for name, channels in units.items()}

    def seen(name: str, maps: Tensor, _places: Tensor) -> None:
        tops[name] = tops[name].maximum(largest(maps[:, units[name]]).amax(0).float().cpu())

    calls = {name: times for name, (times, _) in called(classifier, list(units)).items()}
    watch(classifier, photo_set(classifier, photos), calls, seen, progress=progress)
    return {
        (layer, channel): float(top)
        for layer, name in before.items()
        for channel, top in zip(units[name], tops[name].tolist(), strict=True)
    }
