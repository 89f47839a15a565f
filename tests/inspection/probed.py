"""Functions of pictures as networks, with a place to look at."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

PICTURE = (36, 44)
"""Height and width that they are asked with."""


class Probed(nn.Module):
    """A function of pictures, whose result passes through `probe` on the way to the logits."""

    def __init__(self, function: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.probe = nn.Identity()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.probe(self.function(self, x))
        return maps.flatten(1).mean(1, keepdim=True)


def conv(channels: int, out: int, kernel: int | tuple[int, int], **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, **options)
