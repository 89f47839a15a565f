"""In which number format the network's forward and backward passes run."""

import copy
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.errors import OptionError
from cnnaudit.memory import is_out_of_memory

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_GAIN = 1.25  # a half-precision run must be this much faster to be chosen
_PROBE = 32
_REPEATS = 3


def resolve(wanted: str, network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> torch.dtype:
    """The format to train in; "auto" measures, and takes float32 unless half precision is clearly faster.

    Args:
        network: on `device`.
        shape: of one picture.

    Raises:
        OptionError: the device has no such format.
    """
    if wanted == "auto":
        half = _native_half(device)
        return half if half is not None and _gain(network, shape, device, half) >= _GAIN else torch.float32
    if wanted == "float16" and device.type == "cpu":
        raise OptionError("float16 trains on accelerators only. On the CPU take --precision bfloat16 or float32.")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Forward passes in `dtype`, the weights and what needs it in float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def _native_half(device: torch.device) -> torch.dtype | None:
    """The format that the hardware itself computes in; software emulation can be a hundred times slower."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        cpu = torch.cpu
        native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return None


def _gain(network: nn.Module, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> float:
    """How many times faster a step is in `dtype` than in float32, measured on a copy; 0 where memory is short."""
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], dtype: []}
    with hooks.preserved_randomness():
        try:
            images = torch.full((_PROBE, *shape), 0.5, device=device)
            trial = copy.deepcopy(network).train()
            for _ in range(_REPEATS + 1):
                for each, times in seconds.items():
                    times.append(_step_seconds(trial, images, each))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return 0.0
    medians = {each: statistics.median(times[1:]) for each, times in seconds.items()}
    return medians[torch.float32] / medians[dtype]


def _step_seconds(network: nn.Module, images: Tensor, dtype: torch.dtype) -> float:
    began = time.perf_counter()
    with autocast(images.device, dtype):
        loss = network(images).float().square().mean()
    loss.backward()
    float(loss)  # an accelerator is done only when its answer is here
    if images.device.type != "cpu":
        torch.accelerator.synchronize(images.device)
    return time.perf_counter() - began
