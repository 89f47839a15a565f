"""Everything that decides what a training makes, completed from the architecture's own defaults and checked."""

import hashlib
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from cnnaudit.data import augmentation
from cnnaudit.data.datasets import known_dataset
from cnnaudit.errors import OptionError, near_matches
from cnnaudit.loading.building import known_architecture
from cnnaudit.models import is_ours
from cnnaudit.models.pattern_language import is_pattern
from cnnaudit.training.optimizers import OPTIMIZERS, WITH_MOMENTUM
from cnnaudit.training.precision import Precision
from cnnaudit.training.presets import preset
from cnnaudit.training.schedules import SCHEDULES

FREEZE = ("none", "backbone")
SCENES = ("correlation", "samples", "test_samples")
"""What only the husky-wolf scenes know."""
_SCENE_DEFAULTS = {"correlation": 0.95, "samples": 2000, "test_samples": 2000}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training; the same recipe on the same machine gives the same weights.

    Attributes:
        learning_rate: its peak.
        momentum: of SGD, and of those weights that Muon leaves to it; None for optimizers that have none.
        warm_up: share of all steps in which the learning rate rises.
        early_part: the share of a picture's height and width that is learned from in the first half of the steps.
        augmentation: names of `cnnaudit.data.augmentation.AUGMENTATIONS`; `()` for none, None for what suits the data.
        patience: epochs without a better validation after which the training ends; None: never.
        weights: the pretrained ones: a file, or torchvision's name of them; None: those it recommends.
        unfreeze_after: epochs in which the backbone stays as it is; None: all of them.
        half: the weights are kept in float16, which halves the file; tests measure them as they are kept.
        input_size: pictures are resized to this; None: as they are, or as pretrained weights want them.
        correlation, samples, test_samples: of the husky-wolf scenes; None with other data.
    """

    arch: str
    data: str
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float | None
    weight_decay: float
    schedule: str
    warm_up: float
    label_smoothing: float
    dropout: float | None
    pool: str | None
    early_part: float
    augmentation: tuple[str, ...] | None
    precision: str
    patience: int | None
    pretrained: bool
    weights: str | None
    freeze: str
    unfreeze_after: int | None
    input_size: tuple[int, int] | None
    deterministic: bool
    half: bool
    seed: int
    name: str
    correlation: float | None
    samples: int | None
    test_samples: int | None

    @property
    def command(self) -> str:
        """The command line that trains the same network."""
        parts = ["cnnaudit", "train", self.arch]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "arch" or value is None or value is False or (field.name, value) == ("freeze", "none"):
                continue
            parts.append(_FLAGS.get(field.name, "--" + field.name.replace("_", "-")))
            if value is not True:
                parts.append(_text(value))
        return shlex.join(parts)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """The options in which another recipe, as `asdict` gives it, is not this one: "epochs (10, not 5)"."""
        mine = asdict(self)
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in other.items()}
        return [f"{key} ({plain.get(key)}, not {mine[key]})" for key in mine if plain.get(key) != mine[key]]


_FLAGS = {"learning_rate": "--lr", "augmentation": "--augment"}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        texts = [str(item) for item in value]
        return ("x" if value and isinstance(value[0], int) else ",").join(texts) or "none"
    return repr(value) if isinstance(value, float) else str(value)


def complete(arch: str, data: str, given: Mapping[str, Any]) -> Recipe:
    """The recipe for what was given; what is None comes from the architecture's preset.

    Raises:
        UnknownModelError: there is no such architecture.
        OptionError: a value is wrong, or there is no such dataset.
    """
    for what, text in (("architecture", arch), ("dataset", data), ("name", given.get("name") or "")):
        if not isinstance(text, str) or "\0" in text:
            raise OptionError(f"The {what} is {text!r}; give its name, a text.")
    known_architecture(arch)
    known_dataset(data)
    chosen = {key: value for key, value in given.items() if value is not None}
    pretrained, optimizer = bool(given.get("pretrained") or "weights" in chosen), chosen.get("optimizer")
    default = preset(arch, pretrained=pretrained, optimizer=optimizer)
    scenes: Mapping[str, Any] = _SCENE_DEFAULTS if data == "husky-wolf" else {}
    values: dict[str, Any] = {field.name: None for field in fields(Recipe)}
    values |= {"arch": arch, "data": data, "name": default_name(arch, data)}
    values |= asdict(default) | dict(scenes) | chosen | {"pretrained": pretrained}
    values["seed"] = given.get("seed", default.seed)  # None is none, and no default
    if values["optimizer"] in WITH_MOMENTUM and values["momentum"] is None:
        values["momentum"] = 0.9
    recipe = Recipe(**values)
    _check(recipe)
    return recipe


def default_name(arch: str, data: str) -> str:
    """Of the checkpoint: the architecture's and the dataset's, made fit for a file."""
    if is_pattern(arch):  # each pattern has a name of its own
        arch = f"pattern-{hashlib.sha256(arch.encode()).hexdigest()[:6]}"
    kind, _, place = data.partition(":")
    data = Path(place).resolve().name.partition(".")[0] if kind == "folder" else data
    return arch if arch == data else f"{arch}-{data}"


def _check(recipe: Recipe) -> None:
    _check_choices(recipe)
    _check_ranges(recipe)
    augmentation.known(recipe.augmentation or ())
    if recipe.momentum is not None and recipe.optimizer not in WITH_MOMENTUM:
        raise OptionError(
            f"--momentum is for {' and '.join(WITH_MOMENTUM)}; {recipe.optimizer} has no such option. Leave it out."
        )
    if recipe.unfreeze_after is not None and recipe.freeze == "none":
        raise OptionError("--unfreeze-after needs --freeze backbone: nothing is frozen.")
    if recipe.unfreeze_after is not None and recipe.unfreeze_after >= recipe.epochs:
        raise OptionError(
            f"--unfreeze-after {recipe.unfreeze_after} never comes in {recipe.epochs} epochs. Leave it out."
        )
    if recipe.pretrained and is_ours(recipe.arch):
        raise OptionError(f"{recipe.arch} has no pretrained weights; torchvision's classifiers do. Leave it out.")
    if recipe.weights is not None and recipe.weights.lower() == "none":
        raise OptionError(
            "--weights none are no pretrained ones. Leave --weights and --pretrained out for random ones."
        )
    if recipe.freeze != "none" and not recipe.pretrained:
        raise OptionError("--freeze backbone keeps the backbone's random weights for ever; add --pretrained.")
    if recipe.data != "husky-wolf" and (odd := [key for key in SCENES if getattr(recipe, key) is not None]):
        flags = ", ".join("--" + key.replace("_", "-") for key in odd)
        raise OptionError(f"{flags} belong to the husky-wolf scenes; {recipe.data} has no such options.")
    if not recipe.name or Path(recipe.name).name != recipe.name:
        raise OptionError(f"The name {recipe.name!r} is not a file's name; give one without folders.")


def _check_choices(recipe: Recipe) -> None:
    choices = {
        "optimizer": tuple(OPTIMIZERS), "schedule": tuple(SCHEDULES), "freeze": FREEZE, "precision": get_args(Precision)
    }  # fmt: skip
    for label, known in choices.items():
        value = getattr(recipe, label)
        if value not in known:
            raise OptionError(f"There is no {label} {value!r}.{near_matches(str(value), known)} {', '.join(known)}.")


def _check_ranges(recipe: Recipe) -> None:
    for label in ("epochs", "batch_size", "patience", "unfreeze_after"):
        value = getattr(recipe, label)
        if value is not None and not (_is_whole(value) and value >= 1):
            raise OptionError(f"The {label.replace('_', ' ')} is {value!r}; give a whole number from 1 up.")
    if not (_is_number(recipe.learning_rate) and 0 < recipe.learning_rate < math.inf):
        raise OptionError(f"The learning rate is {recipe.learning_rate!r}; give a number above 0.")
    if not (_is_number(recipe.weight_decay) and 0 <= recipe.weight_decay < math.inf):
        raise OptionError(f"The weight decay is {recipe.weight_decay!r}; give a number from 0 up.")
    if not (_is_number(recipe.early_part) and 0 < recipe.early_part <= 1):
        raise OptionError(f"The early part is {recipe.early_part!r}; give a share above 0 and up to 1, the whole.")
    for label in ("momentum", "warm_up", "label_smoothing", "dropout"):
        value = getattr(recipe, label)
        if value is not None and not (_is_number(value) and 0 <= value < 1):
            raise OptionError(f"The {label.replace('_', ' ')} is {value!r}; give a number from 0 to below 1.")
    if not (_is_whole(recipe.seed) and 0 <= recipe.seed < 2**63):
        raise OptionError(f"The seed is {recipe.seed!r}; give a whole number from 0 to 2**63 - 1.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
