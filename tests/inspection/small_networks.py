"""A network that takes no time, whose first part a test writes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import cnnaudit as ca

SIZE = 8


class Small(nn.Module):
    """A convolution, a ReLU, another convolution, a mean, three classes."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.one, self.act, self.two = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)
            self.mix, self.head = nn.Linear(4, 4), nn.Linear(5, 3)
        self.first = forward or (lambda net, x: net.act(net.one(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.two(self.first(self, x)).mean((2, 3)))


def classifier(network: nn.Module, **options: Any) -> ca.Classifier:
    return ca.Classifier(network.eval(), input_size=SIZE, channels=1, **options)


def noise(n: int = 6) -> Tensor:
    return torch.rand((n, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(1))
