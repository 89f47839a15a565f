"""A small VGG for pictures of 32x32."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from cnnaudit.models.patterns import classifier_of
from cnnaudit.models.pooling import Pool
from cnnaudit.models.sizes import known_count

_LAYERS: tuple[int | Literal["p"], ...] = (1, "p", 2, 2, "p", 4, 4, "p", 8, 8)
"""Channels of each convolution, in widths of the first, and where the pooling is."""


def vgg8(
    *,
    labels: int = 10,
    channels: int = 3,
    size: Sequence[int] = (32, 32),
    pool: Pool = "max",
    dropout: float = 0.0,
    width: int = 32,
) -> nn.Sequential:
    """Seven 3x3 convolutions with batch norm and ReLU, global average pooling, one linear layer.

    VGG (Simonyan and Zisserman, ICLR 2015, arXiv 1409.1556) made small: 1.2 million parameters and 43
    million multiply-adds for 32x32. Each class's logit is the mean of a weighted sum of the last maps.

    Args:
        labels: how many classes.
        channels, size: of the pictures; size is (height, width).
        pool: kind of the pooling, but for the last, global one.
        dropout: share of the linear layer's inputs that are set to zero in training.
        width: channels of the first convolution; the last has eight times as many.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    base = known_count(width, "width")
    features = " ".join("p" if layer == "p" else f"c{layer * base} b r" for layer in _LAYERS)
    return classifier_of(f"{features} g", labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)
