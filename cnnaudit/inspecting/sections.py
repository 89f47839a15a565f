"""The sections of an inspection: what each is made from by default, and when there is nothing to make it from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cnnaudit import inspection
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, NotApplicableError
from cnnaudit.inspecting.material import Material
from cnnaudit.inspection.convolutions import convolutions
from cnnaudit.inspection.effective_field import MASS
from cnnaudit.results import ArchitectureFacts, EffectiveField, EffectiveFields
from cnnaudit.shapes import Pixels

_PICTURES = 8
_LAYERS = 6
_NO_PHOTO = "There is no photo. Give one with --photo, or pictures with --data."


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a section is made from.

    Attributes:
        layers: those that were named; by default a section chooses its own.
        walk: the convolution to walk through; by default the section chooses one.
        told: to be called with how much is done, and of how much.
    """

    classifier: Classifier
    material: Material
    architecture: ArchitectureFacts
    layers: tuple[str, ...] | None
    walk: str | None
    seed: int
    told: Callable[[int, int], None]


def stages(asked: Asked, most: int = _LAYERS) -> list[str]:
    """The layers that were named, else the last convolution at each size of maps: at most so many, the last ones."""
    if asked.layers is not None:
        return list(asked.layers)
    ran = convolutions(asked.classifier)
    sizes = {each.name: each.output_shape[1:] for each in asked.architecture.layers if each.name in ran}
    names = list(sizes)
    ends = [name for name, after in zip(names, [*names[1:], ""], strict=True) if sizes.get(after) != sizes[name]]
    return ends[-most:]


def _fields(asked: Asked) -> EffectiveFields:
    pixels, source = _sample(asked)
    found: list[EffectiveField] = []
    reasons: list[str] = []
    names = stages(asked)
    for place, name in enumerate(names):
        asked.told(place, len(names))
        try:
            found.append(inspection.effective_field(asked.classifier, name, pixels, draws=2, seed=asked.seed))
        except LayerError as error:
            reasons.append(str(error))
    if not found:
        raise NotApplicableError(reasons[0])
    photo = asked.material.photo
    return EffectiveFields(tuple(found), MASS, source, None if photo is None else photo[0].cpu().numpy())


def _sample(asked: Asked) -> tuple[Pixels, str]:
    """Pictures to take gradients on, and what they are in words."""
    material, classifier = asked.material, asked.classifier
    if material.part is not None:
        pixels = material.pixels(_PICTURES, classifier)
        return pixels, f"{len(pixels)} pictures of {material.name}"
    if material.photo is not None:
        return material.photo, "the photo"
    shape = (_PICTURES, classifier.channels, *classifier.input_size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(asked.seed))
    return noise.to(classifier.device), f"{_PICTURES} pictures of noise"


SECTIONS: Mapping[str, Callable[[Asked], Any]] = {"fields": _fields}
"""In the order of the page; each name is that of a field of `InspectionFacts`."""
