"""Objectives that can be climbed in the same forward passes, and a size of pictures that suits them all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cnnaudit.attribution.layers import find_layer
from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError, NotApplicableError
from cnnaudit.geometry import known_size
from cnnaudit.inspection.layouts import need_channels_first
from cnnaudit.inspection.visualizing.forms import faster
from cnnaudit.inspection.visualizing.objectives import Objective
from cnnaudit.inspection.visualizing.watching import Form, Probe, Watcher, grey_picture
from cnnaudit.shapes import Pixels

_LARGEST = 128  # side of pictures unless another is asked for: a third of the area of 224, and as readable


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Objectives (by place) that look at the same layers, and are therefore climbed in the same forward passes.

    Attributes:
        form: the network's, in which it computes sooner.
        style: the layer by which copies are kept apart.
        memory: bytes that the gradient of one picture keeps.
    """

    places: tuple[int, ...]
    size: tuple[int, int]
    form: Form
    style: str | None
    memory: int


def groups(
    classifier: Classifier, objectives: Sequence[Objective], size: int | tuple[int, int] | None, copies: int
) -> list[Group]:
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
) -> list[Group]:
    by_layers: dict[frozenset[str | None], list[int]] = {}
    for place, objective in enumerate(objectives):
        by_layers.setdefault(objective.layers, []).append(place)
    groups = []
    for layers, places in by_layers.items():
        probe = Watcher(classifier, layers).probe(grey_picture(classifier, size))
        need_channels_first(classifier, sorted(filter(None, layers)))
        for place in places:
            for term in objectives[place].terms:
                term.check(probe.shapes[term.layer])
        style = _style(classifier, objectives[places[0]], probe) if copies > 1 else None
        form = faster(classifier, layers if style is None else layers | {style}, _noise(classifier, size))
        groups.append(Group(tuple(places), size, form, style, probe.memory))
    return groups


def _noise(classifier: Classifier, size: tuple[int, int]) -> Pixels:
    """Two pictures on which networks can be compared."""
    shape = (2, classifier.channels, *size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(classifier.device)


def _style(classifier: Classifier, objective: Objective, probe: Probe) -> str | None:
    """The objective's own layer if its output has places, else the last layer with maps, if there is one."""
    own = objective.terms[0].layer
    if len(probe.shapes[own]) > 1:
        return own
    try:
        return find_layer(classifier, grey_picture(classifier, classifier.input_size))
    except NotApplicableError:
        return own
