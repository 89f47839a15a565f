"""Guided backpropagation, by replacing the rectifiers that a forward pass meets."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.gradients import Channels, magnitude
from cnnaudit.attribution.in_place import replacement
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import NotApplicableError
from cnnaudit.results import Attribution

_RECTIFIERS: tuple[Callable[..., Any], ...] = (F.relu, F.relu6, F.hardtanh, F.leaky_relu, torch.relu, Tensor.relu)
_IN_PLACE: dict[Callable[..., Any], Callable[..., Any]] = {
    F.relu_: F.relu,
    torch.relu_: F.relu,
    Tensor.relu_: F.relu,
    F.hardtanh_: F.hardtanh,
    F.leaky_relu_: F.leaky_relu,
}
"""The piecewise linear activations that the rule is put in place of."""

_OTHERS: tuple[Callable[..., Any], ...] = (
    F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.mish, F.elu, F.elu_, F.selu, F.celu, F.softplus, F.prelu, F.rrelu,
    F.threshold, torch.sigmoid, torch.tanh, torch.prelu, torch.clamp, torch.clamp_min, torch.maximum, torch.where,
    Tensor.sigmoid, Tensor.tanh, Tensor.clamp, Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_min_,
)  # fmt: skip
"""Activations that keep their plain gradient, and operations that a ReLU may have been written as."""


def guided_backprop(query: Query, *, channels: Channels = "max") -> Attribution:
    r"""The gradient with negative signals stopped at every ReLU: $R^l = 1[f^l > 0] \, 1[R^{l+1} > 0] \, R^{l+1}$.

    The rule is put in place of the operation, wherever it is called, so in-place, reused and
    functional ReLUs all follow it. Other activations keep their plain gradient, and a note says so.

    Args:
        query: the question.
        channels: how colours are joined, as in `saliency`.

    Returns:
        A map `h w` >= 0, in units of score a unit of pixel value.

    Raises:
        NotApplicableError: the forward pass meets no ReLU; the result would be the plain gradient
            under another name.

    Springenberg et al. 2014, arXiv:1412.6806, section 3.4.
    """
    fresh = query.forward_passes
    met = {"guided": 0, "plain": 0}
    with hooks.intercepted(_replacements(met)):
        gradient = query.gradient(query.pixels)[1]
    if not met["guided"]:
        raise NotApplicableError(
            "the forward pass meets no ReLU that can be guided (none is there, or it is compiled or "
            "written as clamp or where), so this would be the plain gradient. Use saliency."
        )
    plain = f"{met['plain']} activations have no guided rule and keep their plain gradient."
    return Attribution(
        to_heatmap(magnitude(gradient[0], channels)),
        facts={"guided_activations": met["guided"]},
        notes=(plain,) if met["plain"] else (),
        forward_passes=query.forward_passes - fresh,
    )


def _replacements(met: dict[str, int]) -> dict[Callable[..., Any], Callable[..., Any]]:
    def guided(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        met["guided"] += 1
        return cast(Tensor, _Guide.apply(function(x)))

    def counted(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def plain(*args: Any, **kwargs: Any) -> Tensor:
            met["plain"] += 1
            return original(*args, **kwargs)

        return plain

    table = {op: replacement(op, guided) for op in _RECTIFIERS}
    table |= {op: replacement(plain, guided, in_place=True) for op, plain in _IN_PLACE.items()}
    return table | {op: counted(op) for op in _OTHERS}


class _Guide(torch.autograd.Function):
    """The identity, whose gradient lets only positive signals through; the ReLU before it does the rest."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()  # a view could not be written to in place

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp(min=0)
