"""What a training needs before its first step: the data, the network for them, and how they meet."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import cnnaudit
from cnnaudit import checkpoints
from cnnaudit.data.augmentation import SCENE_SHIFT, as_pixels, part_size
from cnnaudit.data.datasets import Dataset, Drawn, Request, Split, dataset
from cnnaudit.errors import OptionError
from cnnaudit.loading.building import Built, build, pretrained_size
from cnnaudit.models import BEGINNINGS, is_ours
from cnnaudit.models.heads import freeze_backbone
from cnnaudit.models.pooling import known_pool
from cnnaudit.results import FilterFacts
from cnnaudit.training.evaluation import Normalise
from cnnaudit.training.recipe import Recipe

_SOME, _SOME_FILES = 4096, 256


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The data, and the network that is to learn them."""

    data: Dataset
    built: Built
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        return self.data.train.shape

    def card(self, recipe: Recipe, record: Mapping[str, Any]) -> checkpoints.Card:
        """What the checkpoint says of itself; `record` is the training's own part."""
        channels, *size = self.shape
        return checkpoints.Card(
            architecture=self.built.architecture,
            labels=self.data.labels,
            input_size=(size[0], size[1]),
            mean=self.mean,
            std=self.std,
            channels=channels,
            arguments=self.built.arguments,
            resize_size=self.data.resize_size,
            dataset=recipe.data,
            training=record,
            tool_version=cnnaudit.__version__,
        )


def prepare(recipe: Recipe, root: Path | None, drawn: Drawn | None) -> Prepared:
    """Get the data and build the network, whose first weights draw from torch's global random state.

    Raises:
        DataError: the data cannot be had.
        UnknownModelError: there is no such architecture.
        DownloadError, WeightsError: pretrained weights cannot be had.
        OptionError: the architecture cannot take these pictures, or has no such option.
    """
    data = dataset(recipe.data, _request(recipe, root, drawn))
    channels, height, width = data.train.shape
    built = build(
        recipe.arch, labels=len(data.labels), channels=channels, size=(height, width),
        progress=_as_bytes(drawn), pool=None if recipe.pool is None else known_pool(recipe.pool),
        dropout=recipe.dropout, pretrained=recipe.pretrained, weights=recipe.weights,
    )  # fmt: skip
    _try(built.network, data.train.shape, recipe)
    if recipe.early_part < 1:
        _try(built.network, (channels, *part_size((height, width), recipe.early_part)), recipe, part=True)
    _check_augmentation(recipe, data)
    preset = built.preset
    known = recipe.pretrained and preset.mean is not None and preset.std is not None
    mean, std = (preset.mean, preset.std) if known else (data.mean, data.std)
    prepared = Prepared(data, built, mean or (), std or ())
    if recipe.arch in BEGINNINGS:
        BEGINNINGS[recipe.arch](built.network, _some(prepared))
    return prepared


def _some(prepared: Prepared) -> Tensor:
    """Training pictures from first to last, as the network is given them; those in files are few, which tell enough."""
    part = prepared.data.train
    most = _SOME if isinstance(part, Split) else _SOME_FILES
    chosen = torch.linspace(0, len(part) - 1, min(most, len(part)), device="cpu").round().long()
    images = part.images[chosen] if isinstance(part, Split) else torch.stack([part[int(k)] for k in chosen])
    normalise = normaliser(prepared.mean, prepared.std, torch.device("cpu"), torch.contiguous_format)
    return normalise(as_pixels(images).clone())


def _as_bytes(drawn: Drawn | None) -> Callable[[int, int | None], None] | None:
    return None if drawn is None else lambda done, total: drawn(done, total or 0)


def _check_augmentation(recipe: Recipe, data: Dataset) -> None:
    names = data.augmentation if recipe.augmentation is None else recipe.augmentation
    if "scene" in names and min(data.train.shape[1:]) <= SCENE_SHIFT:
        raise OptionError(
            f"The augmentation 'scene' shifts by {SCENE_SHIFT} pixels; the pictures are too small for it."
        )


