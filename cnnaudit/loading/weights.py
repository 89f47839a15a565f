"""Reading a file of weights without running what is in it.

What a file is, its first bytes and its table of contents decide, never its name. Tensors are read by
safetensors, or by torch's restricted unpickler, which refuses every global that it does not know.
Anything that can only be loaded by running code from the file is refused unless it is trusted.
"""

import pickle
import re
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cnnaudit import checkpoints
from cnnaudit.errors import ModelError, UntrustedModelError, WeightsError

Kind = Literal["safetensors", "pickle", "zip", "torchscript", "exported"]

SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt", ".pt2", ".pkl", ".tar", ".ts", ".jit"})
"""Endings that a file of weights may have; the reader itself goes by content."""

_STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
)
_EMA_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema")


@dataclass(frozen=True, slots=True, eq=False)
class WeightsFile:
    """What a file held: a state dict, or (from a trusted file only) a whole module.

    Attributes:
        card: of our own checkpoints.
        notes: which of several state dicts was taken.
    """

    path: Path
    state: Mapping[str, Tensor]
    card: checkpoints.Card | None = None
    module: nn.Module | None = None
    notes: tuple[str, ...] = ()


def read(path: Path, *, trust_model: bool = False) -> WeightsFile:
    """Read a `.safetensors` file or a torch checkpoint.

    Args:
        trust_model: run code from the file where there is no other way to load it.

    Raises:
        WeightsError: there is no such file, it is damaged, or it holds no weights.
        UntrustedModelError: loading it would run code from the file.
        ModelError: the code of a trusted file fails.
    """
    kind = file_kind(path)
    if kind == "safetensors":
        return WeightsFile(path, _read_safetensors(path), checkpoints.read_card(path))
    if kind in ("torchscript", "exported"):
        return _read_program(path, kind, trust_model)
    if path.suffix == ".safetensors":
        raise WeightsError(f"{path} is named .safetensors, but it is a pickle. Do not use it, or rename it to .pth.")
    return _read_pickle(path, kind, trust_model)


def file_kind(path: Path) -> Kind:
    """What a file is by its content.

    Raises:
        WeightsError: it cannot be read, or is no file of weights.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; expected a file of weights ({', '.join(sorted(SUFFIXES))}).")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return "safetensors"
    if head.startswith(b"\x80") and not tarfile.is_tarfile(path):
        return "pickle"
    raise WeightsError(
        f"{path} is neither safetensors nor a PyTorch checkpoint{' (it is empty)' * (not head)}. "
        "Fetch it again, or save it with safetensors or torch.save(network.state_dict(), …)."
    )


def _zip_kind(path: Path) -> Kind:
    names = [Path(entry.filename) for entry in _entries(path)]
    if any(name.name == "constants.pkl" or "code" in name.parts[:2] for name in names):
        return "torchscript"
    if any(name.name == "data.pkl" for name in names):
        return "zip"
    if any(name.name in ("archive_format", "serialized_exported_program.json") for name in names):
        return "exported"
    raise WeightsError(f"{path} is a zip archive without weights; expected what torch.save or safetensors writes.")


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _read_pickle(path: Path, kind: Kind, trust_model: bool) -> WeightsFile:
    try:
        content = _unpickled(path, kind)
    except UntrustedModelError:
        if not trust_model:
            raise
        content = _run(path, lambda: torch.load(path, map_location="cpu", weights_only=False))
    module = _module_in(content)
    if module is not None:
        return WeightsFile(path, module.state_dict(), module=module)
    state, notes = _state_in(content)
    if not state:
        raise WeightsError(f"{path} holds no weights: no dictionary of tensors was found in it.")
    return WeightsFile(path, state, notes=notes)


def _unpickled(path: Path, kind: Kind) -> Any:
    stored = kind == "zip" and all(entry.compress_type == zipfile.ZIP_STORED for entry in _entries(path))
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore", UserWarning)  # "Detected pickle protocol 4": read all the same
            return torch.load(path, map_location="cpu", weights_only=True, mmap=stored)
    except pickle.UnpicklingError as error:
        raise _untrusted(path, _what_a_pickle_needs(str(error))) from error
    except Exception as error:  # a damaged pickle fails in any way there is, and none of them ran its code
        raise _damaged(path, error) from error


def _what_a_pickle_needs(message: str) -> str:
    found = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", message)
    if found is None:
        return "is a pickle with instructions that are not needed for weights"
    return f"is a pickle that calls {found.group(1)}: a whole model or other objects, not weights alone"


def _read_program(path: Path, kind: Kind, trust_model: bool) -> WeightsFile:
    what = "TorchScript" if kind == "torchscript" else "an exported program (.pt2)"
    if not trust_model:
        raise _untrusted(path, f"is {what}, which is code as well as weights")
    module = _run(path, lambda: _load_script(path) if kind == "torchscript" else torch.export.load(path).module())
    return WeightsFile(path, module.state_dict(), module=module)


def _load_script(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.load.* is deprecated")
        return torch.jit.load(path, map_location="cpu")


def _run(path: Path, loader: Any) -> Any:
    try:
        return loader()
    except Exception as error:  # the file's own code may raise anything
        raise ModelError(f"{path} was trusted, but loading it failed ({type(error).__name__}: {error}).") from error


def _module_in(content: Any) -> nn.Module | None:
    if isinstance(content, nn.Module):
        return content
    found = [content.get(key) for key in (*_STATE_KEYS, *_EMA_KEYS)] if isinstance(content, Mapping) else []
    return next((value for value in found if isinstance(value, nn.Module)), None)


def _state_in(content: Any, depth: int = 3) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict in what was unpickled: at the top, or nested beside epochs and optimiser state."""
    if not isinstance(content, Mapping) or depth == 0:
        return {}, ()
    for key in _STATE_KEYS:
        state, notes = _state_in(content.get(key), depth - 1)
        if state:
            averaged = any(isinstance(content.get(other), Mapping) for other in _EMA_KEYS)
            skipped = (f"the file also holds averaged (EMA) weights; {key!r} was taken",) if averaged else ()
            return state, notes + skipped
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if any("." in name or name in ("weight", "bias") for name in tensors):
        return tensors, ()
    for key in _EMA_KEYS:
        state, notes = _state_in(content.get(key), depth - 1)
        if state:
            return state, (*notes, f"these are averaged (EMA) weights, {key!r}")
    named = [value for value in content.values() if isinstance(value, Mapping) and _looks_like_state(value)]
    return (dict(named[0]) if len(named) == 1 and not tensors else tensors), ()


