"""The networks that a course begins with, from logistic regression to two convolutions."""

from collections.abc import Sequence

from torch import nn

from cnnaudit.models.patterns import classifier_of
from cnnaudit.models.pooling import Pool


def logistic(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (28, 28), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """Multinomial logistic regression: one linear layer on the pixels, its softmax in the loss.

    7,850 parameters for ten classes of 28x28.

    Args:
        labels: how many classes.
        channels, size: of the pictures; size is (height, width).
        pool: there is none here; anything but "max" is refused.
        dropout: share of the linear layer's inputs that are set to zero in training.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    return classifier_of("logistic", "", labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)


def mlp(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (28, 28), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """One hidden layer of 512 with ReLU.

    407,050 parameters for ten classes of 28x28. Arguments as `logistic`.
    """
    return classifier_of("mlp", "f512 r", labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)


def cnn1(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (28, 28), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """One 3x3 convolution to 32 channels, ReLU, pooling, one linear layer.

    Args:
        labels: how many classes.
        channels, size: of the pictures; size is (height, width).
        pool: kind of the pooling.
        dropout: share of the linear layer's inputs that are set to zero in training.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    return classifier_of("cnn1", "c32 r p", labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)


def cnn2(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (28, 28), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """Two 3x3 convolutions to 32 and 64 channels, each with ReLU and pooling, one linear layer.

    Arguments as `cnn1`.
    """
    return classifier_of(
        "cnn2", "c32 r p c64 r p", labels=labels, channels=channels, size=size, pool=pool, dropout=dropout
    )


def conv10_20(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (28, 28), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """Two 5x5 convolutions without padding, to 10 and 20 channels, each with ReLU and pooling, one linear layer.

    8,490 parameters for ten classes of 28x28, of which 3,210 are the linear layer's. Arguments as `cnn1`.
    """
    features = "c10k5p0 r p c20k5p0 r p"
    return classifier_of("conv10-20", features, labels=labels, channels=channels, size=size, pool=pool, dropout=dropout)
