"""Changes to training pictures that leave their class as it is."""

import torch
from torch import Tensor, nn

_SHIFT = 6
_CELLS = (8, 12, 16, 24, 32, 48)
_BRIGHTEST = 0.6


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
    """Half of the pictures with grey over some cells of a grid: over none, over all, or any share between.

    Hiding parts (Singh and Lee, ICCV 2017, arXiv 1704.04232) teaches a network that a covered region
    says nothing of the class. Without it, methods that cover parts of a picture measure what the
    network makes of grey and its edges, rather than of the part (Jain et al., arXiv 2204.08945). Here,
    unlike in the former paper, cells have many sizes, and a whole picture may be hidden: its answer
    can then only be "either".
    """
    n, (h, w) = len(pixels), pixels.shape[-2:]
    cell = _CELLS[int(torch.randint(len(_CELLS), (), generator=rng))]
    down, right = (int(k) for k in torch.randint(cell, (2,), generator=rng))
    chosen, share, grey = torch.rand(3, n, 1, 1, 1, generator=rng)
    cells = torch.rand(n, 1, h // cell + 2, w // cell + 2, generator=rng) < share * (chosen < 0.5)
    hidden = cells.repeat_interleave(cell, 2).repeat_interleave(cell, 3)[..., down : down + h, right : right + w]
    return torch.where(hidden.to(pixels.device), (_BRIGHTEST * grey).to(pixels.device), pixels)
