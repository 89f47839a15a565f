"""Where networks come from: torchvision, our own architectures, checkpoints, files of weights.

Each function returns a `Source`, the network with all that is known about it. The functions of
`external` do the same for code that is not ours.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.models import WeightsEnum

from cnnaudit import checkpoints, hooks
from cnnaudit.download import Progress, fetch, promised_checksum
from cnnaudit.errors import OptionError, WeightsError, near_matches
from cnnaudit.loading import catalog, weights
from cnnaudit.loading.catalog import Preset
from cnnaudit.loading.fitting import Fitted, fit
from cnnaudit.models import ARCHITECTURES

RANDOM = "none"
INSTEAD = "Give the weights with --weights FILE, or random ones with --weights none, or take --model husky-wolf."
RANDOM_NOTE = "weights are random: predictions mean nothing"
_SEED = 0
_LARGEST_SIDE = 4096  # pixels; a crafted file could otherwise fill the memory with its probe picture
_CLASS_KEYWORDS = ("labels", "num_classes", "classes")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A network and what is known about it.

    Attributes:
        origin: where its weights are from, in words.
        arguments: what its checkpoint says it is built with; None where there is no such card.
    """

    network: nn.Module
    name: str
    architecture: str
    origin: str
    preset: Preset
    notes: tuple[str, ...] = ()
    arguments: Mapping[str, Any] | None = None


@contextmanager
def seeded() -> Iterator[None]:
    """Draw the same initial weights every time, and leave the global random state as it was."""
    with hooks.preserved_randomness():
        torch.default_generator.manual_seed(_SEED)
        yield


def from_torchvision(
    name: str, given: str | Path | None, *, trust_model: bool, progress: Progress | None, instead: str = INSTEAD
) -> Source:
    """A torchvision classifier with its own weights (default, or by name), a file's, or random ones.

    `instead` is what the error advises where weights cannot be fetched.

    Raises:
        DownloadError, WeightsError, UntrustedModelError: the weights cannot be had or do not fit.
        OptionError: the weights' name is none of this classifier's.
    """
    if given == RANDOM:
        preset = catalog.preset_of(catalog.weights_of(name)[0])
        return _random(partial(catalog.build_torchvision, name, size=preset.input_size), name, preset)
    member = known_weights(name, given)
    if member is None:
        return _torchvision_file(name, Path(str(given)), trust_model)
    url, folder = member.url, catalog.hub_folder()
    checksum = promised_checksum(Path(url).name)
    path = fetch(url, folder, checksum=checksum, instead=instead, progress=progress)
    preset = catalog.preset_of(member)
    build = partial(_torchvision, name, preset.input_size)
    fitted = _fitted(build, weights.read(path).state, name, path)
    return Source(fitted.network, name, name, f"torchvision {member} ({path.name})", preset, fitted.notes)


def _torchvision(name: str, size: tuple[int, int], classes: int | None) -> nn.Module:
    return catalog.build_torchvision(name, classes=classes, size=size, pretrained=True)


def _torchvision_file(name: str, path: Path, trust_model: bool) -> Source:
    file = weights.read(path, trust_model=trust_model)
    if file.card is not None:
        return _from_card(file.card, file.state, path, name, asked=name)
    preset = catalog.preset_for_file(name, file.state)
    fitted = _fitted(partial(_torchvision, name, preset.input_size), file.state, name, path)
    side, crop = preset.resize_size, preset.input_size[0]
    guess = f"{path.name} names no preprocessing: the standard of {name} is used (resize {side}, crop {crop})"
    notes = (*file.notes, *fitted.notes, guess)
    if name in catalog.TRANSPOSED:
        notes += (f"{name} normalises its pictures once more (transform_input), as torchvision's own weights want",)
    return Source(fitted.network, name, name, f"the file {path.name}", *adapted(preset, fitted, notes))


