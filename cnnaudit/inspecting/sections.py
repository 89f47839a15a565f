"""The sections of an inspection: what each is made from by default, and when there is nothing to make it from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from cnnaudit import inspection
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, NotApplicableError
from cnnaudit.inspecting.material import Material
from cnnaudit.inspection.convolutions import convolutions
from cnnaudit.inspection.effective_field import MASS
from cnnaudit.inspection.photo_sets import Photos
from cnnaudit.inspection.points import layer_of
from cnnaudit.inspection.units import some_layers
from cnnaudit.results import (
    Ablation,
    Activations,
    ArchitectureFacts,
    Blocks,
    DeadUnits,
    EffectiveField,
    EffectiveFields,
    Embedding,
    Exemplars,
    Filters,
    ImageFacts,
    Visualizations,
    Walkthrough,
)
from cnnaudit.shapes import Pixels

_PICTURES = 8
_LAYERS = 6
_UNITS, _ABLATED = 6, 8
_VISUALIZED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a section is made from.

    Attributes:
        layers: those that were named; by default a section chooses its own.
        walk: the convolution to walk through; by default the section chooses one.
        told: to be called with how much is done, and of how much.
        made: the sections before this one, by name.
    """

    classifier: Classifier
    material: Material
    architecture: ArchitectureFacts
    layers: tuple[str, ...] | None
    walk: str | None
    seed: int
    told: Callable[[int, int], None]
    made: Mapping[str, Any]


def stages(asked: Asked, most: int = _LAYERS) -> list[str]:
    """The layers that were named, else the last convolution at each size of maps: at most so many, the last ones."""
    if asked.layers is not None:
        return list(_modules(asked) or ())
    ran = convolutions(asked.classifier)
    sizes = {each.name: each.output_shape[1:] for each in asked.architecture.layers if each.name in ran}
    names = list(sizes)
    ends = [name for name, after in zip(names, [*names[1:], ""], strict=True) if sizes.get(after) != sizes[name]]
    return ends[-most:]


def _modules(asked: Asked) -> tuple[str, ...] | None:
    """The layers that were named, without the functions behind them."""
    if asked.layers is None:
        return None
    return tuple(dict.fromkeys(layer_of(asked.classifier.network, name) for name in asked.layers))


def _blocks(asked: Asked) -> Blocks:
    return inspection.blocks(asked.classifier)


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


def _filters(asked: Asked) -> Filters:
    named = asked.layers and [name for name in _modules(asked) or () if name in convolutions(asked.classifier)]
    return inspection.filters(asked.classifier, layers=named or None)


def _activations(asked: Asked) -> Activations:
    photo, image = _photo(asked)
    found = inspection.activations(asked.classifier, photo, layers=_modules(asked), stage="activation")
    return replace(found, image=image.name)


def _walkthrough(asked: Asked) -> Walkthrough:
    photo, image = _photo(asked)
    return replace(inspection.walkthrough(asked.classifier, photo, asked.walk), image=image.name)


def _dead_units(asked: Asked) -> Mapping[str, DeadUnits]:
    return inspection.dead_units(asked.classifier, _photos(asked), progress=asked.told)


def _ablation(asked: Asked) -> Ablation:
    layer = asked.layers[-1] if asked.layers else None
    return inspection.ablation(asked.classifier, _photos(asked), layer=layer, units=_ABLATED, progress=asked.told)


def _exemplars(asked: Asked) -> Exemplars:
    """Of the units that stand out most; in the layer where some were switched off, of these, to show what they are."""
    photos, ablated = _photos(asked), asked.made.get("ablation")
    layers = list(asked.layers or some_layers(asked.classifier))
    others = [layer for layer in layers if ablated is None or layer != ablated.layer]
    parts: list[Exemplars] = []
    if others:
        parts.append(inspection.exemplars(asked.classifier, photos, layers=others, units=_UNITS, progress=asked.told))
    if ablated is not None:
        units = [each.unit for each in ablated.units]
        parts.append(
            inspection.exemplars(asked.classifier, photos, layers=[ablated.layer], units=units, progress=asked.told)
        )
    ran = {each.name: place for place, each in enumerate(asked.architecture.layers)}  # without whole blocks
    found = (layer for part in parts for layer in part.layers)
    network = asked.classifier.network
    order = sorted(found, key=lambda each: ran.get(layer_of(network, each.layer), len(ran)))
    return replace(parts[0], layers=tuple(order))


def _feature_visualization(asked: Asked) -> Visualizations:
    """Of the units whose best patches are shown, so that both can be compared; else of some units.

    Of those that were switched off, of all: what they fire on and what they are for are seen together.
    """
    found: Exemplars | None = asked.made.get("exemplars")
    ablated: Ablation | None = asked.made.get("ablation")
    most = {ablated.layer: _ABLATED} if ablated else {}
    layers = found.layers if found else ()
    shown = [(each.layer, unit) for each in layers for unit in each.units[: most.get(each.layer, _VISUALIZED)]]
    best = {(layer, unit.unit): unit.patches[0].activation for layer, unit in shown if unit.patches}
    wanted = [inspection.channel(layer, unit) for layer, unit in best]
    if not wanted and asked.layers:
        wanted = [inspection.channel(layer, unit) for layer in asked.layers for unit in range(_VISUALIZED)]
    made = inspection.visualize_feature(
        asked.classifier,
        wanted or inspection.default_objectives(asked.classifier, channels=_VISUALIZED),
        best=best,
        seed=asked.seed,
        progress=asked.told,
    )
    return inspection.settle_ties(asked.classifier, made, _photos(asked), progress=asked.told) if best else made


def _embedding(asked: Asked) -> Embedding:
    found = inspection.embedding(asked.classifier, _photos(asked), seed=asked.seed, progress=asked.told)
    paths = asked.material.paths
    return replace(found, names=tuple(paths[place].name for place in found.indices)) if paths else found


def _photo(asked: Asked) -> tuple[Pixels, ImageFacts]:
    if asked.material.photo is None or asked.material.image is None:
        raise NotApplicableError("There is no photo to follow. Give one with --photo, or pictures with --data.")
    return asked.material.photo, asked.material.image


def _photos(asked: Asked) -> Photos:
    if asked.material.photos is None:
        raise NotApplicableError("There are no pictures to run the network on. Give some with --data.")
    return asked.material.photos


SECTIONS: Mapping[str, Callable[[Asked], Any]] = {
    "blocks": _blocks,
    "dead_units": _dead_units,
    "filters": _filters,
    "activations": _activations,
    "fields": _fields,
    "ablation": _ablation,
    "exemplars": _exemplars,
    "feature_visualization": _feature_visualization,
    "embedding": _embedding,
    "walkthrough": _walkthrough,
}
"""In the order in which they are made; each name is that of a field of `InspectionFacts`."""
