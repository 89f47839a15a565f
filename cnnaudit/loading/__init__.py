"""`load`: a name, a file or a factory becomes a `Classifier`.

A name is looked up among the bundled checkpoints, torchvision's classifiers and our architectures, in
that order; then come `timm:NAME`, `package.module:factory` and files. Only a factory or a trusted file
runs code that is not ours, and only the caller can name one: a file's metadata cannot.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cnnaudit.classifier import Classifier
from cnnaudit.download import Progress
from cnnaudit.errors import DownloadError, OptionError, UnknownModelError, WeightsError, near_matches
from cnnaudit.loading import external, sources
from cnnaudit.loading import weights as weight_files
from cnnaudit.loading.catalog import ModelEntry, Preset, available_models, torchvision_names
from cnnaudit.loading.sources import Source
from cnnaudit.models import ARCHITECTURES, BUNDLED

__all__ = ["ModelEntry", "available_models", "load", "resolve_device"]

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_AUTO, _FALLBACK = "resnet50", "husky-wolf"
_KINDS = (
    f"Give a bundled model ({', '.join(BUNDLED)}), a torchvision classifier (resnet50, …), timm:NAME, "
    "package.module:factory, or a file; `cnnaudit models` lists the names."
)


def load(
    model: str | Path = "auto",
    *,
    weights: str | Path | None = None,
    labels: str | Path | Sequence[str] | None = None,
    device: str | torch.device = "auto",
    trust_model: bool = False,
    input_size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Load a classifier with its geometry, normalisation and labels.

    Args:
        model: a bundled model, a torchvision classifier, an architecture of ours, `timm:NAME`,
            `package.module:factory`, or a file; "auto" is resnet50, or husky-wolf where that cannot be had.
        weights: a file, the name of one of torchvision's, or "none" for random ones; by default the
            model's own.
        labels: a file (one label a line, or JSON: a list, or index to label), or the labels.
        device: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
        trust_model: run code from `model` or `weights` where it cannot be loaded otherwise.
        input_size, mean, std: instead of what the weights' metadata says.
        progress: called during a download with the bytes so far and in all.

    Raises:
        UnknownModelError: there is no such model.
        DownloadError: its weights cannot be fetched.
        WeightsError: its weights are damaged or do not fit.
        UntrustedModelError: loading it would run code from a file.
        ModelError: it is no classifier that we can use.
        OptionError: an argument is wrong.
    """
    place = resolve_device(device)
    names = read_labels(labels) if isinstance(labels, str | Path) else labels
    source = _source(str(model), weights, trust_model, progress)
    preset = _with_size(source.preset, input_size)
    return Classifier(
        source.network,
        labels=names if names is not None else preset.labels,
        input_size=preset.input_size,
        mean=mean if mean is not None else preset.mean,
        std=std if std is not None else preset.std,
        channels=preset.channels,
        resize_size=preset.resize_size,
        interpolation=preset.interpolation,
        device=place,
        name=source.name,
        architecture=source.architecture,
        source=source.origin,
        notes=(*source.notes, *_unknown(preset, input_size, mean, std)),
    )


def _source(model: str, weights: str | Path | None, trust_model: bool, progress: Progress | None) -> Source:
    if model == "auto":
        return _automatic(weights, trust_model, progress)
    if model in BUNDLED:
        origin = "bundled with cnnaudit"
        return sources.from_checkpoint(BUNDLED[model], model, weights, origin=origin, trust_model=trust_model)
    if model in torchvision_names():
        return sources.from_torchvision(model, weights, trust_model=trust_model, progress=progress)
    if model in ARCHITECTURES:
        return sources.from_architecture(model, weights, trust_model=trust_model)
    if model.startswith("timm:"):
        return external.from_timm(model.removeprefix("timm:"), weights, trust_model=trust_model)
    if model and (Path(model).exists() or Path(model).suffix in weight_files.SUFFIXES):
        return sources.from_file(Path(model), weights, trust_model=trust_model)
    if _FACTORY.fullmatch(model):
        return external.from_factory(model, weights, trust_model=trust_model)
    known = (*BUNDLED, *ARCHITECTURES, *torchvision_names())
    raise UnknownModelError(f"There is no model {model!r}.{near_matches(model, known)} {_KINDS}")


