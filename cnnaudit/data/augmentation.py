"""Changes to training pictures that leave their class as it is, a batch at a time on the pictures' device.

Random numbers are drawn on the CPU, so that they are the same whatever the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnaudit.data.resizing import LUMA
from cnnaudit.errors import OptionError, near_matches

AUGMENTATIONS: dict[str, str] = {
    "crop": "shift by up to an eighth of the side, the border mirrored",
    "flip": "mirror half of the pictures, left to right",
    "colour": "brightness, contrast and saturation by up to a fifth",
    "scene": "what the husky-wolf scenes need: mirror, shift, light, and parts covered with grey",
}
"""What `--augment` takes, and what each does."""

_JITTER = 0.2
SCENE_SHIFT = 6
_LEAST_SIDE = 16
_CELLS = (8, 12, 16, 24, 32, 48)
_BRIGHTEST = 0.6


def known(names: Sequence[str]) -> tuple[str, ...]:
    """`names`, once each is known to be an augmentation and they go together.

    Raises:
        OptionError: there is no such one, or "scene", which is complete in itself, stands beside others.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise OptionError(
                f"There is no augmentation {name!r}.{near_matches(name, AUGMENTATIONS)} "
                f"There is: {', '.join(AUGMENTATIONS)}; none for no change."
            )
    if "scene" in names and len(names) > 1:
        raise OptionError("The augmentation 'scene' does all by itself; give it alone.")
    return tuple(names)


def augment(images: Tensor, names: Sequence[str], rng: torch.Generator) -> Tensor:
    """Pictures (`n c h w`; uint8, or float in [0, 1]) as float32 in [0, 1], changed by the named augmentations."""
    if "scene" in names:
        return augmented(images, rng)
    if "crop" in names or "flip" in names:
        images = _moved(images, "crop" in names, "flip" in names, rng)
    pixels = as_pixels(images)
    return _recoloured(pixels, rng) if "colour" in names else pixels


def as_pixels(images: Tensor) -> Tensor:
    """uint8 as float32 in [0, 1]; floats as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def part_of(pixels: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """A random window of the pictures, the same for all, `share` of their height and of their width (`part_size`)."""
    (h, w), (rows, columns) = pixels.shape[-2:], part_size(pixels.shape[-2:], share)
    down, right = (int(torch.randint(most + 1, (), generator=rng)) for most in (h - rows, w - columns))
    return pixels[..., down : down + rows, right : right + columns]


def part_size(size: Sequence[int], share: float) -> tuple[int, int]:
    """Height and width of a part of pictures of this size; 16 pixels or the whole side where that would be less."""
    height, width = (max(round(share * side), min(side, _LEAST_SIDE)) for side in size)
    return height, width


def _moved(images: Tensor, crop: bool, flip: bool, rng: torch.Generator) -> Tensor:
    """Each picture shifted and mirrored by its own draw, in one `gather` over its pixels."""
    n, c, h, w = images.shape
    rows = _places(n, h, crop, rng)
    columns = _places(n, w, crop, rng)
    if flip:
        mirror = torch.rand(n, 1, generator=rng) < 0.5
        columns = torch.where(mirror, columns.flip(1), columns)
    rows, columns = (each.to(images.device, non_blocking=True) for each in (rows, columns))
    flat = (rows[:, :, None] * w + columns[:, None, :]).view(n, 1, h * w)
    return images.flatten(2).gather(2, flat.expand(n, c, h * w)).view(n, c, h, w)


def _places(n: int, side: int, crop: bool, rng: torch.Generator) -> Tensor:
    """`n side`: where each row (or column) comes from, mirrored at the border."""
    reach = side // 8 if crop else 0
    start = torch.randint(-reach, reach + 1, (n, 1), generator=rng)
    last = side - 1
    return last - (last - (torch.arange(side) + start).abs()).abs()


def _recoloured(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation multiplied by factors near 1, a draw of each for each picture."""
    n, c = pixels.shape[:2]
    light, contrast, saturation = (1 + _JITTER * (2 * torch.rand(3, n, 1, 1, 1, generator=rng) - 1)).to(pixels.device)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    pixels = (mean + contrast * (pixels - mean)) * light
    if c == 3:
        weights = torch.tensor(LUMA, device=pixels.device).view(1, 3, 1, 1)
        grey = (pixels * weights).sum(1, keepdim=True)
        pixels = grey + saturation * (pixels - grey)
    return pixels.clamp_(0, 1)


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures (uint8, `n c h w`) as floats in [0, 1]: mirrored, shifted, lighter or darker, partly covered.

    The random numbers are drawn on the CPU, so that they are the same whatever the device.
    """
    n, (h, w) = len(images), images.shape[-2:]
    mirror = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(images.device)
    light = (0.85 + 0.3 * torch.rand(n, 1, 1, 1, generator=rng)).to(images.device)
    down, right = (int(k) for k in torch.randint(0, 2 * SCENE_SHIFT + 1, (2,), generator=rng))
    pixels = as_pixels(torch.where(mirror, images.flip(-1), images))
    framed = nn.functional.pad(pixels, (SCENE_SHIFT,) * 4, mode="reflect")
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
