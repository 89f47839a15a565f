"""Following a layer's output through the normalisation and the activation function behind it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Function: TypeAlias = Callable[..., Any]
Taken: TypeAlias = Callable[[int, Tensor, tuple[str, ...]], None]
"""Called with the number of a layer, what became of its output, and the operations that made it so."""

_NORMS: dict[Function, str] = {
    F.batch_norm: "batch normalisation",
    F.instance_norm: "instance normalisation",
    F.group_norm: "group normalisation",
}
_ACTIVATIONS: dict[Function, str] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), "ReLU"),
    **dict.fromkeys((F.leaky_relu, F.prelu, F.rrelu), "leaky ReLU"),
    **dict.fromkeys((torch.sigmoid, Tensor.sigmoid, F.sigmoid), "sigmoid"),
    **dict.fromkeys((torch.tanh, Tensor.tanh, F.tanh), "tanh"),
    F.relu6: "ReLU6",
    F.hardtanh: "hard tanh",
    F.silu: "SiLU",
    F.gelu: "GELU",
    F.hardswish: "hard swish",
    F.hardsigmoid: "hard sigmoid",
    F.elu: "ELU",
    F.selu: "SELU",
    F.celu: "CELU",
    F.mish: "Mish",
    F.softplus: "softplus",
}


class Following:
    """Watches which of the tensors that it follows are normalised or activated.

    A tensor that something else has written to in the meantime, such as a sum in place, is no longer the
    layer's own and is lost sight of; behind an activation function nothing is followed.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._followed: dict[int, tuple[Tensor, int, int, tuple[str, ...]]] = {}  # holding it keeps its id its own

    def follow(self, output: Tensor, number: int, passed: tuple[str, ...] = ()) -> None:
        """Follow a layer's output from here."""
        self._followed[id(output)] = output, output._version, number, passed

    def replacements(self) -> Mapping[Function, Function]:
        """For `hooks.intercepted`: each operation, watched."""
        return {function: partial(self._watched, function) for function in (*_NORMS, *_ACTIVATIONS)}

    def _watched(self, function: Function, given: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output, version, number, passed = self._followed.get(id(given), (given, -1, -1, ()))
        is_own = output._version == version
        result = function(given, *args, **kwargs)
        if is_own:
            passed = (*passed, _NORMS.get(function) or _named(function, args, kwargs))
            self._taken(number, result, passed)
            self._followed.pop(id(given), None)
        if is_own and function in _NORMS:
            self.follow(result, number, passed)
        return result


def _named(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The activation function; the module `ReLU6` is a hard tanh from 0 to 6."""
    bounds = (*args, kwargs.get("min_val"), kwargs.get("max_val"))[:2]
    return "ReLU6" if function is F.hardtanh and bounds == (0.0, 6.0) else _ACTIVATIONS[function]
