"""The small network that tells huskies from wolves."""

from torch import nn


def husky_wolf(*, width: int = 16, labels: int = 2) -> nn.Sequential:
    """Four convolutions, global average pooling, one linear layer: about 100,000 parameters.

    For pictures of 128 x 128 the last convolution's maps are 16 x 16, and each class's logit is the
    mean of a weighted sum of them, so that class activation maps (Zhou et al., CVPR 2016) are exact.

    Args:
        width: channels of the first convolution; each later one doubles them.
        labels: how many classes.

    Returns:
        A network from `n 3 h w` to logits, `n labels`.
    """
    return nn.Sequential(
        _stage(3, width, kernel=5, stride=2, pool=True),
        _stage(width, 2 * width, pool=True),
        _stage(2 * width, 4 * width),
        _stage(4 * width, 8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8 * width, labels),
    )


def _stage(channels: int, out: int, *, kernel: int = 3, stride: int = 1, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
