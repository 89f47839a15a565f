"""Feature visualisation: pictures that a unit of a network answers most."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_layer
from cnnaudit.classifier import Classifier
from cnnaudit.errors import MethodError, ModelError, NotApplicableError, OptionError
from cnnaudit.geometry import known_size
from cnnaudit.inspection.convolutions import convolutions
from cnnaudit.inspection.visualizing.objectives import Objective, channel, class_logit
from cnnaudit.inspection.visualizing.searching import Found, Plan, search
from cnnaudit.inspection.visualizing.transformations import Shaking
from cnnaudit.inspection.visualizing.watching import Probe, Watcher
from cnnaudit.memory import is_out_of_memory
from cnnaudit.results import Visualization, Visualizations

Wanted: TypeAlias = Objective | tuple[str, int | Sequence[int]] | Sequence[Objective]
"""An objective, several, or a layer's name with one or more of its channels."""

_AT_ONCE = 32  # pictures in one forward pass; more of them are no faster
_MEMORY = 1 << 30  # bytes that the gradient of one batch may keep
_LARGEST = 128  # side of pictures unless another is asked for: an area of a third of 224, and as readable


def visualize_feature(
    classifier: Classifier,
    wanted: Wanted,
    *,
    steps: int = 128,
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
        shaking: how far pictures are moved, turned and scaled.
        best: for a layer and channel, the largest activation known of a dataset.
        seed: of everything random.
        progress: told how many steps of pictures are done, and of how many.

    Returns:
        Pictures in [0, 1], and how active each objective is on them as they are, unshaken, with the network
        as it is.

    Raises:
        OptionError: an option makes no sense, or nothing is wanted.
        LayerError: no such layer, channel or place, or the layer does not run.
        ModelError: the network fails on a picture of this size.
        NotFiniteError: an activation is not finite.
        MethodError: memory does not suffice for one objective.

    Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017. Activations are before
    shaking, as there is no shaking when a network is used.
    """
    objectives = _objectives(wanted)
    _check(steps, copies, diversity, rate)
    with hooks.borrowed(classifier.network):
        groups = _groups(classifier, objectives, size, copies)
        plan = Plan(groups[0].size, steps, rate, copies, diversity, shaking or Shaking(), seed)
        found: dict[int, list[Visualization]] = {}
        counted = _Counted(progress, steps * copies * len(objectives))
        for group in groups:
            for places, each in _batches(classifier, objectives, group, plan, counted):
                shown = _records([objectives[place] for place in places], each, copies, best or {})
                found |= {place: shown[n * copies : (n + 1) * copies] for n, place in enumerate(places)}
    pictures = tuple(picture for place in sorted(found) for picture in found[place])
    return Visualizations(pictures, steps, copies, diversity)


def default_objectives(classifier: Classifier, *, layers: int = 4, channels: int = 4) -> tuple[Objective, ...]:
    """What a report visualises unless it is told: channels of some convolutions, and classes where there are few.

    Convolutions are taken evenly from the second to the last, channels evenly from all; then the classes,
    if there are no more than `channels` times two of them.
    """
    found: list[Objective] = []
    try:
        names = list(convolutions(classifier))
    except NotApplicableError:
        names = []
    for name in _evenly(names[1:] or names, layers):
        found += [channel(name, index) for index in _evenly(range(_width(classifier, name)), channels)]
    if classifier.classes <= 2 * channels or not found:
        found += [class_logit(classifier, index) for index in range(min(classifier.classes, 2 * channels))]
    return tuple(found)


def _width(classifier: Classifier, name: str) -> int:
    module = classifier.network.get_submodule(name)
    return int(getattr(module, "out_channels", 1))


def _evenly(items: Sequence, count: int) -> list:
    if len(items) <= count:
        return list(items)
    last = len(items) - 1
    return [items[round(place * last / (count - 1))] for place in range(count)] if count > 1 else [items[last]]


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


def _check(steps: int, copies: int, diversity: float, rate: float) -> None:
    if steps < 1 or copies < 1 or not diversity >= 0 or not rate > 0:
        raise OptionError(
            "steps and copies are at least 1, diversity is at least 0 and rate is above 0; got "
            f"{steps}, {copies}, {diversity}, {rate}."
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """Objectives (by place) that look at the same layers, and are therefore climbed in the same forward passes.

    Attributes:
        style: the layer by which copies are kept apart.
        memory: bytes that the gradient of one picture keeps.
    """

    places: tuple[int, ...]
    size: tuple[int, int]
    style: str | None
    memory: int


@dataclass(slots=True)
class _Counted:
    """Passes on how far the search is."""

    progress: Callable[[int, int], None] | None
    total: int
    done: int = 0

    def __call__(self, pictures: int) -> None:
        self.done += pictures
        if self.progress:
            self.progress(self.done, self.total)


def _groups(
    classifier: Classifier, objectives: Sequence[Objective], size: int | tuple[int, int] | None, copies: int
) -> list[_Group]:
    """The objectives by their layers, all with one size of pictures, at which the network was seen to run."""
    if size is not None:
        return _grouped(classifier, objectives, known_size(size), copies)
    height, width = classifier.input_size
    factor = min(1.0, _LARGEST / max(height, width))
    smaller = (max(1, round(height * factor)), max(1, round(width * factor)))
    try:
        return _grouped(classifier, objectives, smaller, copies)
    except ModelError:
        if smaller == classifier.input_size:
            raise
        return _grouped(classifier, objectives, classifier.input_size, copies)


def _grouped(
    classifier: Classifier, objectives: Sequence[Objective], size: tuple[int, int], copies: int
) -> list[_Group]:
    grey = torch.full((1, classifier.channels, *size), 0.5, device=classifier.device)
    by_layers: dict[frozenset[str | None], list[int]] = {}
    for place, objective in enumerate(objectives):
        by_layers.setdefault(objective.layers, []).append(place)
    groups = []
    for layers, places in by_layers.items():
        probe = Watcher(classifier, layers).probe(grey.clone())
        for place in places:
            for term in objectives[place].terms:
                term.check(probe.shapes[term.layer])
        style = _style(classifier, objectives[places[0]], probe) if copies > 1 else None
        groups.append(_Group(tuple(places), size, style, probe.memory))
    return groups


def _style(classifier: Classifier, objective: Objective, probe: Probe) -> str | None:
    """The objective's own layer if its output has places, else the last layer with maps, if there is one."""
    own = objective.terms[0].layer
    if len(probe.shapes[own]) > 1:
        return own
    try:
        return find_layer(classifier, torch.full((1, classifier.channels, *classifier.input_size), 0.5))
    except NotApplicableError:
        return own


def _batches(
    classifier: Classifier, objectives: Sequence[Objective], group: _Group, plan: Plan, counted: _Counted
) -> Iterator[tuple[Sequence[int], Found]]:
    """What was found for each batch of a group, as large as memory allows."""
    room = max(1, min(_AT_ONCE, _MEMORY // max(1, group.memory)) // plan.copies)
    left = group.places
    while left:
        places, before = left[:room], counted.done
        chosen = [objectives[place] for place in places]
        found = _within_memory(partial(search, classifier, chosen, plan, group.style, counted))
        if found is not None:
            left = left[len(places) :]
            yield places, found
        elif room == 1:
            raise MethodError(
                f"Memory on {classifier.device} does not suffice for {plan.copies} pictures of "
                f"{plan.size[0]} x {plan.size[1]} at a time. Take a smaller size, or fewer copies."
            )
        else:
            room, counted.done = room // 2, before


def _within_memory(made: Callable[[], Found]) -> Found | None:
    """What was made; None where memory ran out, after the exception no longer holds on to what it saw."""
    try:
        return made()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


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
            )
        )
    return records
