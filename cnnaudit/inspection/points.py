"""Places in a network whose values can be watched and replaced: what a module returns, or a function makes of it.

A module's own output goes by the module's name. Behind an activation function that is no module, or one that serves
several layers, it is `layer:function`, such as `layer1.0.bn1:ReLU`: what that function makes of what the layer
returns, normalised or not, at each call of the layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.following import FUNCTIONS, Following


def behind(layer: str, function: str) -> str:
    """The name of what an activation function makes of a layer's output."""
    return f"{layer}:{function}"


def function_of(name: str) -> str:
    """The activation function in the name of a place; empty where there is none."""
    _, colon, function = name.rpartition(":")
    return function if colon and function in FUNCTIONS else ""


def layer_of(network: nn.Module, name: str) -> str:
    """The module to which a place belongs."""
    return _parted(network, name)[0]


def find_point(classifier: Classifier, name: str) -> nn.Module:
    """The module to which the place of this name belongs.

    Raises:
        LayerError: there is no such module; the message names near matches.
    """
    return find_module(classifier, layer_of(classifier.network, name))


def need_watchable(classifier: Classifier, names: Sequence[str]) -> None:
    """See that these places are there, and can be watched.

    Raises:
        LayerError: there is no such module; the message names near matches.
        NotApplicableError: the network is scripted, and what its layers return cannot be watched.
    """
    if any(isinstance(find_point(classifier, name), torch.jit.ScriptModule) for name in names):
        raise NotApplicableError(f"{classifier.name} is scripted: what its layers return cannot be watched.")


@contextmanager
def watched(network: nn.Module, names: Sequence[str], seen: Callable[[str, Any], Tensor | None]) -> Iterator[None]:
    """As `hooks.watched`, for places: a tensor that `seen(name, output)` returns takes the output's place."""
    plain: dict[str, nn.Module] = {}
    functions: dict[str, dict[str, str]] = {}  # by layer and function, the place
    for name in names:
        layer, function = _parted(network, name)
        if function:
            functions.setdefault(layer, {})[function] = name
        else:
            plain[name] = network.get_submodule(name)
    if not functions:
        with hooks.watched(plain, seen):
            yield
        return
    layers = list(functions)

    def reached(number: int, result: Tensor, passed: tuple[str, ...]) -> Tensor | None:
        name = functions[layers[number]].get(passed[-1])
        return None if name is None else seen(name, result)

    following = Following(reached)

    def returned(layer: str, output: Any) -> None:
        if isinstance(output, Tensor):
            following.follow(output, layers.index(layer))

    followed = hooks.watched({layer: network.get_submodule(layer) for layer in layers}, returned)
    with hooks.watched(plain, seen), followed, hooks.intercepted(following.replacements()):
        yield


def _parted(network: nn.Module, name: str) -> tuple[str, str]:
    """The module, and the function; none where it is the module's own output."""
    if not (function := function_of(name)):
        return name, ""
    layer, modules = name.rpartition(":")[0], dict(network.named_modules())
    return (layer, function) if layer in modules and name not in modules else (name, "")