def _looks_like_state(values: Mapping[Any, Any]) -> bool:
    return bool(values) and all(
        isinstance(name, str) and "." in name and isinstance(value, Tensor) for name, value in values.items()
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    return WeightsError(f"{path} is damaged ({reason}). Delete it and fetch or save it again.")


def _untrusted(path: Path, what: str) -> UntrustedModelError:
    return UntrustedModelError(
        f"{path} {what}. Loading it would run code from the file, so it was refused, and nothing was run. "
        "Save the weights alone (safetensors, or torch.save(network.state_dict(), …)), or, if you trust its "
        "author, give --trust-model (trust_model=True)."
    )


class _Inert:
    """Takes the place of harmless objects in old checkpoints (NumPy scalars, paths, parsed arguments)."""

    def __new__(cls, *_arguments: Any) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, _state: Any) -> None:
        """What the object was is of no interest."""


class _PlainDict:
    """Takes the place of dictionary classes: making one gives a `dict`."""

    def __new__(cls, *_arguments: Any) -> Any:
        return OrderedDict()


_STAND_INS: list[Any] = [
    *(
        (_Inert, name)
        for name in (
            "numpy.core.multiarray.scalar",
            "numpy._core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray._reconstruct",
            "numpy.ndarray",
            "numpy.dtype",
            "argparse.Namespace",
            "types.SimpleNamespace",
            "pathlib.PosixPath",
            "pathlib.WindowsPath",
            "pathlib._local.PosixPath",
            "pathlib._local.WindowsPath",
            "datetime.datetime",
            "datetime.timedelta",
            "builtins.list",
            "builtins.dict",
            "builtins.int",
            "builtins.float",
        )
    ),
    *(
        (_PlainDict, name)
        for name in (
            "collections.defaultdict",
            "lightning_fabric.utilities.data.AttributeDict",
            "lightning.fabric.utilities.data.AttributeDict",
            "pytorch_lightning.utilities.parsing.AttributeDict",
        )
    ),
]
"""Names in a pickle and what is made in their place: nothing of those libraries is imported or called."""
