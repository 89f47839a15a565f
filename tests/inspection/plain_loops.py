"""What a reader would write to look at a network's layers: one picture at a time, a hook of torch's own."""

from collections.abc import Callable

import torch
from torch import Tensor

import cnnaudit as ca


def pictures(n: int, classifier: ca.Classifier, seed: int = 0) -> Tensor:
    """Noise of the network's input size, `n c h w` in [0, 1]."""
    shape = (n, classifier.channels, *classifier.input_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def outputs(classifier: ca.Classifier, pixels: Tensor, layer: str) -> Tensor:
    """What a layer returns for each picture."""
    kept: list[Tensor] = []
    hook = classifier.network.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2].clone()))
    scores(classifier, pixels)
    hook.remove()
    return torch.cat(kept)


def scores(classifier: ca.Classifier, pixels: Tensor) -> Tensor:
    """Logits, `n k`."""
    with torch.no_grad():
        return torch.cat([classifier.logits(picture[None]) for picture in pixels])


def changed(classifier: ca.Classifier, pixels: Tensor, layer: str, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits with something else in the place of what a layer returns."""
    hook = classifier.network.get_submodule(layer).register_forward_hook(lambda *a: change(a[2]))
    try:
        return scores(classifier, pixels)
    finally:
        hook.remove()