def _automatic(weights: str | Path | None, trust_model: bool, progress: Progress | None) -> Source:
    """resnet50, else the bundled model with a note that cannot be missed."""
    if weights is not None and weights != sources.RANDOM:
        return sources.from_file(Path(weights), None, trust_model=trust_model)
    try:
        return sources.from_torchvision(_AUTO, weights, trust_model=trust_model, progress=progress)
    except (DownloadError, WeightsError) as error:
        source = _source(_FALLBACK, None, False, None)
        reason = re.split(r"\. (?=[A-Z])", str(error).rstrip("."))[0]
        note = (
            f"this is {_FALLBACK}, a demonstration network that knows only huskies and wolves: "
            f"no model was named, and {_AUTO} could not be had ({reason})"
        )
        return replace(source, notes=(note, *source.notes))


def _with_size(preset: Preset, input_size: int | tuple[int, int] | None) -> Preset:
    """The preset for another input size: the resizing grows with the crop."""
    if input_size is None:
        return preset
    size = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if len(size) != 2:
        raise OptionError(f"input_size must be one number, or height and width; got {input_size}.")
    resize = preset.resize_size
    if resize is not None:
        resize = round(resize * size[0] / preset.input_size[0]) if size[0] == size[1] else None
    return replace(preset, input_size=size, resize_size=resize)


def _unknown(preset: Preset, input_size: Any, mean: Any, std: Any) -> tuple[str, ...]:
    """A note where nothing says how the network wants its pictures."""
    if preset.mean is not None or preset.channels is not None or (mean is not None and std is not None):
        return ()
    height, width = preset.input_size
    sized = "" if input_size is not None else f"pictures are {height} x {width}; "
    return (f"no preprocessing is known for this model: {sized}mean 0 and std 1 stand in for what was not given",)


def resolve_device(device: str | torch.device) -> torch.device:
    """The device that a name means here.

    Raises:
        OptionError: this machine has none of that name.
    """
    if str(device) == "auto":
        return torch.device("cuda" if _has("cuda") else "mps" if _has("mps") else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise OptionError(f"device must be auto, cpu, cuda, cuda:N or mps; got {device!r}.") from None
    if place.type not in ("cpu", "cuda", "mps"):
        raise OptionError(f"device must be auto, cpu, cuda, cuda:N or mps; got {device!r}.")
    if not _has(place.type):
        raise OptionError(f"This machine (or this build of torch) has no {place.type}. Use --device auto or cpu.")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise OptionError(f"There is no {place}; this machine has {torch.cuda.device_count()} CUDA devices, from 0.")
    return place


def _has(kind: str) -> bool:
    return kind == "cpu" or (torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available())


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Labels from a file: one a line, or JSON (a list; index to label; label to index).

    Raises:
        OptionError: it cannot be read, or its indices are not 0, 1, 2, ….
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"The labels {path} cannot be read ({error}). Expected text, one label a line.") from error
    if text.lstrip()[:1] not in ("[", "{"):
        return tuple(line.strip() for line in text.rstrip().splitlines())
    try:
        return _json_labels(json.loads(text))
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise OptionError(f"The labels {path} are not a JSON list or an index-to-label mapping ({error}).") from error


def _json_labels(content: Any) -> tuple[str, ...]:
    if isinstance(content, list):
        return tuple(_label(value) for value in content)
    if all(isinstance(value, int) for value in content.values()):
        content = {index: label for label, index in content.items()}
    by_index = {int(index): _label(value) for index, value in content.items()}
    if sorted(by_index) != list(range(len(by_index))):
        raise ValueError("its indices are not 0, 1, 2, …")
    return tuple(by_index[index] for index in range(len(by_index)))


def _label(value: Any) -> str:
    """Keras and torchvision write ["n01440764", "tench"]: the last part is the name."""
    return str(value[-1] if isinstance(value, list) else value)
