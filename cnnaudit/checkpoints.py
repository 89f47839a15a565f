"""Our own checkpoint: one `.safetensors` file that needs nothing beside it.

The tensors are the network's state dict. The file's metadata has one key of ours, `cnnaudit`, whose
value is a `Card` as JSON: architecture, labels, geometry, normalisation, and how it was trained.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cnnaudit.errors import WeightsError
from cnnaudit.files import replacing

KEY = "cnnaudit"


@dataclass(frozen=True, slots=True)
class Card:
    """What a checkpoint says of itself.

    Attributes:
        architecture: a name of `cnnaudit.models.ARCHITECTURES` or a torchvision classifier; never
            an import path, so that a file cannot choose code to run.
        arguments: keyword arguments of the architecture's factory, plain values.
        input_size: height and width in pixels.
        resize_size: the shorter side is resized to this before the centre crop; None resizes
            straight to `input_size`.
        interpolation: `nearest`, `bilinear` or `bicubic`.
        training: the record of the run: command, seed, epochs, accuracies.
    """

    architecture: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    resize_size: int | None = None
    interpolation: str = "bilinear"
    dataset: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    tool_version: str = ""


def write(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write a checkpoint, all or nothing."""
    metadata = {KEY: json.dumps(asdict(card), sort_keys=True)}  # one key: the order of several is not fixed
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata)


def read_card(path: Path) -> Card | None:
    """The card of a checkpoint, or None for a `.safetensors` file that is not ours.

    Raises:
        WeightsError: the file is damaged, or its card lacks a field.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}). Fetch or write it again.") from error
    if KEY not in metadata:
        return None
    try:
        raw = json.loads(metadata[KEY])
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return Card(**fields)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} has a damaged cnnaudit card ({error}). Train or export it again.") from error
