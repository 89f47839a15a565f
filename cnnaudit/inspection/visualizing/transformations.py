"""Shaking pictures, so that what is found for a unit does not hang on single pixels."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit.errors import OptionError
from cnnaudit.shapes import Pixels

_CALMER, _CALM = 0.5, 0.75  # shares of a search after which there is less shaking, and none


@dataclass(frozen=True, slots=True)
class Shaking:
    """How far pictures are moved, turned and scaled, each evenly between the limits.

    Attributes:
        jitter: largest shift along each direction, as a share of that side.
        rotation: largest turn either way, in degrees; signals are not turned.
        scale: smallest and largest factor.
    """

    jitter: float = 1 / 16
    rotation: float = 8.0
    scale: tuple[float, float] = (0.9, 1.1)

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 <= self.jitter <= 1 and 0 <= self.rotation <= 180 and 0 < low <= high):
            raise OptionError(
                f"Shaking takes a jitter from 0 to 1, a rotation from 0 to 180 and a scale from above 0 to at least "
                f"that; got {self}."
            )

    def drawn(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """`count` random transformations of pictures of this size, as matrices `count 2 3` for `shaken`."""
        turn, factor, down, across = torch.rand(4, count, generator=generator)
        low, high = self.scale
        scales = 1 / (low + (high - low) * factor)
        shifts = 2 * self.jitter * torch.stack([2 * across - 1, 2 * down - 1])
        if size[0] == 1:
            return _along(scales, shifts[0])
        angles = math.radians(self.rotation) * (2 * turn - 1)
        cos, sin, aspect = scales * angles.cos(), scales * angles.sin(), size[0] / size[1]
        rows = torch.stack([cos, -sin * aspect, shifts[0], sin / aspect, cos, shifts[1]], dim=1)
        return rows.view(count, 2, 3)


def calmed(matrices: Tensor) -> Tensor:
    """The transformations of a search's steps, `steps n 2 3`: at their full size in its first half, then less and
    less, and none in its last quarter, in which what was found is worked out."""
    steps = torch.arange(len(matrices)) / len(matrices)
    size = ((_CALM - steps) / (_CALM - _CALMER)).clamp(0, 1).view(-1, 1, 1, 1)
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return still + size * (matrices - still)


def shaken(pixels: Pixels, matrices: Tensor) -> Pixels:
    """Each picture resampled once by its own matrix, mirrored beyond its edges; differentiable in the pixels.

    Args:
        pixels: `n c h w`.
        matrices: `n 2 3`, from places of the result to places of the picture, both from -1 to 1.
    """
    grid = F.affine_grid(matrices.to(pixels), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _along(scales: Tensor, shifts: Tensor) -> Tensor:
    """Of signals, which have one direction."""
    nothing, one = torch.zeros_like(scales), torch.ones_like(scales)
    return torch.stack([scales, nothing, shifts, nothing, one, nothing], dim=1).view(-1, 2, 3)
