"""A second network that computes what the first does, in a form that runs faster; the first is left alone.

A twin shares every tensor that need not change, so it costs no more memory than the weights that do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

Pair = tuple[str, str]
"""The names of a convolution and of the batch normalisation behind it."""


def can_have_twin(network: nn.Module) -> bool:
    """False for scripted networks, and where hooks of the user's own see or change what passes."""
    return not any(
        isinstance(module, torch.jit.ScriptModule) or module._forward_hooks or module._forward_pre_hooks
        for module in network.modules()
    )


def twin(
    network: nn.Module, *, dtype: torch.dtype, channels_last: bool = False, folded: Sequence[Pair] = ()
) -> nn.Module:
    """The network again, its numbers in another type and layout, batch normalisation folded into convolutions.

    Modules are new. Tensors are shared where they stay as they are, and so is whatever else modules hold.

    Args:
        network: in evaluation mode; `can_have_twin` is true of it.
        dtype: of floating-point numbers.
        channels_last: whether tensors of four dimensions are laid out so.
        folded: as `foldable` found them.
    """
    again = _copied(network, {})
    with torch.no_grad():
        for conv, norm in folded:
            _fold(again, again.get_submodule(conv), again.get_submodule(norm))
        _convert(again, dtype, channels_last)
    return again


def foldable(network: nn.Module, ask: Callable[[], object]) -> tuple[Pair, ...]:
    """Convolutions whose output goes into one batch normalisation and nowhere else.

    Args:
        network: in evaluation mode.
        ask: sends a picture through the network; each operation on the way is watched.
    """
    modules = list(network.named_modules())
    convolutions = {id(m.weight): name for name, m in modules if type(m) is nn.Conv2d}
    norms = {id(m.running_mean): name for name, m in modules if type(m) is nn.BatchNorm2d and m.track_running_stats}
    watch = _Watch(convolutions)
    with watch, torch.no_grad():
        ask()
    pairs: list[Pair] = []
    for output, statistics in watch.normalised:
        weight = watch.outputs[id(output)][0]
        used_once = all(watch.uses[id(tensor)] == 1 for tensor in (output, weight, statistics))
        if used_once and id(statistics) in norms:
            pairs.append((convolutions[id(weight)], norms[id(statistics)]))
    return tuple(pairs)


class _Watch(TorchFunctionMode):
    """Records which convolution's output is normalised, and how often each tensor goes into an operation.

    Attributes:
        outputs: the weight and the output of each convolution, by the output's id; holding the output
            keeps its id from being given to another.
        normalised: such outputs, each with the running mean of the normalisation that it went into.
    """

    def __init__(self, convolutions: Iterable[int]) -> None:
        super().__init__()
        self.convolutions = frozenset(convolutions)
        self.uses: Counter[int] = Counter()
        self.outputs: dict[int, tuple[Tensor, Tensor]] = {}
        self.normalised: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(result)):  # asking a tensor for its shape is no use of it
            self.uses.update(id(tensor) for tensor in _tensors((args, kwargs or {})))
        if func is F.conv2d and len(args) > 1 and id(args[1]) in self.convolutions:
            self.outputs[id(result)] = args[1], result
            self.uses[id(result)] = 0  # an earlier tensor may have had this id
        if func is F.batch_norm and len(args) > 1 and id(args[0]) in self.outputs:
            self.normalised.append((args[0], args[1]))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _copied(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) not in made:
        made[id(module)] = again = object.__new__(type(module))
        own = {"_parameters": dict(module._parameters), "_buffers": dict(module._buffers)}
        children = {n: m and _copied(m, made) for n, m in module._modules.items()}
        again.__dict__ = vars(module) | own | {"_modules": children}
    return made[id(module)]


def _fold(network: nn.Module, conv: Any, norm: Any) -> None:
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
    conv._parameters |= {"weight": weight, "bias": bias}
    for parent in network.modules():
        places = [name for name, child in parent._modules.items() if child is norm]
        parent._modules |= dict.fromkeys(places, nn.Identity())


def _convert(network: nn.Module, dtype: torch.dtype, channels_last: bool) -> None:
    done: dict[int, tuple[Tensor, Tensor]] = {}  # what two modules share stays shared
    for module in network.modules():
        for table in _tables(module):
            for name, tensor in table.items():
                if tensor is not None:
                    _, table[name] = done.setdefault(id(tensor), (tensor, _converted(tensor, dtype, channels_last)))


def _tables(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return module._parameters, module._buffers


def _converted(tensor: Tensor, dtype: torch.dtype, channels_last: bool) -> Tensor:
    changed = tensor.to(dtype) if tensor.is_floating_point() else tensor
    if channels_last and tensor.ndim == 4:
        changed = changed.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(changed, False) if changed is not tensor and isinstance(tensor, nn.Parameter) else changed
