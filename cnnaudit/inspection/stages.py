"""A convolution's own arguments, and what the network does to its maps behind it, seen while a forward pass runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnnaudit.inspection.operations import Operation, tensors
from cnnaudit.inspection.pooled import POOLINGS, pooling_windows
from cnnaudit.results import Windows

ACTIVATIONS = {
    **{"relu": "ReLU", "leaky_relu": "leaky ReLU", "_prelu_kernel": "PReLU", "rrelu_with_noise": "RReLU"},
    **{"elu": "ELU", "celu": "CELU", "gelu": "GELU", "silu": "SiLU", "mish": "Mish", "softplus": "softplus"},
    **{"sigmoid": "sigmoid", "hardsigmoid": "hard sigmoid", "log_sigmoid_forward": "log sigmoid", "tanh": "tanh"},
    **{"hardtanh": "hard tanh", "hardswish": "hard swish", "softshrink": "soft shrink", "hardshrink": "hard shrink"},
    **{"threshold": "threshold", "clamp": "clamp", "clamp_min": "clamp"},
}
NORMS = {
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"), "batch norm"),
    "native_group_norm": "group norm",
}
_PADS = ("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
_VIEWS = ("view", "_unsafe_view", "squeeze", "unsqueeze", "alias", "detach", "lift_fresh")
_WITHOUT_OPERATIONS = (nn.Identity, nn.modules.dropout._DropoutNd)


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One run of the operation: its arguments, with two directions, and what a padding before it added.

    Attributes:
        padded: before and behind, the last direction first, as `torch.nn.functional.pad` takes it; None where
            no operation padded the input.
    """

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padded: Sequence[int] | None


@dataclass(slots=True, eq=False)
class Node:
    """Maps behind the convolution, `c h w`: what made them, and how many operations took them from here.

    Attributes:
        tensors: those that hold them; an operation in place may have changed them since.
    """

    tensors: list[Tensor]
    maps: Tensor
    kind: Literal["norm", "sum", "activation", "pooling"]
    name: str
    layer: str = ""
    scale: tuple[float, ...] | None = None
    shift: tuple[float, ...] | None = None
    added: Tensor | None = None
    windows: tuple[Windows, Windows] | None = None
    uses: int = field(default=0)

    def holds(self, tensor: Any) -> bool:
        """Whether this is one of its tensors."""
        return any(tensor is own for own in self.tensors)


