"""The convolutions of a network, in the order in which they run."""

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import nn

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, NotApplicableError, OptionError
from cnnaudit.inspection.failing import probe

Convolution = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d


def is_convolution(module: nn.Module) -> TypeGuard[Convolution]:
    """Whether this is a convolution over a picture or a signal; a scripted one says so by its original name."""
    names = {"Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"}
    return isinstance(module, Convolution) or getattr(module, "original_name", "") in names


def convolutions(classifier: Classifier) -> dict[str, Convolution]:
    """The convolutions that a picture passes through, each once, in the order in which they are first called.

    Those of a scripted network, which cannot be watched, come in the order in which it holds them.

    Raises:
        NotApplicableError: there is none.
        ModelError: the network fails on a grey picture.
    """
    held = {name: module for name, module in classifier.network.named_modules() if is_convolution(module)}
    watchable = {name: m for name, m in held.items() if name and not isinstance(m, torch.jit.ScriptModule)}
    ran: dict[str, Convolution] = {}

    def seen(name: str, _output: Any) -> None:
        ran.setdefault(name, held[name])

    with hooks.watched(watchable, seen):
        probe(classifier)
    if not (found := ran or held):
        raise NotApplicableError(f"{classifier.name} has no convolution: no module of it is a Conv1d or Conv2d.")
    return found


def chosen_convolutions(classifier: Classifier, layers: Sequence[str] | None) -> dict[str, Convolution]:
    """The convolutions of these names, in this order; by default all that run.

    Raises:
        LayerError: there is no such module, or it is no convolution.
        NotApplicableError: there is no convolution at all.
    """
    if layers is None:
        return convolutions(classifier)
    chosen: dict[str, Convolution] = {}
    for name in known_layers(layers):
        module = find_module(classifier, name)
        if not is_convolution(module):
            raise LayerError(
                f"{name!r} of {classifier.name} is a {type(module).__name__}, which has no filters. "
                "Name a convolution, or leave layers out for all of them."
            )
        chosen[name] = module
    return chosen


def known_layers(layers: Sequence[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        OptionError: there is none.
    """
    names = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
    if not names:
        raise OptionError("layers is empty; name at least one, or leave it out for all convolutions.")
    return names
