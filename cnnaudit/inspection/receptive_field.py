"""Which pixels a position of a layer can see, exactly."""

from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError
from cnnaudit.inspection.tracing import Call, trace
from cnnaudit.results import ReceptiveField


def receptive_field(classifier: Classifier, layer: str) -> ReceptiveField:
    r"""Size, jump and offset of what one position of a layer's output can see.

    Followed through the operations that one forward pass runs, so branches, sums, concatenations and
    functional code count as modules do. Along each direction, a window of kernel $k$, stride $s$,
    padding $p$ and dilation $d$ turns (size $r$, jump $j$, first pixel $a$) into
    $(r + (k - 1) d j,\; s j,\; a - p j)$; where paths meet, the field is the smallest rectangle around theirs.
    It is not cut off at the picture's edges, and a position there sees less.

    Raises:
        LayerError: no such layer, it does not run, or its field cannot be told (attention, resizing,
            or a module that is called several times and sees different parts).

    Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
    """
    find_module(classifier, layer)
    calls = trace(classifier)
    own = [call.sees for call in calls if call.name == layer]
    if not own:
        raise LayerError(f"{classifier.name} does not run {layer!r} when it is evaluated. Name a layer that runs.")
    if len(set(own)) > 1:
        raise LayerError(
            f"{layer!r} of {classifier.name} is called {len(own)} times and does not always see the same part of the "
            "picture. Name a layer that is called once."
        )
    if isinstance(own[0], str):
        raise LayerError(
            f"The receptive field of {layer!r} of {classifier.name} cannot be told: {own[0]} "
            f"(first in {_first(calls, own[0])!r}). Name a layer before that."
        )
    return own[0]


def receptive_fields(classifier: Classifier) -> dict[str, ReceptiveField | None]:
    """The receptive fields of all modules that run, from one forward pass.

    Returns:
        None for a layer for which `receptive_field` raises an error.
    """
    fields: dict[str, ReceptiveField | None] = {}
    for call in trace(classifier):
        field = call.sees if isinstance(call.sees, ReceptiveField) else None
        fields[call.name] = field if fields.get(call.name, field) == field else None
    return fields


def _first(calls: list[Call], reason: str) -> str:
    return next(call.name for call in calls if call.sees == reason)
