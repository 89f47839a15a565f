"""Transfer learning: a new last layer on a network that has learned, and the rest of it held still."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from cnnaudit.errors import ModelError, OptionError, near_matches
from cnnaudit.models.sizes import known_count

_Head = nn.Linear | nn.Conv2d | nn.Conv1d


def head_parameters(network: nn.Module) -> tuple[str, ...]:
    """The names of the weights of the layer that gives the logits: the last linear or convolutional one.

    Last is meant as the network lists its layers, in which all of torchvision's keep to their order.

    Raises:
        ModelError: there is no such layer.
    """
    name, head = _head(network)
    return tuple(f"{name}.{part}".lstrip(".") for part, _ in head.named_parameters())


def replace_head(network: nn.Module, labels: int) -> tuple[str, ...]:
    """Put a fresh layer for `labels` classes in the place of the last one; returns its weights' names.

    The network is changed. The new layer has torch's own random start, and a bias if the old one had it.

    Raises:
        ModelError: there is no layer that could give the logits, or it is the whole network.
    """
    name, head = _head(network)
    parent, _, last = name.rpartition(".")
    if not name:
        raise ModelError(f"The network is a single {type(head).__name__}: there is nothing to keep. Make a new one.")
    setattr(network.get_submodule(parent), last, _fresh(head, known_count(labels, "labels")))
    return head_parameters(network)


def freeze_backbone(network: nn.Module, head: Iterable[str]) -> "Frozen":
    """Hold every weight still but those named; `Frozen.undo` lets go of them.

    Raises:
        OptionError: the network has no weights of such a name.
    """
    free, named = set(head), dict(network.named_parameters())
    for name in free - named.keys():
        raise OptionError(f"{type(network).__name__} has no weights {name!r}.{near_matches(name, named)}")
    held = tuple(weights for name, weights in named.items() if name not in free and weights.requires_grad)
    norms = tuple(
        module
        for path, module in network.named_modules()
        if getattr(module, "running_mean", None) is not None
        and not any(f"{path}.{part}".lstrip(".") in free for part, _ in module.named_parameters())
    )
    for weights in held:
        weights.requires_grad_(False)
    return Frozen(held, norms)


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """What is held still of a network.

    Batch norm moves with the pictures it sees in training mode even when nothing learns, so a training
    loop calls `hold` after each `network.train()`.

    Attributes:
        parameters: the weights that do not learn now, and did before.
        modules: the batch norm layers whose running mean and variance belong to them.
    """

    parameters: tuple[nn.Parameter, ...]
    modules: tuple[nn.Module, ...]

    def hold(self) -> None:
        """Put the batch norm layers into evaluation mode; the rest of the network stays in its own."""
        for module in self.modules:
            module.eval()

    def undo(self) -> None:
        """Let the weights learn again, and batch norm follow the pictures with the next `network.train()`."""
        for weights in self.parameters:
            weights.requires_grad_(True)


def _head(network: nn.Module) -> tuple[str, _Head]:
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, _Head)]
    if not found:
        raise ModelError(f"{type(network).__name__} has no linear or convolutional layer that could give the logits.")
    return found[-1]


def _fresh(head: _Head, labels: int) -> nn.Module:
    place = {"bias": head.bias is not None, "device": head.weight.device, "dtype": head.weight.dtype}
    if isinstance(head, nn.Linear):
        return nn.Linear(head.in_features, labels, **place)
    kind = nn.Conv1d if isinstance(head, nn.Conv1d) else nn.Conv2d
    shape = {key: getattr(head, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    return kind(head.in_channels, labels, **shape, **place)
