"""The network in a form that computes the same sooner, for the layers that are looked at."""

import torch
from torch import nn

from cnnaudit.classifier import Classifier
from cnnaudit.inspection.visualizing.watching import Watcher
from cnnaudit.shapes import Pixels
from cnnaudit.twins import can_have_twin, foldable, twin

_ROUNDING = 1e-3  # of the largest value of a layer


def folded(classifier: Classifier, layers: frozenset[str | None], pixels: Pixels) -> nn.Module:
    """A twin with batch normalisation folded into the convolutions before it, if `layers` return the same in it.

    Args:
        classifier: borrowed.
        layers: None stands for the logits.
        pixels: what both are compared on.

    Returns:
        The network itself where nothing can be folded, or what is looked at would change.
    """
    network, plain = classifier.network, Watcher(classifier, layers)
    if not can_have_twin(network):
        return network
    with torch.no_grad():
        expected = plain.outputs(pixels)
        pairs = [pair for pair in foldable(network, lambda: plain.outputs(pixels)) if pair[0] not in layers]
        if not pairs:
            return network
        again = twin(network, dtype=classifier.dtype, folded=pairs)
        try:
            found = Watcher(classifier, layers, again).outputs(pixels)
        except Exception:  # a forward may rely on what its modules are; then this form is none for it
            return network
    scales = {layer: _ROUNDING * float(output.abs().max()) for layer, output in expected.items()}
    same = all(torch.allclose(found[layer], expected[layer], atol=scale, rtol=0) for layer, scale in scales.items())
    return again if same else network
