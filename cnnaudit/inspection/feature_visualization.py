"""Feature visualisation: pictures that a unit of a network answers most."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError, NotApplicableError, OptionError
from cnnaudit.inspection.units import before_bounded
from cnnaudit.inspection.visualizing.answers import answers
from cnnaudit.inspection.visualizing.batching import Counted, batches
from cnnaudit.inspection.visualizing.grouping import groups
from cnnaudit.inspection.visualizing.objectives import Objective, channel
from cnnaudit.inspection.visualizing.searching import Found, Plan
from cnnaudit.inspection.visualizing.transformations import Shaking
from cnnaudit.results import Visualization, Visualizations

Wanted: TypeAlias = Objective | tuple[str, int | Sequence[int]] | Sequence[Objective]
"""An objective, several, or a layer's name with one or more of its channels."""


def visualize_feature(
    classifier: Classifier,
    wanted: Wanted,
    *,
    steps: int = 96,
    copies: int = 1,
    diversity: float = 0.5,
    size: int | tuple[int, int] | None = None,
    rate: float = 0.05,
    shaking: Shaking | None = None,
    best: Mapping[tuple[str, int], float] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Visualizations:
    """Pictures that make units, classes or directions of a network as active as possible.

    A picture is varied by its frequencies, weighted by 1/f, and its decorrelated colours, by Adam, while it
    is shifted, turned and scaled at random. Many objectives share a forward pass, which ends behind the
    layer that they look at; each picture's search is its own, and would go the same way alone.

    Args:
        classifier: the network.
        wanted: an objective of `cnnaudit.inspection` (`channel`, `neuron`, `direction`, `class_logit`, and
            their sums and differences), several, or a layer and its channels.
        steps: of the search.
        copies: pictures for each objective.
        diversity: how much likeness of an objective's copies costs, as a share of its activation.
        size: of the pictures; by default the network's input size, but no side beyond 128 if it runs there.
        rate: Adam's step size.
        shaking: how far pictures are moved, turned and scaled in the first half of the steps; then ever
            less, and in the last quarter not at all.
        best: for a layer and channel, the largest activation known of a dataset.
        seed: of everything random.
        progress: told how many steps of pictures are done, and of how many.

    Returns:
        Pictures in [0, 1], and how active each objective is on them as they are, unshaken, with the network
        as it is; and what the network takes them for, where it runs to its end at this size.

    Raises:
        OptionError: an option makes no sense, or nothing is wanted.
        LayerError: no such layer, channel or place, or the layer does not run.
        ModelError: the network fails on a picture of this size.
        NotApplicableError: no gradient comes back from the layer.
        NotFiniteError: an activation is not finite.
        MethodError: memory does not suffice for one objective.

    Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017. Unlike there, a channel's largest
    value is climbed beside its mean, and the last steps go without shaking: units of small kernels would
    otherwise stay below what photos reach. Where the layer is an activation function with an upper
    limit (ReLU6), what it is given is climbed, as at the limit nothing is left to climb.
    """
    _check(steps, copies, diversity, rate)
    objectives = _climbable(classifier, _objectives(wanted))
    with hooks.borrowed(classifier.network):
        together = groups(classifier, objectives, size, copies)
        plan = Plan(together[0].size, steps, rate, copies, diversity, shaking or Shaking(), seed)
        found: dict[int, list[Visualization]] = {}
        counted = Counted(progress, steps * copies * len(objectives))
        for group in together:
            for places, each in batches(classifier, objectives, group, plan, counted):
                shown = _records([objectives[place] for place in places], each, copies, best or {})
                found |= {place: shown[n * copies : (n + 1) * copies] for n, place in enumerate(places)}
    pictures = tuple(picture for place in sorted(found) for picture in found[place])
    said = answers(classifier, [each.pixels for each in pictures])
    pictures = tuple(replace(each, answer=answer) for each, answer in zip(pictures, said, strict=True))
    return Visualizations(pictures, steps, copies, diversity)


def _objectives(wanted: Wanted) -> tuple[Objective, ...]:
    if isinstance(wanted, Objective):
        return (wanted,)
    found: tuple[Any, ...] = tuple(wanted) if isinstance(wanted, Sequence) else ()
    if len(found) == 2 and isinstance(found[0], str):
        layer, indices = found
        found = tuple(channel(layer, index) for index in (indices if isinstance(indices, Iterable) else [indices]))
    objectives = tuple(each for each in found if isinstance(each, Objective))
    if not objectives or len(objectives) < len(found):
        raise OptionError(
            f"Give an objective, several, or a layer and its channels, such as ('conv2', [0, 5]); got {wanted!r}."
        )
    return objectives


def _climbable(classifier: Classifier, objectives: Sequence[Objective]) -> list[Objective]:
    """Climbed before activation functions that have an upper limit."""
    layers = {layer for objective in objectives for layer in objective.layers if layer}
    before: dict[str, str] = {}
    with suppress(ModelError, NotApplicableError):  # what a forward raises is told when pictures are tried
        before = before_bounded(classifier, layers)
    return [objective.through(before) for objective in objectives]


def _check(steps: int, copies: int, diversity: float, rate: float) -> None:
    if steps < 1 or copies < 1 or not diversity >= 0 or not rate > 0:
        raise OptionError(
            "steps and copies are at least 1, diversity is at least 0 and rate is above 0; got "
            f"{steps}, {copies}, {diversity}, {rate}."
        )


def _records(
    objectives: Sequence[Objective], found: Found, copies: int, best: Mapping[tuple[str, int], float]
) -> list[Visualization]:
    records = []
    for place, pixels in enumerate(found.pixels.numpy()):
        objective = objectives[place // copies]
        layer, index = objective.place_of_unit
        known = best.get((layer, index)) if layer is not None and index is not None else None
        records.append(
            Visualization(
                objective=objective.name,
                layer=layer,
                channel=index,
                copy=place % copies,
                pixels=pixels.astype(np.float32),
                activation=found.reached[place],
                start=found.start[place],
                best=known,
                given=found.given[place],
            )
        )
    return records
