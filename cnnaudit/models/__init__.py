"""Our own small architectures, by name, and the checkpoints that come with the package."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from cnnaudit.models import vgg
from cnnaudit.models.classics import cnn1, cnn2, conv10_20, logistic, mlp
from cnnaudit.models.husky_wolf import husky_wolf
from cnnaudit.models.pattern_language import is_pattern
from cnnaudit.models.patterns import from_pattern
from cnnaudit.models.signals import mnist1d_cnn, mnist1d_fc

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "logistic": logistic,
    "mlp": mlp,
    "cnn1": cnn1,
    "cnn2": cnn2,
    "conv10-20": conv10_20,
    "mnist1d-fc": mnist1d_fc,
    "mnist1d-cnn": mnist1d_cnn,
    "vgg8": vgg.vgg8,
    "husky-wolf": husky_wolf,
    "pattern": from_pattern,
}
"""A factory for each architecture of ours; its keywords are plain values, and travel in a checkpoint."""

BEGINNINGS: dict[str, Callable[[nn.Module, Tensor], None]] = {"vgg8": vgg.begin}
"""What is done to an untrained network with some of its pictures, `n c h w`, normalised, before it learns."""

_WEIGHTS = Path(__file__).parent / "weights"

BUNDLED: dict[str, Path] = {
    "husky-wolf": _WEIGHTS / "husky-wolf.safetensors",
    "husky-wolf-fair": _WEIGHTS / "husky-wolf-fair.safetensors",
    "mnist": _WEIGHTS / "mnist.safetensors",
}
"""Checkpoints that come with the package, each with its card (`.md`) beside it."""


def is_ours(architecture: str) -> bool:
    """Whether a name is of an architecture of ours, or a pattern that makes one."""
    return architecture in ARCHITECTURES or is_pattern(architecture)
