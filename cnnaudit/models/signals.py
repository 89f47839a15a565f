"""The two networks of the MNIST-1D comparison (Greydanus and Kobak, ICML 2024, arXiv 2011.14439).

A signal is a picture one pixel high, `n c 1 w`.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from cnnaudit.errors import OptionError
from cnnaudit.models.patterns import classifier_of
from cnnaudit.models.pooling import Pool, known_pool
from cnnaudit.models.sizes import conv_output, known_count, known_dropout, known_sides

_CHANNELS, _KERNEL, _STRIDE = 15, 3, 2


def mnist1d_fc(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (1, 40), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """Fully connected, 285, 135 and 60 hidden units: as many layers and hidden units as `mnist1d-cnn`.

    59,065 parameters for ten classes of signals of 40. Arguments as `logistic`.
    """
    features = "f285 r f135 r f60 r"
    return classifier_of(
        "mnist1d-fc", features, labels=labels, channels=channels, size=size, pool=pool, dropout=dropout
    )


def mnist1d_cnn(
    *, labels: int = 10, channels: int = 1, size: Sequence[int] = (1, 40), pool: Pool = "max", dropout: float = 0.0
) -> nn.Sequential:
    """Three 1-D convolutions to 15 channels, kernel 3, stride 2, each with ReLU, and one linear layer.

    2,050 parameters for ten classes of signals of 40.

    Args:
        labels: how many classes.
        channels: of the signals.
        size: (1, length) of the signals.
        pool: there is none here; anything but "max" is refused.
        dropout: share of the linear layer's inputs that are set to zero in training.

    Returns:
        A network from `n channels 1 length` to logits `n labels`.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    labels, inputs, rate = known_count(labels, "labels"), known_count(channels, "channels"), known_dropout(dropout)
    height, length = known_sides(size)
    if height != 1:
        raise OptionError(f"mnist1d-cnn takes signals, pictures 1 pixel high; the size given is {height}x{length}.")
    if known_pool(pool) != "max":
        raise OptionError(f"mnist1d-cnn has strides and no pooling layer that could be {pool!r}. Leave pool out.")
    layers: OrderedDict[str, nn.Module] = OrderedDict(signal=nn.Flatten(1, 2))
    for index in (1, 2, 3):
        layers[f"conv{index}"] = nn.Conv1d(inputs, _CHANNELS, _KERNEL, _STRIDE)
        layers[f"relu{index}"] = nn.ReLU()
        inputs, length = _CHANNELS, conv_output(length, _KERNEL, _STRIDE)
    layers["flatten"] = nn.Flatten()
    if rate:
        layers["dropout1"] = nn.Dropout(rate)
    layers["fc1"] = nn.Linear(_CHANNELS * length, labels)
    return nn.Sequential(layers)
