"""The layers whose channels count as a network's units: convolutions, taken behind their activation functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm, instancenorm, normalization

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.convolutions import is_convolution

_NORMS = (batchnorm._BatchNorm, instancenorm._InstanceNorm, normalization.GroupNorm)
_BOUNDED = (nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softsign, nn.LogSigmoid)  # ReLU6 is a Hardtanh


def unit_layers(classifier: Classifier, *, linear: bool = False) -> dict[str, str]:
    """For each convolution, in the order in which they run, the module behind which its units are read.

    That is the activation function which is given the convolution's output, itself or normalised, where both
    are modules that are called once; else the last of them that is one. With `linear` the linear layers too.

    Raises:
        NotApplicableError: the network has no convolution, nor a linear layer where these count.
    """
    return {layer: names[-1] for layer, names in _followed(classifier, linear=linear).found().items()}


def before_bounded(classifier: Classifier, layers: Iterable[str]) -> dict[str, str]:
    """Which of these modules are activation functions with an upper limit, and the module whose output each is given.

    Behind them pictures that differ in what a unit makes of them come to the same value; they rise, so before them
    the order is what it is behind. Only modules that are called once are met, as in `unit_layers`.
    """
    modules = dict(classifier.network.named_modules())
    bounded = {layer for layer in layers if isinstance(modules.get(layer), _BOUNDED)}
    if not bounded:
        return {}
    behind = _followed(classifier, linear=True)
    ends = [names[-2:] for names in behind.found().values() if len(names) > 1 and names[-1] in bounded]
    return {last: given for given, last in ends if behind.is_once(given)}


def _followed(classifier: Classifier, *, linear: bool) -> "_Behind":
    """What the outputs of convolutions, and of linear layers where these count, go through for a grey picture.

    Raises:
        NotApplicableError: the network has no convolution, nor a linear layer where these count.
    """
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if _has_units(module, linear) or isinstance(module, _NORMS) or type(module).__module__ == activation.__name__
    }
    watchable = {name: module for name, module in modules.items() if not isinstance(module, torch.jit.ScriptModule)}
    behind = _Behind({name for name, module in watchable.items() if _has_units(module, linear)}, watchable)
    grey = torch.full((1, classifier.channels, *classifier.input_size), 0.5, device=classifier.device)
    watched = hooks.watched(watchable, behind.returned)
    with hooks.borrowed(classifier.network), torch.no_grad(), hooks.fed(watchable, behind.given), watched:
        classifier.logits(grey)
    if not behind.passed:
        raise NotApplicableError(f"{classifier.name} has no convolution that can be watched. Name layers that run.")
    return behind


def _has_units(module: nn.Module, linear: bool) -> bool:
    return is_convolution(module) or (linear and isinstance(module, nn.Linear))


def some_layers(classifier: Classifier, most: int = 4) -> tuple[str, ...]:
    """At most so many of these modules, spread evenly through the network, the last one among them."""
    layers = list(dict.fromkeys(unit_layers(classifier).values()))
    step = max(1.0, len(layers) / most)
    chosen = {round(len(layers) - 1 - step * number) for number in range(min(most, len(layers)))}
    return tuple(layers[place] for place in sorted(chosen))


class _Behind:
    """Follows the tensors that some layers return through the modules that take them.

    Attributes:
        passed: by layer, the modules that its output went through, itself included.
    """

    def __init__(self, layers: Set[str], modules: Mapping[str, nn.Module]) -> None:
        self._layers, self._modules = layers, modules
        self.passed: dict[str, list[str]] = {}
        self._times: Counter[str] = Counter()
        self._followed: dict[int, tuple[Tensor, str]] = {}  # holding a tensor keeps its id its own
        self._taken: dict[str, str] = {}

    def given(self, name: str, inputs: tuple[Any, ...]) -> None:
        followed = self._followed.pop(id(inputs[0]), None) if inputs else None
        if followed and name not in self._layers:
            self._taken[name] = followed[1]

    def returned(self, name: str, output: Any) -> None:
        self._times[name] += 1
        layer = name if name in self._layers else self._taken.pop(name, None)
        if layer is None or not isinstance(output, Tensor):
            return
        self.passed.setdefault(layer, []).append(name)
        if name == layer or isinstance(self._modules[name], _NORMS):
            self._followed[id(output)] = output, layer

    def found(self) -> dict[str, list[str]]:
        """These modules as far as the last that is called once, by layer."""
        return {layer: self._once(names) or [layer] for layer, names in self.passed.items()}

    def is_once(self, name: str) -> bool:
        """Whether a module is called once."""
        return self._times[name] == 1

    def _once(self, names: list[str]) -> list[str]:
        last = max((place for place, name in enumerate(names) if self.is_once(name)), default=-1)
        return names[: last + 1]