def adapted(preset: Preset, fitted: Fitted, notes: tuple[str, ...]) -> tuple[Preset, tuple[str, ...]]:
    """The preset for a network that was rebuilt for a file, whose labels and channels it cannot know."""
    if fitted.classes is not None:
        preset = replace(preset, labels=None)
    if fitted.channels is not None:
        preset = replace(preset, mean=None, std=None, channels=fitted.channels)
        notes += (f"no mean and std are known for {fitted.channels} channels: none are applied; give --mean and --std",)
    return preset, notes


def known_weights(name: str, given: str | Path | None) -> WeightsEnum | None:
    """The weights that torchvision has under a name; None for what must be a file.

    Raises:
        OptionError: it can be neither.
    """
    members: dict[str, WeightsEnum] = {member.name: member for member in catalog.weights_of(name)}
    if given is None or str(given).upper() == "DEFAULT":
        return catalog.default_weights(name)
    bare = str(given).rpartition(".")[2].upper()
    if bare in members and str(given).upper() in (bare, str(members[bare]).upper()):
        return members[bare]
    if Path(given).exists() or Path(given).suffix in weights.SUFFIXES:
        return None
    if bare in torchvision_models.get_model_weights(name).__members__ and bare not in members:
        raise OptionError(f"{given} has no classifier, only features; {name} has {', '.join(members)}.")
    raise OptionError(
        f"{given!r} is no file, and no weights of {name}.{near_matches(str(given), members)} "
        f"Give a file, {', '.join(members)}, or none for random ones."
    )


def from_architecture(name: str, given: str | Path | None, *, trust_model: bool) -> Source:
    """One of our own architectures, with a file's weights or random ones.

    Raises:
        OptionError: no weights are given; there are none to fetch.
        WeightsError, UntrustedModelError: the file cannot be used.
    """
    factory, preset = ARCHITECTURES[name], catalog.preset_of_architecture(name)
    if given is None:
        raise OptionError(f"{name} comes without weights: give --weights FILE, or --weights none for random ones.")
    if given == RANDOM:
        return _random(factory, name, preset)
    path = Path(given)
    file = weights.read(path, trust_model=trust_model)
    if file.card is not None:
        return _from_card(file.card, file.state, path, name, asked=name)
    keyword = next((word for word in _CLASS_KEYWORDS if word in signature(factory).parameters), None)

    def build(classes: int | None) -> nn.Module:
        return factory() if classes is None or keyword is None else factory(**{keyword: classes})

    fitted = _fitted(build, file.state, name, path)
    sized = replace(preset, channels=None)  # found by probing, so that the missing normalisation is said
    return Source(fitted.network, name, name, f"the file {path.name}", sized, file.notes + fitted.notes)


def from_checkpoint(path: Path, name: str, given: str | Path | None, *, origin: str, trust_model: bool) -> Source:
    """Our own checkpoint, which needs nothing else; or its architecture with other weights.

    Raises:
        WeightsError: the checkpoint is damaged, or its card describes no network that we can make.
    """
    file = weights.read(path)
    card = _checked(file.card, path)
    if given == RANDOM:
        return _random(partial(_build, card, path), name, _preset(card), card.architecture)
    if given is None:
        return replace(_from_card(card, file.state, path, name), origin=origin)
    other = weights.read(Path(given), trust_model=trust_model)
    if other.card is not None:
        return _from_card(other.card, other.state, other.path, name, asked=card.architecture)
    fitted = _fitted(lambda _classes: _build(card, path), other.state, card.architecture, other.path)
    notes = other.notes + fitted.notes
    return Source(fitted.network, name, card.architecture, f"the file {other.path.name}", _preset(card), notes)


def from_file(path: Path, given: str | Path | None, *, trust_model: bool) -> Source:
    """A file as the model: our checkpoint, or (trusted) a whole module.

    Raises:
        WeightsError: it holds weights alone, and the architecture is not known.
        UntrustedModelError: it holds code and is not trusted.
    """
    file = weights.read(path, trust_model=trust_model)
    if file.card is not None:
        origin = f"the checkpoint {path.name}"
        return from_checkpoint(path, path.name, given, origin=origin, trust_model=trust_model)
    if file.module is None:
        fits = catalog.architecture_of(file.state)
        known = f"Its sizes are those of {fits}: give" if fits else "Give"
        command = f"--model {fits or 'ARCHITECTURE'} --weights {path}"
        raise WeightsError(f"{path} holds weights but not the network they belong to. {known} {command}.")
    if given is not None:
        raise OptionError(f"{path} has its own weights; --weights cannot be given with it.")
    note = f"{path.name} was trusted: code from it was run"
    architecture = getattr(file.module, "original_name", type(file.module).__name__)
    return Source(file.module, path.name, architecture, f"the trusted file {path.name}", Preset(), (note,))


