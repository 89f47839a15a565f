"""The places where a network's units are read: convolutions, behind their activation functions."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.convolutions import is_convolution
from cnnaudit.inspection.failing import probe
from cnnaudit.inspection.following import BOUNDED, FUNCTIONS, Following, version
from cnnaudit.inspection.operations import tensors
from cnnaudit.inspection.points import behind, function_of

_BOUNDED = (nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softsign, nn.LogSigmoid)  # ReLU6 is a Hardtanh


def unit_layers(classifier: Classifier, *, linear: bool = False) -> dict[str, str]:
    """For each convolution, in the order in which they run, the place where its units are read.

    That is behind the activation function which is given the convolution's output, itself or normalised, if nothing
    else is: a module that is called once, or `layer:function` (see `points`) where it is a function, or a module
    that serves several layers. Else it is the normalisation, or the convolution. With `linear` the linear layers too.

    Raises:
        NotApplicableError: the network has no convolution, nor a linear layer where these count.
        ModelError: it fails on a grey picture.
    """
    return {layer: read.place for layer, read in _read(classifier, linear=linear).items()}


def activated_layers(classifier: Classifier) -> list[str]:
    """Those of these places that lie behind activation functions, each once; all where none does.

    Raises:
        NotApplicableError: the network has no convolution.
        ModelError: it fails on a grey picture.
    """
    found = _read(classifier, linear=False).values()
    return list(dict.fromkeys(read.place for read in found if read.function or not any(r.function for r in found)))


def before_bounded(classifier: Classifier, layers: Iterable[str]) -> dict[str, str]:
    """Which of these places lie behind activation functions with an upper limit, and the module that gives to each.

    Behind them pictures that differ in what a unit makes of them come to the same value; they rise, so before them
    the order is what it is behind. Only modules that are called once count as givers.

    Raises:
        NotApplicableError: the network has neither a convolution nor a linear layer.
        ModelError: it fails on a grey picture.
    """
    modules = dict(classifier.network.named_modules())
    asked = {name for name in layers if isinstance(modules.get(name), _BOUNDED) or function_of(name) in BOUNDED}
    found = _read(classifier, linear=True).values() if asked else ()
    return {read.place: read.given for read in found if read.place in asked and read.function in BOUNDED and read.given}


def some_layers(classifier: Classifier, most: int = 4) -> tuple[str, ...]:
    """At most so many of these places, spread evenly through the network, the last one among them."""
    layers = list(dict.fromkeys(unit_layers(classifier).values()))
    step = max(1.0, len(layers) / most)
    chosen = {round(len(layers) - 1 - step * number) for number in range(min(most, len(layers)))}
    return tuple(layers[place] for place in sorted(chosen))


@dataclass(frozen=True, slots=True)
class _Read:
    """Where a layer's units are read.

    Attributes:
        given: the module whose output the activation function there is given; None where there is none.
        function: its name; empty where there is none.
    """

    place: str
    given: str | None = None
    function: str = ""


def _read(classifier: Classifier, *, linear: bool) -> dict[str, _Read]:
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule) and not any(True for _ in module.children())
    }
    followed = _Behind({name for name, module in modules.items() if _has_units(module, linear)})
    with followed, hooks.watched(modules, followed.returned), hooks.intercepted(followed.replacements()):
        probe(classifier)
    if not (found := followed.found()):
        raise NotApplicableError(f"{classifier.name} has no convolution that can be watched. Name layers that run.")
    return found


def _has_units(module: nn.Module, linear: bool) -> bool:
    return is_convolution(module) or (linear and isinstance(module, nn.Linear))


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What a layer returned at one call, or what a norm or an activation function then made of it.

    Attributes:
        version: of the tensor at that time; later it may have been written to.
        function: the activation function's name; empty where it was none.
        modules: those that returned this tensor, the innermost first.
    """

    tensor: Tensor  # holding it keeps its id its own
    version: int
    function: str = ""
    modules: list[str] = field(default_factory=list)


class _Behind(TorchFunctionMode):
    """Follows what some layers return, call by call, and counts what else takes it on the way."""

    def __init__(self, layers: Set[str]) -> None:
        super().__init__()
        self._layers = layers
        self._following = Following(self._taken)
        self._calls: list[tuple[str, list[_Step]]] = []
        self._latest: dict[int, _Step] = {}
        self._times: Counter[str] = Counter()
        self._uses: Counter[tuple[int, int]] = Counter()

    def replacements(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """For `hooks.intercepted`, inside of this."""
        return self._following.replacements()

    def returned(self, name: str, output: Any) -> None:
        """A module has returned."""
        self._times[name] += 1
        if not isinstance(output, Tensor):
            return
        if name in self._layers:
            self._following.follow(output, len(self._calls))
            self._calls.append((name, [self._step(output, "")]))
        if (step := self._latest.get(id(output))) is not None:
            step.modules.append(name)

    def found(self) -> dict[str, _Read]:
        """Where each layer's units are read."""
        by_layer: dict[str, list[Sequence[_Step]]] = {}
        for name, steps in self._calls:
            by_layer.setdefault(name, []).append(self._alone(steps))
        return {layer: self._place(layer, calls) for layer, calls in by_layer.items()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = {id(each): each for each in tensors([*args, *(kwargs or {}).values()])}
        taken = [(number, version(each)) for number, each in given.items() if number in self._latest]
        result = func(*args, **(kwargs or {}))
        if tensors(result):
            self._uses.update(taken)
        return result

    def _taken(self, number: int, result: Tensor, passed: tuple[str, ...]) -> None:
        function = passed[-1] if passed[-1] in FUNCTIONS else ""
        self._calls[number][1].append(self._step(result, function))

    def _step(self, tensor: Tensor, function: str) -> _Step:
        self._latest[id(tensor)] = step = _Step(tensor, version(tensor), function)
        return step

    def _alone(self, steps: Sequence[_Step]) -> Sequence[_Step]:
        """As far as each is taken by the next alone: what goes two ways is read before it does."""
        ends = (place for place, step in enumerate(steps, 1) if self._uses[id(step.tensor), step.version] > 1)
        return steps[: next(ends, len(steps))]

    def _place(self, layer: str, calls: Sequence[Sequence[_Step]]) -> _Read:
        functions = {steps[-1].function for steps in calls}
        if len(calls) > 1:
            if len(functions) == 1 and "" not in functions:
                function = functions.pop()
                return _Read(behind(layer, function), function=function)
            once = [name for steps in calls for step in steps if (name := self._once(step))]
            return _Read([layer, *once][-1])
        names = [self._once(step) for step in calls[0]]
        place = next(name for name in reversed(names) if name)
        function = functions.pop()
        if not function:
            return _Read(place)
        given = names[-2] if len(names) > 1 else None
        return _Read(names[-1] or behind(place, function), given, function)

    def _once(self, step: _Step) -> str | None:
        """The first module that returned this and is called once."""
        return next((name for name in step.modules if self._times[name] == 1), None)
