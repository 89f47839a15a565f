"""What there is to load: bundled checkpoints, our architectures, torchvision's classifiers.

Names, the metadata that torchvision keeps beside its weights, and networks with random weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.models import WeightsEnum

from cnnaudit import checkpoints
from cnnaudit.classifier import Interpolation
from cnnaudit.download import file_name
from cnnaudit.errors import OptionError
from cnnaudit.models import ARCHITECTURES, BUNDLED
from cnnaudit.models.pooling import Pool, swap_pooling
from cnnaudit.models.sizes import known_dropout

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
TRANSPOSED = ("googlenet", "inception_v3")  # ported from TensorFlow: their weights expect another normalisation


@dataclass(frozen=True, slots=True)
class Preset:
    """How a network wants its pictures, and what it calls its classes; None where that is unknown."""

    input_size: tuple[int, int] = (224, 224)
    resize_size: int | None = None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One line of `cnnaudit models`.

    Attributes:
        parameters: how many the network has; one of ours, as it is by default.
        accuracy: ImageNet top-1 in per cent, as torchvision reports it for its default weights.
        cached: the weights are on this machine.
        summary: one line in words.
    """

    name: str
    kind: Literal["bundled", "architecture", "torchvision"]
    parameters: int | None
    accuracy: float | None
    cached: bool
    summary: str


@cache
def torchvision_names() -> tuple[str, ...]:
    """The names of all classifiers that torchvision lists."""
    return tuple(torchvision_models.list_models(module=torchvision_models))


@cache
def weights_of(name: str) -> tuple[WeightsEnum, ...]:
    """A torchvision classifier's weights that classify, in torchvision's order."""
    members = cast(Any, torchvision_models.get_model_weights(name))
    return tuple(member for member in members if member.meta["categories"] is not None)


def default_weights(name: str) -> WeightsEnum:
    """The weights that torchvision recommends for a classifier."""
    return cast(Any, torchvision_models.get_model_weights(name)).DEFAULT


def preset_of(weights: WeightsEnum) -> Preset:
    """The preprocessing and labels in the weights' own metadata."""
    transforms = cast(Any, weights.transforms())
    crop, resize = transforms.crop_size[0], transforms.resize_size[0]
    return Preset(
        input_size=(crop, crop),
        resize_size=resize,
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        labels=tuple(weights.meta["categories"]),
    )


def preset_of_architecture(name: str) -> Preset:
    """The pictures that one of our architectures takes as it is by default."""
    defaults = {key: parameter.default for key, parameter in signature(ARCHITECTURES[name]).parameters.items()}
    return Preset(input_size=defaults["size"], channels=defaults["channels"])


def preset_for_file(name: str, state: Mapping[str, Tensor]) -> Preset:
    """The standard preprocessing for weights from elsewhere: that of the first weights of this size."""
    size = vit_size(name, state)
    presets = [preset_of(weights) for weights in weights_of(name)]
    fitting = [preset for preset in presets if size is None or preset.input_size == (size, size)]
    if fitting or size is None:
        return fitting[0]
    first = presets[0]
    return Preset((size, size), size, first.interpolation, first.mean, first.std, first.labels)


def vit_size(name: str, state: Mapping[str, Tensor]) -> int | None:
    """The picture size that a vision transformer's position embedding was made for."""
    for key, embedding in state.items() if name.startswith("vit_") else ():
        if key.endswith("encoder.pos_embedding") and embedding.ndim == 3:
            return round((embedding.shape[1] - 1) ** 0.5) * int(name.rpartition("_")[2])
    return None


def build_torchvision(
    name: str, *, classes: int | None = None, size: tuple[int, int] | None = None, pretrained: bool = False
) -> nn.Module:
    """A torchvision classifier with random weights; the auxiliary heads, used in training only, are left out.

    Args:
        size: of the pictures, for transformers, which are built for one.
        pretrained: weights descending from torchvision's are to be loaded, so that the networks which
            those expect to normalise once more do.
    """
    arguments = torchvision_arguments(name, classes=classes, size=size, pretrained=pretrained)
    return torchvision_models.get_model(name, weights=None, **arguments)


def torchvision_arguments(
    name: str, *, classes: int | None = None, size: tuple[int, int] | None = None, pretrained: bool = False
) -> dict[str, Any]:
    """What `build_torchvision` gives to torchvision's own factory, plain values."""
    arguments: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in TRANSPOSED:
        arguments |= {"aux_logits": False, "init_weights": False, "transform_input": pretrained}
    if size is not None and name.startswith("vit_"):
        arguments["image_size"] = size[0]
    if size is not None and name.startswith("maxvit_"):
        arguments["input_size"] = size
    return arguments


