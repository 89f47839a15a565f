"""What a network's last layer is given: where it is, and how it is read."""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError, NotApplicableError
from cnnaudit.inspection.convolutions import is_convolution
from cnnaudit.inspection.failing import batch_errors, probe
from cnnaudit.shapes import Pixels


class LastFeatures:
    """Runs the network and keeps what a layer is given.

    Attributes:
        pooled: whether that was maps, averaged over their places.
    """

    def __init__(self, classifier: Classifier, layer: str) -> None:
        self.layer, self.pooled = layer, False
        self._classifier = classifier
        self._module = find_module(classifier, layer)
        self._features: list[Tensor] = []

    def read(self, pixels: Pixels) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, "n k"]]:
        """Features and logits of a batch, on the CPU.

        Raises:
            ModelError: the network fails, or the layer is given nothing that could be a picture's features.
        """
        with batch_errors(self._classifier, pixels):
            return self.read_bare(pixels)

    def read_bare(self, pixels: Pixels) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, "n k"]]:
        """The same; what the network raises comes out as it is."""
        self._features = []
        network = self._classifier.network
        with hooks.borrowed(network), torch.no_grad(), hooks.fed({self.layer: self._module}, self._seen):
            logits = self._classifier.logits(pixels.to(self._classifier.device))
        taken_apart = sum(map(len, self._features)) == len(pixels)  # the batch, by the network
        features = torch.cat(self._features) if taken_apart else self._features[-1] if self._features else None
        if features is None or len(features) != len(pixels):
            found = "nothing" if features is None else f"a tensor of shape {tuple(features.shape)}"
            raise ModelError(f"{self.layer!r} is given {found} for {len(pixels)} pictures. Name another layer.")
        return features.float().cpu(), logits.float().cpu()

    def _seen(self, _name: str, inputs: tuple[Any, ...]) -> None:
        given = inputs[0] if inputs else None
        if isinstance(given, Tensor):
            self.pooled = given.ndim > 2
            places = (1,) if isinstance(self._module, nn.Linear) else tuple(range(2, given.ndim))
            self._features.append(given.detach().mean(places) if self.pooled else given.detach().clone())


def penultimate(classifier: Classifier) -> str:
    """The last linear layer or convolution that returns a value a class, else the last one at all.

    Raises:
        NotApplicableError: there is none, or the network cannot be watched.
        ModelError: the network fails on a grey picture.
    """
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if name and (isinstance(module, nn.Linear) or is_convolution(module))
        if not isinstance(module, torch.jit.ScriptModule)
    }
    called: list[tuple[str, int]] = []

    def seen(name: str, output: Any) -> None:
        called.append((name, output.shape[-1 if isinstance(modules[name], nn.Linear) else 1]))

    with hooks.watched(modules, seen):
        probe(classifier)
    if not called:
        raise NotApplicableError(
            f"{classifier.name} has no linear layer or convolution that could be watched. "
            "Name the module whose input the features are with layer."
        )
    sizes = (classifier.classes, 1) if classifier.classes == 2 else (classifier.classes,)
    fitting = [name for name, size in called if size in sizes]
    return (fitting or [name for name, _ in called])[-1]
