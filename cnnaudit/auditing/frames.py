"""Frames round pictures: where one is, taken away, and put round another picture."""

import torch
import torch.nn.functional as F
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


def without(picture: Pixels, rows: tuple[int, ...]) -> Pixels:
    """A picture `1 c h w` whose outer rows mirror what lies inside them; the next row, where a frame fades, as well."""
    top, bottom, left, right = (count + 1 if count else 0 for count in rows)
    height, width = picture.shape[2:]
    inside = picture[:, :, top : height - bottom, left : width - right]
    return F.pad(inside, (left, right, top, bottom), mode="reflect")


def within(picture: Pixels, rows: tuple[int, ...]) -> Pixels:
    """The placebo of `without`: the frame stays, and the same is done one frame further in."""
    top, bottom, left, right = rows
    height, width = picture.shape[2:]
    made = picture.clone()
    inside = slice(top, height - bottom), slice(left, width - right)
    made[:, :, inside[0], inside[1]] = without(picture[:, :, inside[0], inside[1]], rows)
    return made


def with_ring(picture: Pixels, other: Pixels, rows: tuple[int, ...]) -> Pixels:
    """A picture `1 c h w` with the outer rows of another one."""
    return torch.where(ring((picture.shape[2], picture.shape[3]), rows), other, picture)
