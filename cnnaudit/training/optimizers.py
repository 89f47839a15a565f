"""Optimizers by name, from torch."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

Parameters = Iterable[nn.Parameter]


def _sgd(parameters: Parameters, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov's momentum."""
    parameters = list(parameters)
    made = torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0, fused=True
    )
    for weights in parameters if momentum else ():
        # torch makes all buffers in one first step: it fails where some weights learn later, and keeps
        # what was in memory where a first step in float16 is skipped. From zero the first step is the same.
        made.state[weights]["momentum_buffer"] = torch.zeros_like(weights)
    return made


def _adam(parameters: Parameters, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, ICLR 2015, arXiv 1412.6980); weight decay is added to the gradient."""
    return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)


def _adamw(parameters: Parameters, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101); weight decay apart from the gradient."""
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


OPTIMIZERS: dict[str, Callable[[Parameters, float, float, float], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}
"""What `--optimizer` takes; each from parameters, learning rate, weight decay and momentum."""


def optimizer_for(
    network: nn.Module, name: str, *, rate: float, decay: float, momentum: float | None
) -> torch.optim.Optimizer:
    """The optimizer of all parameters; those that are frozen get no gradient, and stay."""
    return OPTIMIZERS[name](network.parameters(), rate, decay, momentum or 0.0)
