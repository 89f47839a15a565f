"""What a position sees, by the gradient alone: the pixels that its value changes with."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from cnnaudit.results import ReceptiveField

Span = tuple[int, int]


def one_signed(network: nn.Module) -> nn.Module:
    """A copy in which nothing cancels or is chosen: positive weights, and average pooling in place of max-pooling.

    The weights keep the size of what passes through about as it is, far below what a ReLU6 cuts off.
    """
    twin = copy.deepcopy(network).eval()
    for parent in list(twin.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.MaxPool2d):
                assert child.dilation == 1
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
    for module in twin.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            nn.init.uniform_(weight, 0.5 / weight[0].numel(), 1.5 / weight[0].numel())
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)
    return twin.requires_grad_(False)


def outputs(network: nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    """What the layers return for `x`, attached to it."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _m, _i, output: found.__setitem__(name, output)

    handles = [network.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    network(x)
    for handle in handles:
        handle.remove()
    return found


def support(output: Tensor, position: tuple[int, ...], x: Tensor) -> tuple[Span, Span]:
    """First and last row and column of `x` that one position of `output`, `n c …`, changes with."""
    (gradient,) = torch.autograd.grad(output[(0, slice(None), *position)].sum(), x, retain_graph=True)
    seen = gradient[0].ne(0).any(0)
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def spans(field: ReceptiveField, position: tuple[int, ...]) -> tuple[Span, Span]:
    """First and last row and column that a receptive field gives one position."""

    def one(axis: int) -> Span:
        centre = field.offset[axis] + position[axis] * field.jump[axis]
        low, high = centre - (field.size[axis] - 1) / 2, centre + (field.size[axis] - 1) / 2
        assert low == int(low)
        return int(low), int(high)

    return one(0), one(1)


def within(inner: tuple[Span, Span], outer: tuple[Span, Span]) -> bool:
    """Whether one rectangle lies in another."""
    return all(low <= first and last <= high for (first, last), (low, high) in zip(inner, outer, strict=True))
