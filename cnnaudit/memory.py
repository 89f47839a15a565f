"""Whether an error says that memory is short."""

import torch

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """True for any of the ways in which torch's allocators, cuDNN and cuBLAS say so; not all have a class for it."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in text for sign in _SIGNS)
