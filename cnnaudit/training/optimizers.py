"""Optimizers by name: torch's, and Muon."""

from collections.abc import Callable

import torch
from torch import nn

from cnnaudit.training.muon import Muon, inner_weights


def _sgd(network: nn.Module, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov's momentum."""
    parameters = list(network.parameters())
    made = torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0, fused=True
    )
    for weights in parameters if momentum else ():
        # torch makes all buffers in one first step: it fails where some weights learn later, and keeps
        # what was in memory where a first step in float16 is skipped. From zero the first step is the same.
        made.state[weights]["momentum_buffer"] = torch.zeros_like(weights)
    return made


def _adam(network: nn.Module, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, ICLR 2015, arXiv 1412.6980); weight decay is added to the gradient."""
    return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay, fused=True)


def _adamw(network: nn.Module, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101); weight decay apart from the gradient."""
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)


def _muon(network: nn.Module, rate: float, decay: float, momentum: float) -> torch.optim.Optimizer:
    """Orthogonalised steps for inner weights, and `_sgd` for all others."""
    inner = inner_weights(network)
    known = {id(weight) for weight in inner}
    others = [weight for weight in network.parameters() if id(weight) not in known]
    return Muon(inner, others, rate=rate, decay=decay, momentum=momentum)


OPTIMIZERS: dict[str, Callable[[nn.Module, float, float, float], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
}
"""What `--optimizer` takes; each from the network, learning rate, weight decay and momentum."""
WITH_MOMENTUM = ("sgd", "muon")
"""Those that take `--momentum`."""


def optimizer_for(
    network: nn.Module, name: str, *, rate: float, decay: float, momentum: float | None
) -> torch.optim.Optimizer:
    """The optimizer of all parameters; those that are frozen get no gradient, and stay.

    Raises:
        OptionError: it is not for this network.
    """
    return OPTIMIZERS[name](network, rate, decay, momentum or 0.0)
