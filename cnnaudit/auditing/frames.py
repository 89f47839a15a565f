"""Frames round pictures: where one is, and put round another picture."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from cnnaudit.auditing.measures import four_sides, steps, usual
from cnnaudit.shapes import Pixels


def thickness(pixels: Pixels) -> Int64[Tensor, "n 4"]:
    """How many rows or columns a frame has at the top, bottom, left and right: up to the largest step from the outside.

    0 where the step at a side stands out less than half as much as at the side where it does most (a frame that
    cropping has cut off).
    """
    found, heights = [], []
    for side in four_sides(pixels):
        rows = steps(side)
        largest = rows[:, : rows.shape[1] // 2].max(1)
        found.append(largest.indices + 1)
        heights.append(largest.values - usual(rows))
    height = torch.stack(heights, 1)
    return torch.where(height >= height.amax(1, keepdim=True) / 2, torch.stack(found, 1), 0)


def ring(size: tuple[int, int], rows: tuple[int, ...]) -> Bool[Tensor, "1 h w"]:
    """The outer rows and columns, so many at each side."""
    height, width = size
    top, bottom, left, right = rows
    outside = torch.ones(1, height, width, dtype=torch.bool)
    outside[:, top : height - bottom, left : width - right] = False
    return outside


def with_ring(picture: Pixels, other: Pixels, rows: tuple[int, ...]) -> Pixels:
    """A picture `1 c h w` with the outer rows of another one."""
    return torch.where(ring((picture.shape[2], picture.shape[3]), rows), other, picture)