def build_from_card(card: checkpoints.Card) -> nn.Module:
    """The network that a card describes, with random weights.

    Raises:
        KeyError: it names neither an architecture of ours nor a torchvision classifier.
        TypeError, ValueError, RuntimeError, OptionError: its arguments are not the architecture's.
    """
    arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card.arguments.items()}
    factory: Callable[..., nn.Module] | None = ARCHITECTURES.get(card.architecture)
    if factory is not None:
        return factory(**arguments)
    if card.architecture not in torchvision_names():
        raise KeyError(card.architecture)
    unwanted = {"weights", "weights_backbone", "pretrained", "progress"} & arguments.keys()
    if unwanted:
        raise ValueError(f"{', '.join(sorted(unwanted))} cannot be set by a file")
    pool, dropout = arguments.pop("pool", None), arguments.pop("dropout", None)
    defaults = {"aux_logits": False, "init_weights": False} if card.architecture in TRANSPOSED else {}
    network = torchvision_models.get_model(card.architecture, weights=None, **(defaults | arguments))
    return modified(network, card.architecture, pool=pool, dropout=dropout)


def modified(network: nn.Module, name: str, *, pool: Pool | None = None, dropout: float | None = None) -> nn.Module:
    """A torchvision network with another pooling and another dropout, where they are given; its weights stay.

    Raises:
        OptionError: it has no pooling or no dropout layer, or a value makes no sense.
    """
    if pool is not None:
        network = swap_pooling(network, pool)
    if dropout is not None:
        layers = [module for module in network.modules() if type(module) is nn.Dropout]
        if not layers:
            raise OptionError(f"{name} has no dropout layer to be given {dropout}. Leave dropout out.")
        for layer in layers:
            layer.p = known_dropout(dropout)
    return network


def hub_folder() -> Path:
    """Where torchvision keeps the weights it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def architecture_of(state: Mapping[str, Tensor]) -> str | None:
    """The torchvision classifier whose number of parameters these weights have, whatever the classes."""
    total = sum(tensor.numel() for key, tensor in state.items() if not key.endswith(_BUFFERS))
    counts = _names_by_parameters()
    for key, weight in state.items():
        bias = state.get(key.removesuffix("weight") + "bias") if key.endswith(".weight") else None
        if bias is not None and weight.ndim >= 2 and bias.shape == weight.shape[:1]:
            features = weight[0].numel() + 1
            as_imagenet = total + (1000 - len(weight)) * features
            if as_imagenet in counts:
                return counts[as_imagenet]
    return None


@cache
def _names_by_parameters() -> dict[int, str]:
    return {weights.meta["num_params"]: name for name in torchvision_names() for weights in weights_of(name)}


def available_models() -> list[ModelEntry]:
    """All that `load` knows by name, without weights for any of it.

    Raises:
        WeightsError: a bundled checkpoint is damaged.
    """
    bundled = [_bundled_entry(name, path) for name, path in BUNDLED.items()]
    ours = [_own_entry(name, factory) for name, factory in ARCHITECTURES.items() if name not in BUNDLED]
    return [*bundled, *ours, *(_torchvision_entry(name) for name in torchvision_names())]


def _bundled_entry(name: str, path: Path) -> ModelEntry:
    card = checkpoints.read_card(path)
    if card is None:
        return ModelEntry(name, "bundled", None, None, False, "")
    with safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys() if not key.endswith(_BUFFERS)]  # noqa: SIM118
    parameters = sum(int(torch.Size(shape).numel()) for shape in shapes)
    height, width = card.input_size
    beside = path.with_suffix(".md")
    title = beside.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") if beside.exists() else name
    labels = card.labels
    classes = " or ".join(labels) if len(labels) < 4 else f"{labels[0]}, {labels[1]}, … {labels[-1]}"
    summary = f"{classes}, {height}x{width}; {title.partition(': ')[2] or title}"
    return ModelEntry(name, "bundled", parameters, None, True, summary)


def _own_entry(name: str, factory: Callable[..., nn.Module]) -> ModelEntry:
    with torch.device("meta"):
        parameters = sum(weights.numel() for weights in factory().parameters())
    height, width = preset_of_architecture(name).input_size
    summary = (factory.__doc__ or "").strip().partition("\n")[0]
    return ModelEntry(name, "architecture", parameters, None, False, f"{height}x{width}; {summary}")


def _torchvision_entry(name: str) -> ModelEntry:
    weights = default_weights(name)
    size = preset_of(weights).input_size
    accuracy = float(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"])
    cached = (hub_folder() / file_name(weights.url)).is_file()
    summary = f"ImageNet, {size[0]}x{size[1]}, {accuracy:.1f}% top-1 ({weights.name})"
    return ModelEntry(name, "torchvision", int(weights.meta["num_params"]), accuracy, cached, summary)
