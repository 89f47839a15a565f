"""What takes the place of pixels that are removed, and where attribution paths begin."""

from typing import Literal

import torch
from torchvision.transforms.functional import gaussian_blur

from cnnaudit.errors import OptionError
from cnnaudit.shapes import Pixels

Fill = Literal["black", "grey", "white", "blur", "mean"]


def filled(pixels: Pixels, fill: Fill) -> Pixels:
    """A picture of nothing, as large as `pixels`: one colour, or the picture without its detail.

    `grey` is 0.5, `mean` the picture's own mean colour, `blur` a Gaussian blur whose standard
    deviation is a tenth of the longer side.

    Raises:
        OptionError: there is no such fill.
    """
    if fill == "blur":
        longer = max(pixels.shape[2:])
        radius = min(int(longer * 0.2), min(pixels.shape[2:]) - 1)
        return gaussian_blur(pixels, [2 * radius + 1, 2 * radius + 1], [longer * 0.1, longer * 0.1])
    if fill == "mean":
        return pixels.mean((2, 3), keepdim=True).expand_as(pixels).contiguous()
    levels = {"black": 0.0, "grey": 0.5, "white": 1.0}
    if fill not in levels:
        raise OptionError(f"A fill is one of black, grey, white, blur, mean; got {fill!r}.")
    return torch.full_like(pixels, levels[fill])
