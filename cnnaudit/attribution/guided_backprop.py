"""Guided backpropagation, by replacing the rectifiers that a forward pass meets."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.gradients import Channels, magnitude
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import NotApplicableError
from cnnaudit.results import Attribution

_RECTIFIERS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.relu: lambda x, inplace=False: F.relu(x),
    F.relu_: F.relu,
    torch.relu: F.relu,
    torch.relu_: F.relu,
    Tensor.relu: F.relu,
    Tensor.relu_: F.relu,
    F.relu6: lambda x, inplace=False: F.relu6(x),
    F.hardtanh: lambda x, min_val=-1.0, max_val=1.0, inplace=False: F.hardtanh(x, min_val, max_val),
    F.leaky_relu: lambda x, negative_slope=0.01, inplace=False: F.leaky_relu(x, negative_slope),
}
"""The piecewise linear activations that the rule is defined for, each as a function that leaves its input alone."""

_SMOOTH: tuple[Callable[..., Any], ...] = (
    F.gelu,
    F.silu,
    F.hardswish,
    F.mish,
    F.elu,
    F.selu,
    F.celu,
    F.softplus,
)
"""Activations that the rule is not defined for."""


def guided_backprop(query: Query, *, channels: Channels = "max") -> Attribution:
    r"""The gradient with negative signals stopped at every ReLU: $R^l = 1[f^l > 0] \, 1[R^{l+1} > 0] \, R^{l+1}$.

    The rule is put in place of the operation, wherever it is called, so in-place, reused and
    functional ReLUs all follow it. Smooth activations keep their plain gradient, and a note says so.

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
    met = {"guided": 0, "smooth": 0}
    with hooks.intercepted(_replacements(met)):
        gradient = query.gradient(query.pixels)[1]
    if not met["guided"]:
        raise NotApplicableError(
            "the forward pass meets no ReLU that can be guided (none is there, or it is compiled or "
            "written as clamp or where), so this would be the plain gradient. Use saliency."
        )
    smooth = f"{met['smooth']} smooth activations have no guided rule and keep their plain gradient."
    return Attribution(
        to_heatmap(magnitude(gradient[0], channels)),
        facts={"guided_activations": met["guided"]},
        notes=(smooth,) if met["smooth"] else (),
        forward_passes=query.forward_passes - fresh,
    )


def _replacements(met: dict[str, int]) -> dict[Callable[..., Any], Callable[..., Any]]:
    def guided(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def replacement(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            met["guided"] += 1
            return cast(Tensor, _Guide.apply(original(x, *args, **kwargs)))

        return replacement

    def counted(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def replacement(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            met["smooth"] += 1
            return original(x, *args, **kwargs)

        return replacement

    return {op: guided(plain) for op, plain in _RECTIFIERS.items()} | {op: counted(op) for op in _SMOOTH}


class _Guide(torch.autograd.Function):
    """The identity, whose gradient lets only positive signals through; the ReLU before it does the rest."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp(min=0)
