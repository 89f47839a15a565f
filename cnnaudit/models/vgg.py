"""A small VGG for pictures of 32x32."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cnnaudit.models.patterns import classifier_of
from cnnaudit.models.pooling import Pool
from cnnaudit.models.sizes import known_count
from cnnaudit.models.whitening import whiten

_FEATURES = "c{0} p b r c{1} b r c{1} p b r c{2} b r c{2} p b r c{3} b r c{3} b r g"
"""The pattern; channels double behind each pooling."""

_MOMENTUM = 0.3
"""Of the running statistics: a short training changes the weights faster than torch's 0.1 follows."""


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

    Made to learn in few epochs: each convolution but the first passes its input on at the start, as far as
    its channels suffice (Zagoruyko and Komodakis 2017, arXiv 1706.00388; Jordan 2024, arXiv 2404.00498), and
    pooling comes before the batch norm, which then has a quarter of the work. Before training the first
    convolution is made to whiten what it sees (`begin`).

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
    features = _FEATURES.format(base, 2 * base, 4 * base, 8 * base)
    network = classifier_of("vgg8", features, labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)
    _make_quick(network)
    return network


def begin(network: nn.Module, pictures: Float[Tensor, "n c h w"]) -> None:
    """Fit an untrained `vgg8` to some of the pictures that it will learn from, as it is given them."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    whiten(first, pictures)


def _make_quick(network: nn.Sequential) -> None:
    """Let the convolutions pass on what they get, and the running statistics follow quickly."""
    convolutions = [module for module in network if isinstance(module, nn.Conv2d)]
    for convolution in convolutions[1:]:
        with torch.no_grad():
            nn.init.dirac_(convolution.weight[: convolution.in_channels])
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _MOMENTUM
