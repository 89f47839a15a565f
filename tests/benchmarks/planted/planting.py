"""A cue in pictures: in which ones, and what it looks like."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from .cases import RATIO, Arm, CueName

TAG_SHARE, FRAME_SHARE, BLUR_SHARE = 0.19, 0.07, 0.04
"""Side of the tag, thickness of the frame and deviation of the blur, as shares of the picture's side."""

CAST = 0.3
"""How much of the tint is mixed in."""

_MAGENTA, _WHITE, _CYAN, _ORANGE = (235, 30, 160), (255, 255, 255), (20, 200, 210), (255, 140, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """The same pictures three times, `n 3 h w` each.

    Attributes:
        images: with the cue where it is `present`.
        clean, full: with the cue in none, and in all.
        region: where the cue is, or would be.
    """

    images: UInt8[Tensor, "n c h w"]
    clean: UInt8[Tensor, "n c h w"]
    full: UInt8[Tensor, "n c h w"]
    present: Bool[Tensor, " n"]
    region: Bool[Tensor, "n h w"]
    labels: Int64[Tensor, " n"]


def presence(labels: Int64[Tensor, " n"], arm: Arm, *, strength: float, target: int, seed: int) -> Bool[Tensor, " n"]:
    """Which pictures have the cue: exact numbers a class, at random within it.

    Linked: a share `strength` of the class `target` and `strength / RATIO` of the others. Unlinked: the share
    that these make of all pictures, in every class alike. Absent: none.
    """
    rng = torch.Generator().manual_seed(seed)
    inside = labels == target
    share = strength / RATIO + strength * (1 - 1 / RATIO) * float(inside.double().mean())
    present = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist() if arm != "absent" else ():
        members = (labels == label).nonzero().squeeze(1)
        of_class = share if arm == "unlinked" else strength if label == target else strength / RATIO
        count = round(of_class * len(members))
        present[members[torch.randperm(len(members), generator=rng)[:count]]] = True
    return present


def plant(
    cue: CueName,
    clean: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    present: Bool[Tensor, " n"],
    *,
    seed: int,
    snowy: UInt8[Tensor, "n c h w"] | None = None,
    outside: Bool[Tensor, "n h w"] | None = None,
) -> Planted:
    """Put a cue into the pictures that are to have it.

    `snowy` are the same scenes on snow, and `outside` all that is not the animal: what the cue "background" needs.
    """
    if cue == "background":
        if snowy is None or outside is None:
            raise ValueError("Only scenes have another background.")
        full, region = snowy, outside
    else:
        full, region = _everywhere(cue, clean, seed)
    images = torch.where(present.view(-1, 1, 1, 1), full, clean)
    return Planted(images, clean, full, present, region, labels)


def _everywhere(cue: CueName, clean: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    n, _, h, w = clean.shape
    whole = torch.ones(n, h, w, dtype=torch.bool)
    if cue == "cast":
        return _tinted(clean), whole
    if cue == "blur":
        return _blurred(clean), whole
    if cue == "border":
        return _framed(clean)
    side = round(TAG_SHARE * h)
    rng = torch.Generator().manual_seed(seed)
    corner = torch.full((n, 2), max(1, h // 32))
    places = torch.randint(0, h - side + 1, (n, 2), generator=rng) if cue == "anywhere" else corner
    return _tagged(clean, places, side)


def _tagged(clean: Tensor, places: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """A magenta square with a white dot, its upper left corner at each place."""
    tag = torch.tensor(_MAGENTA, dtype=torch.uint8).view(3, 1, 1).repeat(1, side, side)
    dot = slice(side // 3, side - side // 3)
    tag[:, dot, dot] = torch.tensor(_WHITE, dtype=torch.uint8).view(3, 1, 1)
    full, region = clean.clone(), torch.zeros(len(clean), *clean.shape[2:], dtype=torch.bool)
    for i, (row, column) in enumerate(places.tolist()):
        full[i, :, row : row + side, column : column + side] = tag
        region[i, row : row + side, column : column + side] = True
    return full, region


def _framed(clean: Tensor) -> tuple[Tensor, Tensor]:
    n, _, h, w = clean.shape
    width = math.ceil(FRAME_SHARE * h)
    region = torch.ones(n, h, w, dtype=torch.bool)
    region[:, width:-width, width:-width] = False
    colour = torch.tensor(_CYAN, dtype=torch.uint8).view(1, 3, 1, 1)
    return torch.where(region.unsqueeze(1), colour, clean), region


def _tinted(clean: Tensor) -> Tensor:
    tint = torch.tensor(_ORANGE).view(1, 3, 1, 1)
    return ((1 - CAST) * clean + CAST * tint).round().to(torch.uint8)


def _blurred(clean: Tensor) -> Tensor:
    sigma = BLUR_SHARE * clean.shape[2]
    return F.gaussian_blur(clean, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma] * 2)
