"""Following a layer's output through the normalisation and the activation function behind it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Function: TypeAlias = Callable[..., Any]
Taken: TypeAlias = Callable[[int, Tensor, tuple[str, ...]], Tensor | None]
"""Called with the number of a layer, what became of its output, and the operations that made it so.

A tensor that it returns takes the place of what became.
"""

_NORMS: dict[Function, str] = {
    F.batch_norm: "batch normalisation",
    F.instance_norm: "instance normalisation",
    F.group_norm: "group normalisation",
}
_ACTIVATIONS: dict[Function, str] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), "ReLU"),
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_, F.prelu, torch.prelu, F.rrelu, F.rrelu_), "leaky ReLU"),
    **dict.fromkeys((torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_, F.sigmoid), "sigmoid"),
    **dict.fromkeys((torch.tanh, torch.tanh_, Tensor.tanh, Tensor.tanh_, F.tanh), "tanh"),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), "hard tanh"),
    **dict.fromkeys((F.elu, F.elu_), "ELU"),
    **dict.fromkeys((F.selu, F.selu_), "SELU"),
    **dict.fromkeys((F.celu, F.celu_), "CELU"),
    **dict.fromkeys((F.threshold, torch.threshold_), "threshold"),
    **dict.fromkeys((torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_), "clamp"),
    **dict.fromkeys((torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_), "clamp"),
    F.relu6: "ReLU6",
    F.silu: "SiLU",
    F.gelu: "GELU",
    F.hardswish: "hard swish",
    F.hardsigmoid: "hard sigmoid",
    F.mish: "Mish",
    F.softplus: "softplus",
    F.softsign: "softsign",
    F.logsigmoid: "log sigmoid",
}
FUNCTIONS = frozenset(_ACTIVATIONS.values())
"""The activation functions that are known, by name."""
BOUNDED = frozenset({"ReLU6", "hard tanh", "clamp", "sigmoid", "hard sigmoid", "tanh", "softsign", "log sigmoid"})
"""Those with an upper limit."""


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
        self._followed[id(output)] = output, version(output), number, passed

    def replacements(self) -> Mapping[Function, Function]:
        """For `hooks.intercepted`: each operation, watched."""
        return {function: partial(self._watched, function) for function in (*_NORMS, *_ACTIVATIONS)}

    def _watched(self, function: Function, given: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output, before, number, passed = self._followed.get(id(given), (given, -1, -1, ()))
        is_own = isinstance(given, Tensor) and version(output) == before
        result = function(given, *args, **kwargs)
        if not is_own:
            return result
        passed = (*passed, _NORMS.get(function) or _named(function, args, kwargs))
        self._followed.pop(id(given), None)
        if (changed := self._taken(number, result, passed)) is not None:
            result = _in_its_place(result, changed, is_in_place=result is given)
        if function in _NORMS:
            self.follow(result, number, passed)
        return result


def version(tensor: Tensor) -> int:
    """How often a tensor was written to; in inference mode, where that is not counted, always the same."""
    return 0 if tensor.is_inference() else tensor._version


def _in_its_place(result: Tensor, changed: Tensor, *, is_in_place: bool) -> Tensor:
    """The tensor to go on with: others may hold what was made in place, unless a gradient needs it as it is."""
    if is_in_place and result.shape == changed.shape and not result.requires_grad:
        return result.copy_(changed)
    return changed


def _named(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The activation function; the module `ReLU6` is a hard tanh from 0 to 6."""
    bounds = (*args, kwargs.get("min_val"), kwargs.get("max_val"))[:2]
    return "ReLU6" if function in (F.hardtanh, F.hardtanh_) and bounds == (0.0, 6.0) else _ACTIVATIONS[function]
