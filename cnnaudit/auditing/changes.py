"""Small changes of pictures that leave them what they are: shifts, turns, noise, blur, compression, light."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image as PillowImage
from torch import Tensor

from cnnaudit.shapes import Pixels

Apply: TypeAlias = Callable[[Pixels, torch.Generator], Pixels]

_SHIFTS = ((1, 0.0), (2, 0.02), (4, 0.04))  # pixels at least, and as a share of the width
_ANGLES = (5.0, 15.0)
_BLURS = ((0.5, 0.008), (1.0, 0.016))  # pixels at least, and as a share of the width
_NOISE = (0.05, 0.1)
_QUALITIES = (50, 20)
_LIGHT = (1.2, 0.8)
_LEAST = 8  # a side of which a turn or a JPEG makes sense


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A change in words, and as a function of pictures `n c h w` in [0, 1] and chance."""

    name: str
    apply: Apply


def changes(shape: tuple[int, int, int]) -> tuple[Changed, ...]:
    """Those that make sense for pictures of shape (c, h, w), each at two or three strengths."""
    return tuple(_changes(*shape))


def _changes(channels: int, height: int, width: int) -> Iterator[Changed]:
    flat = min(height, width) >= _LEAST
    for pixels in sorted({max(least, round(part * width)) for least, part in _SHIFTS}):
        if 2 * pixels < width:
            yield Changed(f"shift by {pixels} pixel{'' if pixels == 1 else 's'}", partial(shifted, by=pixels))
    if height > 1:
        yield Changed("left and right exchanged", lambda pictures, _: pictures.flip(3))
    for angle in _ANGLES if flat else ():
        yield Changed(f"turn by {angle:g} degrees", partial(turned, degrees=angle))
    for least, part in _BLURS if max(height, width) >= _LEAST else ():
        sigma = round(max(least, part * width), 1)
        yield Changed(f"blur by {sigma:g} pixel{'' if sigma == 1 else 's'}", partial(_blurred, sigma=sigma))
    for deviation in _NOISE:
        yield Changed(f"noise of {100 * deviation:g} % of white", partial(noisy, deviation=deviation))
    for quality in _QUALITIES if flat and channels in (1, 3) else ():
        yield Changed(f"JPEG, quality {quality}", partial(_compressed, quality=quality))
    for factor in _LIGHT:
        way = "brighter" if factor > 1 else "darker"
        yield Changed(f"{way} by {100 * abs(factor - 1):.0f} %", partial(_lit, factor=factor))


def shifted(pictures: Pixels, chance: torch.Generator, *, by: int) -> Pixels:
    """Each picture moved by as many pixels left, right, down or up, its edge repeated; a low one left or right."""
    height = pictures.shape[2]
    ways = [(0, by), (0, -by), (by, 0), (-by, 0)][: 2 if height <= 2 * by else 4]
    drawn = torch.randint(len(ways), (len(pictures),), generator=chance).tolist()
    return torch.stack([moved(picture, *ways[way]) for picture, way in zip(pictures, drawn, strict=True)])


def moved(picture: Float[Tensor, "c h w"], down: int, right: int) -> Float[Tensor, "c h w"]:
    """A picture moved by whole pixels, its edge repeated."""
    rows, columns = (
        (torch.arange(size, device=picture.device) - by).clamp(0, size - 1)
        for size, by in zip(picture.shape[1:], (down, right), strict=True)
    )
    return picture[:, rows][:, :, columns]


def turned(pictures: Pixels, chance: torch.Generator, *, degrees: float) -> Pixels:
    """Each picture turned by an angle one way or the other about its centre, bilinear, its edge repeated."""
    height, width = pictures.shape[2:]
    signs = torch.randint(2, (len(pictures),), generator=chance).to(pictures) * 2 - 1
    angle = signs * math.radians(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    across = torch.stack([cos, -sin * height / width, zero], 1)  # the grid's unit is half a side
    down = torch.stack([sin * width / height, cos, zero], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def noisy(pictures: Pixels, chance: torch.Generator, *, deviation: float) -> Pixels:
    """With Gaussian noise in every value, cut off at 0 and 1."""
    noise = torch.randn(pictures.shape, generator=chance)
    return (pictures + deviation * noise.to(pictures)).clamp(0, 1)


def _blurred(pictures: Pixels, _: torch.Generator, *, sigma: float) -> Pixels:
    return blurred(pictures, sigma)


def blurred(pictures: Pixels, sigma: float) -> Pixels:
    """Convolved with a Gaussian along both sides, the edge repeated; it reaches three deviations far."""
    reach = math.ceil(3 * sigma)
    places = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels, height = pictures.shape[1:3]
    for shape, pad in (((1, -1), (reach, reach, 0, 0)), ((-1, 1), (0, 0, reach, reach))):
        if shape == (-1, 1) and height == 1:
            continue
        weight = kernel.view(1, 1, *shape).expand(channels, 1, -1, -1)
        pictures = F.conv2d(F.pad(pictures, pad, mode="replicate"), weight, groups=channels)
    return pictures


def _compressed(pictures: Pixels, _: torch.Generator, *, quality: int) -> Pixels:
    values = pictures.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    photos = np.stack([compressed(each, quality) for each in values])
    return torch.from_numpy(photos).permute(0, 3, 1, 2).to(pictures) / 255


def compressed(photo: np.ndarray, quality: int) -> np.ndarray:
    """A photo, uint8 `h w c`, as it comes back from a JPEG of this quality."""
    buffer = io.BytesIO()
    PillowImage.fromarray(photo[..., 0] if photo.shape[2] == 1 else photo).save(buffer, "JPEG", quality=quality)
    with PillowImage.open(buffer) as read:
        return np.asarray(read).reshape(photo.shape)


def _lit(pictures: Pixels, _: torch.Generator, *, factor: float) -> Pixels:
    return (pictures * factor).clamp(0, 1)
