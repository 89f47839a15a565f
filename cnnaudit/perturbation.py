"""The one loop that asks a network about many altered copies of a picture."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.errors import OptionError
from cnnaudit.shapes import Logits, Pixels

Masks = Bool[Tensor, "n 1 h w"]
"""True where the picture is kept, False where the fill takes its place."""


def masked_logits(
    classifier: Classifier,
    pixels: Pixels,
    fill: Pixels,
    masks: Callable[[int, int], Masks],
    count: int,
    *,
    batch: int = 32,
) -> Float[Tensor, "count k"]:
    """The logits of `count` copies of a picture, each partly replaced by `fill`.

    Args:
        classifier: already borrowed (`hooks.borrowed`).
        pixels, fill: `1 c h w`.
        masks: `masks(start, stop)` makes the masks of the copies `start` to `stop`, on any device,
            so that all of them never exist at once.
        count: number of copies.
        batch: copies sent through the network at once.

    Returns:
        `count k`, float32, on the CPU.
    """
    if count < 1 or batch < 1:
        raise OptionError(f"At least one copy and a batch of one are needed; got {count} and {batch}.")
    rows: list[Logits] = []
    with torch.no_grad():
        for start in range(0, count, batch):
            keep = masks(start, min(start + batch, count)).to(pixels.device)
            rows.append(classifier.logits(torch.where(keep, pixels, fill)).cpu())
    return torch.cat(rows)
