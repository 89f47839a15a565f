"""Pictures a batch at a time, on the device: from memory without any Python a picture, or from files."""

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnaudit.data.splits import Files, Split
from cnnaudit.errors import DataError
from cnnaudit.memory import is_out_of_memory

Batch = tuple[Tensor, Tensor]
"""Pictures (`n c h w`, as the dataset keeps them) and their classes (`n`)."""

_WORKERS = 8


class Feed(Protocol):
    """A part of a dataset that can be gone through in any order."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """The pictures `order` names, in batches of the sizes that `parts` gives."""
        ...


def parts(n: int, size: int) -> list[int]:
    """Sizes of the parts of `n`: `size` each and a smaller last one, which is never 1.

    A single picture joins the part before it: batch normalisation has no variance of one.
    """
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    if size > 1 and len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


class Resident:
    """A whole part of a dataset as one tensor, on the device where that has room for it."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self._device = device
        try:
            self._images, self._labels = split.images.to(device), split.labels.to(device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._images, self._labels = split.images, split.labels

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `Feed` says; a batch is one gather."""
        for chosen in order.to(self._labels.device).split(parts(len(order), size)):
            images, labels = self._images.index_select(0, chosen), self._labels[chosen]
            yield images.to(self._device), labels.to(self._device)


class Streamed:
    """Pictures read by worker processes while the network trains."""

    def __init__(self, files: Files, device: torch.device) -> None:
        self._files, self._device = files, device

    def __len__(self) -> int:
        return len(self._files)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `Feed` says; the order is ours, so that it does not depend on the workers.

        Raises:
            DataError: a picture can no longer be read.
        """
        chosen = order.split(parts(len(order), size))
        pinned = self._device.type == "cuda"
        loader = DataLoader(
            _Carried(self._files),
            batch_sampler=[places.tolist() for places in chosen],
            collate_fn=_together,
            num_workers=min(_WORKERS, _cores()),
            pin_memory=pinned,
            worker_init_fn=_leave_ctrl_c_to_the_parent,
            generator=torch.Generator(),
        )
        for images, places in zip(loader, chosen, strict=True):
            if isinstance(images, str):
                raise DataError(images)
            labels = self._files.labels[places]
            yield (
                images.to(self._device, non_blocking=True),
                (labels.pin_memory() if pinned else labels).to(self._device, non_blocking=True),
            )


class _Carried(Dataset[Tensor | str]):
    """Files whose errors travel as words: the loader would wrap them in a worker's traceback."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            return self._files[index]
        except DataError as error:
            return str(error)


def _together(pictures: Sequence[Tensor | str]) -> Tensor | str:
    tensors = [picture for picture in pictures if isinstance(picture, Tensor)]
    words = [picture for picture in pictures if isinstance(picture, str)]
    return words[0] if words else torch.stack(tensors)


def _leave_ctrl_c_to_the_parent(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def feed(split: Split | Files, device: torch.device) -> Feed:
    """The way to go through a part of a dataset on `device`."""
    return Resident(split, device) if isinstance(split, Split) else Streamed(split, device)
