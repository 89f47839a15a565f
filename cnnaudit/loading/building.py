"""`build`: a new network for a dataset, and the plain values that build it again from a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cnnaudit.download import Progress
from cnnaudit.errors import OptionError, UnknownModelError, near_matches
from cnnaudit.loading import catalog, sources
from cnnaudit.loading.catalog import Preset
from cnnaudit.models import ARCHITECTURES, is_ours
from cnnaudit.models.heads import head_parameters, replace_head
from cnnaudit.models.pooling import Pool
from cnnaudit.models.sizes import known_count, known_sides

_EXAMPLE = "[[c32 r]*2 p]*2 [f128 r] f10"


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A network that is to be trained.

    Attributes:
        architecture, arguments: what `checkpoints.Card` keeps of it, and `catalog.build_from_card` makes it from.
        preset: the pictures it takes; mean and std are those of the pretrained weights, if it has such.
        head: the names of the last layer's weights, for `models.heads.freeze_backbone`.
    """

    network: nn.Module
    architecture: str
    arguments: Mapping[str, Any]
    preset: Preset
    head: tuple[str, ...]


def build(
    arch: str,
    *,
    labels: int,
    channels: int,
    size: tuple[int, int],
    pool: Pool | None = None,
    dropout: float | None = None,
    pretrained: bool = False,
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
        pretrained: begin with torchvision's default weights, and a fresh last layer.
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
    make = _pretrained if pretrained else _from_scratch
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


def _pretrained(arch: str, labels: int, size: tuple[int, int], progress: Progress | None) -> Built:
    own = catalog.preset_of(catalog.default_weights(arch)).input_size
    arguments = catalog.torchvision_arguments(arch, classes=labels, size=own, pretrained=True)
    if size != own and arguments.keys() & {"image_size", "input_size"}:
        raise OptionError(f"The pretrained {arch} takes {own[0]}x{own[1]} pictures only; got {size[0]}x{size[1]}.")
    source = sources.from_torchvision(arch, None, trust_model=False, progress=progress)
    head = replace_head(source.network, labels)
    resize = source.preset.resize_size if size == own else None
    preset = replace(source.preset, input_size=size, resize_size=resize, labels=None, channels=3)
    return Built(source.network, arch, arguments, preset, head)


def _made(arch: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # torchvision's own checks, and the memory's
        raise OptionError(f"{arch} cannot be built for these pictures ({str(error).splitlines()[0]}).") from error
