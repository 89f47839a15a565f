"""Memory: whether an error says that it is short, keeping it between the batches of a loop, and what a loop leaves."""

import ctypes
import functools
import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt's parameters
_NEVER, _HUGE = -1, (1 << 31) - 1
_USUAL = 1 << 25  # to where glibc lets its threshold rise; it trims above twice that
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_inside = 0


def is_out_of_memory(error: BaseException) -> bool:
    """True for any of the ways in which torch's allocators, cuDNN and cuBLAS say so; not all have a class for it."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in text for sign in _SIGNS)


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is freed inside for the next batch; also a decorator.

    glibc gets each block above 32 MB from the system anew and gives it back as soon as it is free. Feature maps are
    that large, and all their pages are faulted in and zeroed again for each layer of each batch, which takes longer
    than mobilenet_v2's arithmetic. Without glibc, and where the environment sets its thresholds, nothing is done.
    """
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def rows_of(batches: Iterable[Tensor], count: int) -> Tensor:
    """The rows of all batches, `count` in all, in one block that is there before the second batch is.

    A small block that outlives its batch may lie in the room of a large one that is free. The next batch's does not
    fit in there any more, and memory grows with every batch: by more than the pictures themselves, where it is kept.

    Raises:
        ValueError: there is no batch, or the rows are not so many.
    """
    found, done = torch.empty(0), 0
    for batch in batches:
        found = batch.new_empty(count, *batch.shape[1:]) if done == 0 else found
        if done + len(batch) <= count:
            found[done : done + len(batch)] = batch
        done += len(batch)
    if done == 0 or done != count:
        raise ValueError(f"The batches have {done} rows in all, and {count} were announced.")
    return found


def _count(change: int) -> None:
    global _inside
    with _lock:
        before, _inside = _inside, _inside + change
        if (before == 0) != (_inside == 0) and (mallopt := _mallopt()):
            mallopt(_MMAP_THRESHOLD, _HUGE if _inside else _USUAL)
            mallopt(_TRIM_THRESHOLD, _NEVER if _inside else 2 * _USUAL)


@functools.cache
def _mallopt() -> Callable[[int, int], int] | None:
    """glibc's function that changes how memory is allocated."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _SETTINGS):
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)
