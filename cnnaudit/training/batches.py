"""Pictures a batch at a time, on the device: from memory without any Python a picture, or from files."""

import os
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from cnnaudit.data.splits import Files, Split

Batch = tuple[Tensor, Tensor]
"""Pictures (`n c h w`, as the dataset keeps them) and their classes (`n`)."""

_WORKERS = 8


class Feed(Protocol):
    """A part of a dataset that can be gone through in any order."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """The pictures `order` names, `size` at a time; the last batch may be smaller."""
        ...


class Resident:
    """A whole part of a dataset as one tensor on the device."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self._images = split.images.to(device)
        self._labels = split.labels.to(device)

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `Feed` says; a batch is one gather."""
        for chosen in order.to(self._labels.device).split(size):
            yield self._images[chosen], self._labels[chosen]


class Streamed:
    """Pictures read by worker processes while the network trains."""

    def __init__(self, files: Files, device: torch.device) -> None:
        self._files, self._device = files, device

    def __len__(self) -> int:
        return len(self._files)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `Feed` says; the order is ours, so that it does not depend on the workers."""
        loader = DataLoader(
            Subset(self._files, order.tolist()),
            batch_size=size,
            num_workers=min(_WORKERS, os.cpu_count() or 1),
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),
        )
        labels = self._files.labels[order].split(size)
        for images, known in zip(loader, labels, strict=True):
            yield images.to(self._device, non_blocking=True), known.to(self._device)


def feed(split: Split | Files, device: torch.device) -> Feed:
    """The way to go through a part of a dataset on `device`."""
    return Resident(split, device) if isinstance(split, Split) else Streamed(split, device)