def _from_card(
    card: checkpoints.Card, state: Mapping[str, Tensor], path: Path, name: str, *, asked: str | None = None
) -> Source:
    card = _checked(card, path)
    if asked is not None and asked != card.architecture:
        raise WeightsError(f"{path} holds weights of {card.architecture}, not of {asked}. Give --model {path}.")
    fitted = _fitted(lambda _classes: _build(card, path), state, card.architecture, path)
    origin, preset = f"the checkpoint {path.name}", _preset(card)
    return Source(fitted.network, name, card.architecture, origin, preset, fitted.notes, card.arguments)


def _build(card: checkpoints.Card, path: Path) -> nn.Module:
    try:
        return catalog.build_from_card(card)
    except KeyError:
        known = (*ARCHITECTURES, *catalog.torchvision_names())
        raise WeightsError(
            f"{path} says it is a {card.architecture!r}, which this version of cnnaudit does not know."
            f"{near_matches(card.architecture, known)} A file may name architectures of ours and of torchvision."
        ) from None
    except (TypeError, ValueError, RuntimeError, AttributeError, OptionError) as error:
        raise WeightsError(
            f"{path}: {card.architecture} cannot be made with the arguments in the file ({error})."
        ) from error


def _checked(card: checkpoints.Card | None, path: Path) -> checkpoints.Card:
    """A card with values of the right kinds: it comes from a file, and anyone can have written that."""
    problem = "there is none" if card is None else _problem(card)
    if card is None or problem:
        raise WeightsError(f"{path} has no usable cnnaudit card ({problem}). Train or export it again.")
    return card


def _problem(card: checkpoints.Card) -> str | None:
    numbers = (int, float)
    per_channel = (1, card.channels)
    checks: dict[str, bool] = {
        "architecture": isinstance(card.architecture, str),
        "arguments": isinstance(card.arguments, Mapping),
        "labels": _all(card.labels, (str,)) and len(card.labels) > 0,
        "input_size": _all(card.input_size, (int,)) and len(card.input_size) == 2 and _sides_fit(card.input_size),
        "mean": _all(card.mean, numbers) and len(card.mean) in per_channel,
        "std": _all(card.std, numbers) and len(card.std) in per_channel and min(card.std) > 0,
        "channels": card.channels in (1, 3),
        "resize_size": card.resize_size is None or isinstance(card.resize_size, int),
        "interpolation": card.interpolation in ("nearest", "bilinear", "bicubic"),
    }
    wrong = [field for field, fine in checks.items() if not fine]
    return f"{', '.join(wrong)} is not what it should be" if wrong else None


def _sides_fit(size: tuple[int, ...]) -> bool:
    return all(1 <= side <= _LARGEST_SIDE for side in size)


def _all(values: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kinds) for value in values)


def _preset(card: checkpoints.Card) -> Preset:
    return Preset(
        input_size=card.input_size,
        resize_size=card.resize_size,
        interpolation=card.interpolation,  # pyright: ignore[reportArgumentType]  (checked by `_problem`)
        mean=card.mean,
        std=card.std,
        labels=card.labels,
        channels=card.channels,
    )


def _fitted(build: Callable[[int | None], nn.Module], state: Mapping[str, Tensor], what: str, path: Path) -> Fitted:
    with seeded():
        return fit(build, state, what=what, origin=path.name)


def _random(build: Callable[[], nn.Module], name: str, preset: Preset, architecture: str | None = None) -> Source:
    with seeded():
        network = build()
    return Source(network, name, architecture or name, f"random initialisation, seed {_SEED}", preset, (RANDOM_NOTE,))
