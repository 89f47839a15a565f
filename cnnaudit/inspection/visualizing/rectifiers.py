"""Getting through ReLUs that are dead: a gradient where there would be none."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.in_place import replacement

_RECTIFIERS: tuple[Callable[..., Any], ...] = (F.relu, F.relu6, F.hardtanh, torch.relu, Tensor.relu)
_IN_PLACE: dict[Callable[..., Any], Callable[..., Any]] = {
    F.relu_: F.relu,
    torch.relu_: F.relu,
    Tensor.relu_: F.relu,
    F.hardtanh_: F.hardtanh,
}


def passable(pictures: Tensor) -> AbstractContextManager[None]:
    """While inside, ReLUs through which nothing of a picture's gradient would go let some of it through.

    That part goes to values below the lower limit that the search wants larger, and to values above an
    upper limit that it wants smaller. Where some of a picture's gradient goes through, it is the plain one.
    The rule is for a loss, which the search makes smaller.

    Args:
        pictures: which of the batch this is for, bool `n`.

    As the `redirected_relu_grad` of Lucid (Olah et al., 2018), for limits on both sides.
    """

    def rule(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        if x.ndim < 2 or len(x) != len(pictures):  # nothing that belongs to one picture each
            return function(x)
        return cast(Tensor, _Passable.apply(x, function, pictures))

    table: dict[Callable[..., Any], Callable[..., Any]] = {op: replacement(op, rule) for op in _RECTIFIERS}
    return hooks.intercepted(table | {op: replacement(plain, rule, in_place=True) for op, plain in _IN_PLACE.items()})


class _Passable(torch.autograd.Function):
    """A rectifier with the gradient that `passable` describes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
        y = function(x.detach())
        # 1 below the lower limit, -1 above the upper one
        ctx.save_for_backward((y - x).sign().to(torch.int8), pictures)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (side, pictures), gradient = ctx.saved_tensors, gradients[0]
        plain = gradient * (side == 0)
        dead = pictures & ~plain.flatten(1).any(1)
        wanted = gradient * (side * gradient < 0)  # downhill is back between the limits
        return torch.where(dead.view(-1, *[1] * (plain.ndim - 1)), wanted, plain), None, None