def fingerprint(data: Dataset) -> str:
    """SHA-256 of what training and validation hold: the classes' names, and each picture with its class.

    A picture in memory counts with its pixels, one in a file with that file's name, size and time of change.
    """
    digest = hashlib.sha256("\0".join(data.labels).encode())
    for part in (data.train, data.validation):
        digest.update(str(part.shape).encode() + part.labels.numpy().tobytes())
        if isinstance(part, Split):
            digest.update(part.images.contiguous().numpy().data)
        else:
            for path in part.paths:
                digest.update(_mark(path).encode())
    return digest.hexdigest()


def _mark(path: Path) -> str:
    try:
        about = path.stat()
    except OSError:  # whoever reads the picture says so better
        return f"{path.name}\0gone\0"
    return f"{path.name}\0{about.st_size}\0{about.st_mtime_ns}\0"


def _request(recipe: Recipe, root: Path | None, drawn: Drawn | None) -> Request:
    size = recipe.input_size
    if recipe.pretrained and size is None:
        size = pretrained_size(recipe.arch, recipe.weights)
    scenes: dict[str, Any] = {
        key: getattr(recipe, key) for key in ("correlation", "samples", "test_samples") if recipe.samples is not None
    }
    channels = None if is_ours(recipe.arch) else 3
    return Request(root=root, seed=recipe.seed, size=size, channels=channels, drawn=drawn, **scenes)


def _try(network: nn.Module, shape: tuple[int, int, int], recipe: Recipe, *, part: bool = False) -> None:
    """One forward pass, so that a picture that is too small is met before the training, or a part of one."""
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, *shape))
    except (RuntimeError, AssertionError) as error:  # a vision transformer asserts the size it was made for
        c, h, w = shape
        reason = str(error).partition("\n")[0]
        what, instead = "pictures", "another --input-size; torchvision's networks are made for 224"
        if part:
            what, instead = "parts of the pictures", "a larger --early-part, or 1 where only one size will do"
        raise OptionError(
            f"{recipe.arch} cannot take the {c} x {h} x {w} {what} of {recipe.data} ({reason}). Give {instead}."
        ) from error
    finally:
        network.train(training)


def normaliser(
    mean: Sequence[float], std: Sequence[float], device: torch.device, layout: torch.memory_format
) -> Normalise:
    """From pixels in [0, 1] to what the network takes, in place, as `Classifier` does it."""
    centre = torch.tensor(mean, device=device).view(-1, 1, 1)
    spread = torch.tensor(std, device=device).view(-1, 1, 1)

    def normalise(pixels: Tensor) -> Tensor:
        return pixels.sub_(centre).div_(spread).contiguous(memory_format=layout)

    return normalise


def freezing(built: Built, recipe: Recipe) -> Callable[[int], None]:
    """Freeze the backbone if the recipe says so; what comes back is called as each epoch begins to train."""
    if recipe.freeze == "none":
        return lambda _epoch: None
    frozen = freeze_backbone(built.network, built.head)
    until = recipe.unfreeze_after

    def hold(epoch: int) -> None:
        if until is not None and epoch > until:
            frozen.undo()
        else:
            frozen.hold()

    return hold


def layout_for(network: nn.Module, device: torch.device) -> torch.memory_format:
    """How pictures and weights lie in memory: channels last where there are two-dimensional convolutions."""
    convolves = any(isinstance(module, nn.Conv2d) for module in network.modules())
    return torch.channels_last if convolves and device.type != "mps" else torch.contiguous_format


def first_filters(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    """The first weighted layer's kernels as pictures, `n c h w`, under its name.

    A linear layer over the whole picture is shown as pictures too; another first layer has none.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            weight = module.weight.detach().float().cpu().contiguous().clone()
            if isinstance(module, nn.Conv1d):
                return {name: weight.unsqueeze(2)}
            if isinstance(module, nn.Conv2d):
                return {name: weight}
            return {name: weight.view(-1, *shape)} if weight.shape[1] == torch.Size(shape).numel() else {}
    return {}


def compared(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> FilterFacts | None:
    """The first layer's kernels before and after."""
    for name in start.keys() & end.keys():
        return FilterFacts(name, start[name].numpy(), end[name].numpy())
    return None