class Follower(TorchDispatchMode):
    """Watches the first call of one layer, and follows its output from one operation to the next."""

    def __init__(self, layer: str, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.convolution: Convolution | None = None
        self.chain: list[Node] = []
        self.calls = 0
        self._layer, self._modules = layer, modules
        self._latest: tuple[Operation, Tensor] | None = None
        self._pad: tuple[Sequence[int], Tensor] | None = None

    def stages(self) -> list[Node]:
        """What follows the convolution, as long as the maps go one way only."""
        last = next((at for at, node in enumerate(self.chain) if node.uses > 1), len(self.chain))
        return self.chain[1 : last + 1]

    def returned(self, name: str, output: Any) -> None:
        """A module has returned: it may be the layer, or what the latest operation ran in."""
        if name == self._layer:
            self.calls += 1
            if self.calls == 1 and self._latest and output is self._latest[1]:
                self._begin(*self._latest)
        elif self.chain and not self.chain[-1].layer and self.chain[-1].holds(output):
            module, node = self._modules[name], self.chain[-1]
            if not isinstance(module, _WITHOUT_OPERATIONS) and not any(True for _ in module.children()):
                node.layer, node.name = name, type(module).__name__ if node.kind == "activation" else node.name

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        returned, given = tensors(result), tensors([*args, *(kwargs or {}).values()])
        operation = Operation.called(func, args, kwargs or {}, returned, lambda _: None)
        if self.chain:
            self._follow(operation, given, returned)
        elif operation.name == "convolution" and self.calls == 0:
            self._latest = operation, returned[0]
        elif operation.name in _PADS:
            self._pad = operation.first("pad", "padding"), returned[0]
        return result

    def _begin(self, operation: Operation, output: Tensor) -> None:
        given = operation["input"]
        self.convolution = Convolution(
            _two(given.detach().clone()),
            _two(operation["weight"].detach()),
            None if operation["bias"] is None else operation["bias"].detach(),
            _pair(operation["stride"], 1),
            _pair(operation["padding"], 0),
            _pair(operation["dilation"], 1),
            operation["groups"],
            self._pad[0] if self._pad and self._pad[1] is given else None,
        )
        self.chain.append(Node([output], _maps(output), "sum", "convolution", self._layer))
        self._latest = self._pad = None

    def _follow(self, operation: Operation, given: Sequence[Tensor], returned: Sequence[Tensor]) -> None:
        """Count who takes the maps; go on from the latest ones where it can be said what is done to them."""
        taken = [self._latest_with(tensor) for tensor in given]
        nodes = list(dict.fromkeys(node for node in taken if node is not None))
        if not nodes:
            return
        if operation.name in _VIEWS and _same_places(returned[0], nodes[0].maps):
            nodes[0].tensors.append(returned[0])
            return
        for node in nodes:
            node.uses += 1
        last = self.chain[-1]
        if nodes == [last] and last.uses == 1 and last.kind != "pooling" and returned:
            behind = _pooled(operation, last, returned[0]) or _changed(operation, last, returned[0])
            self.chain += [behind] if behind else []

    def _latest_with(self, tensor: Tensor) -> Node | None:
        """Whose maps are in this tensor now: operations in place put later ones where earlier ones were."""
        return next((node for node in reversed(self.chain) if node.holds(tensor)), None)


def _pooled(operation: Operation, node: Node, result: Tensor) -> Node | None:
    if operation.name not in POOLINGS or not node.holds(operation["self"]):
        return None
    windows = pooling_windows(operation, node.maps.shape[1:])
    return windows and Node([result], _maps(result), "pooling", POOLINGS[operation.name], windows=windows)


def _changed(operation: Operation, node: Node, result: Tensor) -> Node | None:
    """The maps with other values in the same places."""
    name = operation.name
    if not _same_places(result, node.maps):
        return None
    if (added := _other_summand(operation, node, result)) is not None:
        return Node([result], _maps(result), "sum", "sum", added=added)
    if not node.holds(operation.first("self", "input")):
        return None
    if name in ACTIVATIONS:
        return Node([result], _maps(result), "activation", ACTIVATIONS[name])
    if name in NORMS:
        scale, shift = _scale_and_shift(operation)
        return Node([result], _maps(result), "norm", NORMS[name], scale=scale, shift=shift)
    return None


def _other_summand(operation: Operation, node: Node, result: Tensor) -> Tensor | None:
    """Of a sum of two maps of one size, the one that comes another way."""
    one, two = operation.first("self"), operation.first("other")
    if operation.name != "add" or not (isinstance(one, Tensor) and isinstance(two, Tensor)):
        return None
    own = [node.holds(each) for each in (one, two)]
    if one.shape != two.shape or all(own) or operation["alpha"] != 1:
        return None
    other = two if own[0] else one
    return _maps(result) - node.maps if other is result else _maps(other)  # in place, the other is gone by now


def _scale_and_shift(operation: Operation) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Of a batch norm with its own statistics."""
    mean, variance = operation.first("running_mean"), operation.first("running_var")
    if mean is None or variance is None or operation.first("training"):
        return None, None
    scale = (variance.double() + operation.first("eps", "epsilon")).rsqrt()
    if operation["weight"] is not None:
        scale = scale * operation["weight"].double()
    shift = -mean.double() * scale
    if operation["bias"] is not None:
        shift = shift + operation["bias"].double()
    return tuple(scale.tolist()), tuple(shift.tolist())


def _same_places(tensor: Tensor, maps: Tensor) -> bool:
    """Whether these are the places of the maps, one direction of length 1 more or less."""
    return tensor.ndim in (3, 4) and len(tensor) == 1 and _two(tensor).shape[1:] == maps.shape


def _maps(tensor: Tensor) -> Tensor:
    """`c h w` on the CPU, in numbers of their own; a vector has one place."""
    spread = tensor if tensor.ndim > 2 else tensor[..., None]
    return _two(spread)[0].detach().to("cpu", copy=True).float()


def _two(tensor: Tensor) -> Tensor:
    """With two directions where there is one."""
    return tensor.unsqueeze(-2) if tensor.ndim == 3 else tensor


def _pair(values: Sequence[int], fill: int) -> tuple[int, int]:
    numbers = [fill, *values][-2:]
    return numbers[0], numbers[1]
