"""All that an explanation must leave as it was, recorded without the package's own help."""

import hashlib
import pickle
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def model_state(network: nn.Module) -> dict[str, Any]:
    """Bits, identities, modes and hooks of a network, and the process's grad mode and random states."""
    state: dict[str, Any] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        state[f"{name} identity"] = id(module), type(module)
        for key, value in vars(module).items():
            state[f"{name}.{key}"] = _plain(value)
    for name, parameter in network.named_parameters(remove_duplicate=False):
        state[f"parameter {name}"] = _tensor(parameter), parameter.is_leaf
        state[f"grad {name}"] = None if parameter.grad is None else _tensor(parameter.grad)
    return state | surroundings()


def surroundings() -> dict[str, Any]:
    """What belongs to the process and not to the network."""
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "torch random": _hash(torch.get_rng_state().numpy().tobytes()),
        "numpy random": _hash(pickle.dumps(np.random.get_state())),
        "python random": _hash(pickle.dumps(random.getstate())),
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what changed."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, dict):
        return id(value), [(repr(key), _plain(item)) for key, item in value.items()]
    if isinstance(value, bool | int | float | str | tuple | None):
        return repr(value)
    return id(value)


def _tensor(tensor: Tensor) -> tuple[Any, ...]:
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return id(tensor), tensor.data_ptr(), tensor.requires_grad, tuple(tensor.shape), _hash(bits.numpy().tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
