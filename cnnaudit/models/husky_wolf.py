"""The small network that tells huskies from wolves."""

from collections.abc import Sequence

from torch import nn

from cnnaudit.models.pooling import Pool, make_pool
from cnnaudit.models.sizes import conv_output, known_count, known_dropout, known_sides


def husky_wolf(
    *,
    labels: int = 2,
    channels: int = 3,
    size: Sequence[int] = (128, 128),
    pool: Pool = "max",
    dropout: float = 0.2,
    width: int = 16,
) -> nn.Sequential:
    """Four convolutions, global average pooling, one linear layer: about 100,000 parameters.

    For pictures of 128 x 128 the last convolution's maps are 16 x 16, and each class's logit is the
    mean of a weighted sum of them, so that class activation maps (Zhou et al., CVPR 2016) are exact.

    Args:
        labels: how many classes.
        channels, size: of the pictures; size is (height, width), and others that are not too small will do.
        pool: kind of the pooling behind the first two convolutions.
        dropout: share of the linear layer's inputs that are set to zero in training.
        width: channels of the first convolution; each later one doubles them.

    Returns:
        A network from `n channels h w` to logits, `n labels`.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    for side in known_sides(size):
        conv_output(conv_output(conv_output(side, 5, 2, 2), 2, 2), 2, 2)
    width, channels = known_count(width, "width"), known_count(channels, "channels")
    return nn.Sequential(
        _stage(channels, width, kernel=5, stride=2, pool=pool),
        _stage(width, 2 * width, pool=pool),
        _stage(2 * width, 4 * width),
        _stage(4 * width, 8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(known_dropout(dropout)),
        nn.Linear(8 * width, known_count(labels, "labels")),
    )


def _stage(channels: int, out: int, *, kernel: int = 3, stride: int = 1, pool: Pool | None = None) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    ]
    if pool is not None:
        layers.append(make_pool(pool))
    return nn.Sequential(*layers)
