"""Networks made by code that is not ours: the user's own factory, and timm."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor
from pathlib import Path
from typing import Any

from torch import nn

from cnnaudit.download import reach
from cnnaudit.errors import DownloadError, ModelError, UnknownModelError, near_matches
from cnnaudit.loading import weights
from cnnaudit.loading.catalog import Preset, default_weights, preset_of
from cnnaudit.loading.fitting import fit, load_exactly
from cnnaudit.loading.sources import INSTEAD, RANDOM, RANDOM_NOTE, Source, adapted, seeded


def from_factory(spec: str, given: str | Path | None, *, trust_model: bool) -> Source:
    """What `package.module:factory` makes: a module, or a function that returns one.

    The current folder is importable, as with `python -m`.

    Raises:
        UnknownModelError: there is no such module or name.
        ModelError: importing or calling it fails, or gives no `torch.nn.Module`.
        WeightsError, UntrustedModelError: the weights file cannot be used.
    """
    with _importable_here():
        with seeded():
            found = _imported(spec)
        with seeded():  # again: the first import draws numbers of its own, the second one does not
            network = _made(spec, found)
    architecture, origin = type(network).__name__, f"as {spec} makes them"
    if given in (None, RANDOM):
        notes = (f"weights are as {spec} makes them",) if given == RANDOM else ()
        return Source(network, spec, architecture, origin, Preset(), notes)
    file = weights.read(Path(str(given)), trust_model=trust_model)
    fitted = load_exactly(network, file.state, what=spec, origin=file.path.name)
    return Source(network, spec, architecture, f"the file {file.path.name}", Preset(), file.notes + fitted.notes)


@contextmanager
def _importable_here() -> Iterator[None]:
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _imported(spec: str) -> Any:
    module_name, _, path = spec.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise UnknownModelError(
                f"{spec}: there is no module {error.name!r}. It is looked for in the current folder "
                f"({Path.cwd()}) and among the installed packages."
            ) from error
        raise ModelError(f"{spec}: importing {module_name} failed ({error}).") from error
    except (Exception, SystemExit) as error:  # the module's own code may raise anything
        raise ModelError(f"{spec}: importing {module_name} failed ({type(error).__name__}: {error}).") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise UnknownModelError(f"{spec}: {module_name} has no {part!r}.{near_matches(part, dir(found))}")
        found = getattr(found, part)
    return found


def _made(spec: str, found: Any) -> nn.Module:
    network = found
    if not isinstance(found, nn.Module) and callable(found):
        try:
            network = found()
        except (Exception, SystemExit) as error:  # the factory's own code may raise anything
            raise ModelError(
                f"{spec}() failed ({type(error).__name__}: {error}). It is called without arguments."
            ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{spec} gives {type(network).__name__}; expected a torch.nn.Module or a function making one.")
    return network


def from_timm(name: str, given: str | Path | None, *, trust_model: bool) -> Source:
    """A model of timm (`NAME` or `NAME.TAG`) with its own weights, a file's, or random ones.

    Raises:
        ModelError: timm is not installed.
        UnknownModelError: timm has no such model.
        DownloadError: its weights cannot be fetched.
        WeightsError, UntrustedModelError: the weights file cannot be used.
    """
    timm = _timm(name)

    def build(classes: int | None) -> nn.Module:
        return timm.create_model(name) if classes is None else timm.create_model(name, num_classes=classes)

    with seeded():
        if given is not None and given != RANDOM:
            file = weights.read(Path(given), trust_model=trust_model)
            fitted = fit(build, file.state, what=f"timm:{name}", origin=file.path.name)
            preset, notes = _preset(timm, fitted.network)
            preset, notes = adapted(preset, fitted, (*notes, *file.notes, *fitted.notes))
            return Source(fitted.network, f"timm:{name}", name, f"the file {file.path.name}", preset, notes)
        network = build(None) if given == RANDOM else _pretrained(timm, name)
    preset, notes = _preset(timm, network)
    tag = getattr(network, "pretrained_cfg", {}).get("tag") or "default"
    origin = "random initialisation" if given == RANDOM else f"timm {timm.__version__}, weights {tag}"
    notes = (*notes, RANDOM_NOTE) if given == RANDOM else notes
    return Source(network, f"timm:{name}", name, origin, preset, notes)


def _timm(name: str) -> Any:
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise ModelError(
            f"timm:{name} needs timm, which cannot be imported ({error}): pip install 'cnnaudit[timm]'."
        ) from error
    known = timm.list_models() + timm.list_pretrained()
    if name not in known:
        raise UnknownModelError(f"timm {timm.__version__} has no {name!r}.{near_matches(name, known)}")
    return timm


def _pretrained(timm: Any, name: str) -> nn.Module:
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise DownloadError(f"timm has no weights for {name}. Give --weights FILE, or --weights none for random ones.")
    if not _cached(config):
        reach(importlib.import_module("huggingface_hub.constants").ENDPOINT, instead=INSTEAD)
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client has many ways to fail, and no common base for them
        raise DownloadError(
            f"timm could not get the weights of {name} ({str(error).partition(chr(10))[0]}). "
            "Give --weights FILE, or --weights none for random ones."
        ) from error


def _cached(config: Any) -> bool:
    """Whether the weights are here, or come from elsewhere than the hub."""
    if not config.hf_hub_id:
        return True
    hub = importlib.import_module("huggingface_hub")
    files = ("model.safetensors", "pytorch_model.bin", config.hf_hub_filename or "model.safetensors")
    return any(isinstance(hub.try_to_load_from_cache(config.hf_hub_id, file), str) for file in files)


def _preset(timm: Any, network: nn.Module) -> tuple[Preset, tuple[str, ...]]:
    """The preprocessing that timm resolves, and what of it we cannot do."""
    config = timm.data.resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    notes = ()
    if config["crop_mode"] != "center":
        notes = (f"timm would {config['crop_mode']} the picture; here its centre is cropped",)
    preset = Preset(
        input_size=(height, width),
        resize_size=floor(min(height, width) / config["crop_pct"]) if height == width else None,
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        labels=_labels(timm, network),
        channels=channels,
    )
    return preset, notes


def _labels(timm: Any, network: nn.Module) -> tuple[str, ...] | None:
    classes = getattr(network, "num_classes", None)
    if classes == 1000:
        return preset_of(default_weights("resnet50")).labels  # the same thousand, in the same order
    subset = timm.data.infer_imagenet_subset(network)
    return tuple(timm.data.ImageNetInfo(subset).label_descriptions()) if subset else None
