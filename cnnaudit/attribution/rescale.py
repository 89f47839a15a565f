"""Operations that carry multipliers backwards: the halves of a batch are a picture and its baseline.

Only the picture's half has a gradient; it is a multiplier, the ratio of two differences.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

_NEAR = 1e-6
"""Below this difference of inputs the ratio is lost to rounding, and the derivative takes its place."""


def rescaled(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function(x)`, elementwise, whose backward multiplies by the ratio of differences."""
    return cast(Tensor, _Rescale.apply(x, function)) if x.requires_grad and _halves(x) else function(x)


def product(a: Any, b: Any) -> Any:
    r"""$ab$, with $\Delta(ab) = \bar b \, \Delta a + \bar a \, \Delta b$, means taken over picture and baseline."""
    both = isinstance(a, Tensor) and isinstance(b, Tensor) and a.requires_grad and b.requires_grad
    if not both or not _halves(a) or not _halves(b) or len(a) != len(b):
        return a * b
    return _Product.apply(a, b)


def multiplied(a: Tensor, b: Any) -> Tensor:
    """`product`, written into `a`."""
    return a.copy_(product(a.clone(), b))


def maximum_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max-pooling whose backward gives each window's difference to the places of the two maxima."""
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    if return_indices:
        return F.max_pool2d_with_indices(x, *arguments)
    return _MaxPool.apply(x, arguments) if x.requires_grad and _halves(x) else F.max_pool2d(x, *arguments)


class _Rescale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x.detach().clone())  # others may write into x, or into what is returned
        ctx.function = function
        return function(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        (picture, baseline), (y1, y0) = x.chunk(2), ctx.function(x).chunk(2)
        delta = picture - baseline
        near = delta.abs() < _NEAR
        ratio = (y1 - y0) / torch.where(near, 1.0, delta)
        if near.any():
            ratio = torch.where(near, _derivative(ctx.function, picture), ratio)
        return _first_half(gradients[0].chunk(2)[0] * ratio), None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (a1, a0), (b1, b0) = (t.chunk(2) for t in ctx.saved_tensors)
        g = gradients[0].chunk(2)[0]
        to_a, to_b = g * (b1 + b0) / 2, g * (a1 + a0) / 2
        return _first_half(to_a.sum_to_size(a1.shape)), _first_half(to_b.sum_to_size(b1.shape))


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, arguments: tuple[Any, ...]) -> Tensor:
        y, places = F.max_pool2d_with_indices(x, *arguments)
        ctx.save_for_backward(x, places)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, places = ctx.saved_tensors
        y = x.flatten(2).gather(2, places.flatten(2)).view_as(places)
        (x1, x0), (y1, y0), (at1, at0) = x.chunk(2), y.chunk(2), places.chunk(2)
        g, larger = gradients[0].chunk(2)[0], torch.maximum(y1, y0)
        share = torch.zeros_like(x1).flatten(2)
        share.scatter_add_(2, at1.flatten(2), (g * (larger - y0)).flatten(2))
        share.scatter_add_(2, at0.flatten(2), (g * (y1 - larger)).flatten(2))
        plain = torch.zeros_like(share).scatter_add_(2, at1.flatten(2), g.flatten(2))
        delta = (x1 - x0).flatten(2)
        near = delta.abs() < _NEAR
        return _first_half(torch.where(near, plain, share / torch.where(near, 1.0, delta)).view_as(x1)), None


def _halves(x: Tensor) -> bool:
    """Whether the first dimension can be the batch; where it is not, the gradient stays plain."""
    return x.ndim > 0 and len(x) % 2 == 0


def _first_half(gradient: Tensor) -> Tensor:
    return torch.cat([gradient, torch.zeros_like(gradient)])


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(function(leaf).sum(), leaf)[0]
