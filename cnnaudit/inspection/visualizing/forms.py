"""The form in which a network computes the same sooner, for the layers that are looked at."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.inspection.visualizing.watching import Form, Watcher
from cnnaudit.shapes import Pixels
from cnnaudit.twins import can_have_twin, foldable, twin

_ROUNDING = 1e-3  # of the largest value of a layer


def faster(classifier: Classifier, layers: frozenset[str | None], pixels: Pixels) -> Form:
    """A twin with batch normalisation folded into convolutions and, on a CPU, maps laid out place by place.

    On MobileNetV2, whose convolutions are bound by memory, that halves the time of a step.

    Args:
        classifier: borrowed.
        layers: None stands for the logits.
        pixels: what the forms are compared on.

    Returns:
        The network as it is where these layers do not return the same in a twin, or it can have none.
    """
    as_is = Form(classifier.network)
    if not can_have_twin(classifier.network):
        return as_is
    with torch.no_grad():
        expected = Watcher(classifier, layers).outputs(pixels)
        for form in _candidates(classifier, layers, pixels):
            try:
                found = Watcher(classifier, layers, form).outputs(pixels)
            except Exception:  # a forward may rely on its modules or its layout; then this form is none for it
                continue
            if all(_same(found[layer], expected[layer]) for layer in layers):
                return form
    return as_is


def _candidates(classifier: Classifier, layers: frozenset[str | None], pixels: Pixels) -> Iterator[Form]:
    """Forms to try, the fastest first."""
    network = classifier.network
    found = foldable(network, lambda: Watcher(classifier, layers).outputs(pixels))
    pairs = [pair for pair in found if pair[0] not in layers]
    if classifier.device.type == "cpu" and pixels.shape[2] > 1:
        again = twin(network, dtype=classifier.dtype, channels_last=True, folded=pairs)
        yield Form(again, torch.channels_last)
    if pairs:
        yield Form(twin(network, dtype=classifier.dtype, folded=pairs))


def _same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().amax() <= _ROUNDING * expected.abs().amax())
