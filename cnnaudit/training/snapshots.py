"""Where a training stands after an epoch, kept on disk so that it can go on as if it had never stopped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnaudit.errors import TrainingError
from cnnaudit.files import replacing

_FORMAT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that the next epoch depends on.

    Attributes:
        recipe: as plain values; a training goes on by the recipe it began with.
        history: an epoch each, as plain values.
        network, optimizer, scaler: their state dicts.
        best: the weights kept so far; None where they are the network's.
        order: state of the generator that draws order and augmentation.
        randomness: the global state of torch, which dropout draws from, one for each device.
        largest: pictures worked at once where memory is short.
        start: the first layer's weights before the first step.
        first_loss: of the untrained network in validation.
        seconds: spent so far.
        device: its kind.
        torch: its version.
        threads: of torch on the CPU, on which the order of its sums depends.
        data: fingerprint of the pictures and their classes, in their order.
        notes: what the reader must know.
    """

    recipe: dict[str, Any]
    history: list[dict[str, Any]]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    best: dict[str, Tensor] | None
    order: Tensor
    randomness: list[Tensor]
    dtype: str
    largest: int | None
    start: dict[str, Tensor]
    first_loss: float
    seconds: float
    device: str
    torch: str
    threads: int
    data: str
    notes: list[str]


def write(path: Path, snapshot: Snapshot) -> None:
    """Write all or nothing."""
    record = {name: getattr(snapshot, name) for name in Snapshot.__slots__}
    with replacing(path) as temporary:
        torch.save({"format": _FORMAT} | record, temporary)


def read(path: Path) -> Snapshot:
    """The snapshot in a file; nothing in the file is run.

    Raises:
        TrainingError: it is damaged, or of another version.
    """
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        version = record.pop("format")
        snapshot = Snapshot(**record) if version == _FORMAT else None
    except Exception as error:  # torch.load has many ways to fail, and no common base for them
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"{path} cannot be resumed from ({reason}). Delete it and train anew.") from error
    if snapshot is None:
        raise TrainingError(f"{path} is of format {version}, not {_FORMAT}. Delete it and train anew.")
    return snapshot
