"""Changes to training pictures that leave their class as it is."""

import torch
from torch import Tensor, nn

_SHIFT = 6


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures (uint8, `n c h w`) as floats in [0, 1]: each mirrored or not, lighter or darker, all shifted.

    The random numbers are drawn on the CPU, so that they are the same whatever the device.
    """
    n, (h, w) = len(images), images.shape[-2:]
    mirror = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(images.device)
    light = (0.85 + 0.3 * torch.rand(n, 1, 1, 1, generator=rng)).to(images.device)
    down, right = (int(k) for k in torch.randint(0, 2 * _SHIFT + 1, (2,), generator=rng))
    pixels = torch.where(mirror, images.flip(-1), images).float() / 255
    framed = nn.functional.pad(pixels, (_SHIFT,) * 4, mode="reflect")
    return (framed[..., down : down + h, right : right + w] * light).clamp(0, 1)
