"""Changes to training pictures that leave their class as it is."""

import torch
from torch import Tensor, nn

_SHIFT = 6


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures (uint8, `n c h w`) as floats in [0, 1]: mirrored, shifted, lighter or darker, partly covered.

    The random numbers are drawn on the CPU, so that they are the same whatever the device.
    """
    n, (h, w) = len(images), images.shape[-2:]
    mirror = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(images.device)
    light = (0.85 + 0.3 * torch.rand(n, 1, 1, 1, generator=rng)).to(images.device)
    down, right = (int(k) for k in torch.randint(0, 2 * _SHIFT + 1, (2,), generator=rng))
    pixels = torch.where(mirror, images.flip(-1), images).float() / 255
    framed = nn.functional.pad(pixels, (_SHIFT,) * 4, mode="reflect")
    return covered((framed[..., down : down + h, right : right + w] * light).clamp(0, 1), rng)


def covered(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Half of the pictures with a grey rectangle over them: a fifth of a side, or all there is, or between.

    Random erasing (Zhong et al., arXiv 1708.04896) teaches a network that a covered region says
    nothing of the class. Without it, methods that cover parts of a picture measure what the network
    makes of grey, rather than what it made of the part (Jain et al., arXiv 2204.08945). Unlike in the
    former paper a rectangle may cover the whole picture, whose answer can then only be "either".
    """
    n, (h, w) = len(pixels), pixels.shape[-2:]
    chosen, tall, wide, middle, centre, grey = torch.rand(6, n, 1, 1, 1, generator=rng).to(pixels.device)
    rows = (torch.arange(h, device=pixels.device) / h).view(1, 1, h, 1) - middle
    columns = (torch.arange(w, device=pixels.device) / w).view(1, 1, 1, w) - centre
    high, broad = rows.abs() < 0.1 + 0.9 * tall, columns.abs() < 0.1 + 0.9 * wide
    inside = high & broad & (chosen < 0.5)
    return torch.where(inside, grey, pixels)
