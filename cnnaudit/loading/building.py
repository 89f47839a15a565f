"""`build`: a new network for a dataset, and the plain values that build it again from a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from cnnaudit import checkpoints
from cnnaudit.download import Progress
from cnnaudit.errors import OptionError, UnknownModelError, near_matches
from cnnaudit.loading import catalog, sources
from cnnaudit.loading.catalog import Preset
from cnnaudit.models import ARCHITECTURES, is_ours
from cnnaudit.models.heads import head_parameters, replace_head
from cnnaudit.models.pooling import Pool
from cnnaudit.models.sizes import known_count, known_sides

_INSTEAD = "Give the weights with --weights FILE, or leave --pretrained out to train from scratch."
_EXAMPLE = "[[c32 r]*2 p]*2 [f128 r] f10"


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A network that is to be trained.

    Attributes:
        architecture, arguments: what `checkpoints.Card` keeps of it, and `catalog.build_from_card` makes it from.
        preset: the pictures it takes; mean and std are those of the pretrained weights, if it has such.
        head: the names of the last layer's weights, for `models.heads.freeze_backbone`.
        notes: what the reader must know of pretrained weights.
    """

    network: nn.Module
    architecture: str
    arguments: Mapping[str, Any]
    preset: Preset
    head: tuple[str, ...]
    notes: tuple[str, ...] = ()


def build(
    arch: str,
    *,
    labels: int,
    channels: int,
    size: tuple[int, int],
    pool: Pool | None = None,
    dropout: float | None = None,
    pretrained: bool = False,
    weights: str | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build a network for pictures of `channels` and `size`, and as many classes as `labels`.

    Random weights are drawn from torch's global random state. A torchvision classifier takes three
    channels, whatever the pictures have: `Built.preset.channels` says so.

    Args:
        arch: a name of `cnnaudit.models.ARCHITECTURES`, a pattern, or a torchvision classifier.
        size: height and width.
        pool: instead of the architecture's own; see `models.pooling.make_pool`.
        dropout: instead of the architecture's own; of a torchvision classifier, of all its dropout layers.
        pretrained: begin with weights of torchvision, and a fresh last layer.
        weights: the pretrained ones: a file, or torchvision's name of them; by default those it recommends.
        progress: called during a download with the bytes so far and in all.

    Raises:
        UnknownModelError: there is no such architecture.
        DownloadError, WeightsError: the pretrained weights cannot be had.
        OptionError: the values do not fit the architecture, or each other.
    """
    labels, size = known_count(labels, "labels"), known_sides(size)
    chosen = {key: value for key, value in (("pool", pool), ("dropout", dropout)) if value is not None}
    if is_ours(arch):
        if pretrained:
            raise OptionError(f"{arch} has no pretrained weights; torchvision's classifiers do. Train it from scratch.")
        return _ours(arch, {"labels": labels, "channels": channels, "size": list(size), **chosen})
    known_architecture(arch)
    if channels not in (1, 3):
        raise OptionError(f"{arch} takes colour pictures, or grey ones as colour; these have {channels} channels.")
    make = partial(_pretrained, weights=weights) if pretrained else _from_scratch
    built = make(arch, labels, size, progress)
    network = catalog.modified(built.network, arch, pool=pool, dropout=dropout)
    return replace(built, network=network, arguments={**built.arguments, **chosen})


def known_architecture(arch: str) -> str:
    """The same name, checked; nothing is built.

    Raises:
        UnknownModelError: there is no such architecture.
    """
    if not is_ours(arch) and arch not in catalog.torchvision_names():
        known = (*ARCHITECTURES, *catalog.torchvision_names())
        raise UnknownModelError(
            f"There is no architecture {arch!r}.{near_matches(arch, known)} There is: {', '.join(ARCHITECTURES)}, "
            f"any torchvision classifier (resnet18, …), and any pattern, such as {_EXAMPLE!r}."
        )
    return arch


def _ours(arch: str, arguments: dict[str, Any]) -> Built:
    name = arch if arch in ARCHITECTURES else "pattern"
    if name != arch:
        arguments = {"pattern": arch, **arguments}
    network = _made(arch, lambda: ARCHITECTURES[name](**arguments))
    height, width = arguments["size"]
    preset = Preset(input_size=(height, width), channels=arguments["channels"])
    return Built(network, name, arguments, preset, head_parameters(network))


def _from_scratch(arch: str, labels: int, size: tuple[int, int], _progress: Progress | None) -> Built:
    network = _made(arch, lambda: catalog.build_torchvision(arch, classes=labels, size=size))
    arguments = catalog.torchvision_arguments(arch, classes=labels, size=size)
    return Built(network, arch, arguments, Preset(input_size=size, channels=3), head_parameters(network))


def _pretrained(
    arch: str, labels: int, size: tuple[int, int], progress: Progress | None, *, weights: str | None
) -> Built:
    if sources.known_weights(arch, weights) is not None:
        _check_size(arch, size, pretrained_size(arch, weights))  # before they are fetched
    source = sources.from_torchvision(arch, weights, trust_model=False, progress=progress, instead=_INSTEAD)
    own = source.preset.input_size
    _check_size(arch, size, own)
    arguments = catalog.torchvision_arguments(arch, size=own, pretrained=True) | dict(source.arguments or {})
    head = replace_head(source.network, labels)
    resize = source.preset.resize_size if size == own else None
    preset = replace(source.preset, input_size=size, resize_size=resize, labels=None, channels=3)
    return Built(source.network, arch, arguments | {"num_classes": labels}, preset, head, source.notes)


def _check_size(arch: str, size: tuple[int, int], own: tuple[int, int]) -> None:
    """Refuse another size than the weights' own, where the network is built for one."""
    if size != own and catalog.torchvision_arguments(arch, size=own).keys() & {"image_size", "input_size"}:
        raise OptionError(f"The pretrained {arch} takes {own[0]}x{own[1]} pictures only; got {size[0]}x{size[1]}.")


def pretrained_size(arch: str, weights: str | None) -> tuple[int, int]:
    """Height and width of the pictures that pretrained weights of a torchvision classifier are made for.

    Raises:
        OptionError: there are no such weights.
        WeightsError: they are a damaged checkpoint.
    """
    path = Path(weights or "")
    if path.suffix == ".safetensors" and path.is_file() and (card := checkpoints.read_card(path)) is not None:
        return card.input_size
    member = sources.known_weights(arch, weights) or catalog.default_weights(arch)
    return catalog.preset_of(member).input_size


def _made(arch: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # torchvision's own checks, and the memory's
        raise OptionError(f"{arch} cannot be built for these pictures ({str(error).splitlines()[0]}).") from error
