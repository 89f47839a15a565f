"""Our own small architectures, by name, and the checkpoints that come with the package."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from cnnaudit.models.husky_wolf import husky_wolf

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "husky-wolf": husky_wolf,
}
"""A factory for each architecture of ours; its keywords are plain values, and travel in a checkpoint."""

_WEIGHTS = Path(__file__).parent / "weights"

BUNDLED: dict[str, Path] = {
    "husky-wolf": _WEIGHTS / "husky-wolf.safetensors",
    "husky-wolf-fair": _WEIGHTS / "husky-wolf-fair.safetensors",
}
"""Checkpoints that come with the package, each with its card (`.md`) beside it."""
