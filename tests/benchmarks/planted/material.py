"""Pictures before anything is planted: digits and clothes turned to colour, photos of cats and dogs, scenes."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from cnnaudit.data import scenes
from cnnaudit.data.datasets import Request, Split, dataset

SIDE, _SHRINK = 32, 2
_VERSION = 1
_TRAIN, _TEST = 3600, 900
_SCENES_TRAIN, _SCENES_TEST = 1200, 600
_SCENE_SEED = 77


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Pictures, uint8 `n 3 h w`; of scenes also the same animals on snow, and where the animal is not."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    snowy: UInt8[Tensor, "n c h w"] | None = None
    outside: Bool[Tensor, "n h w"] | None = None

    def first(self, n: int) -> "Part":
        """The first `n`; classes come in turn, so that these hold as many of each."""
        snowy = None if self.snowy is None else self.snowy[:n]
        return Part(self.images[:n], self.labels[:n], snowy, None if self.outside is None else self.outside[:n])


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What one kind of data has."""

    labels: tuple[str, ...]
    train: Part
    test: Part


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of data: its classes, and what makes its two parts, given the folder of datasets."""

    labels: tuple[str, ...]
    make: Callable[[Path], tuple[Part, Part]]


def material(name: str, root: Path, cache: Path) -> Material:
    """One of `KINDS`, made once and kept in `cache`."""
    kind, path = KINDS[name], cache / f"{name}-{_VERSION}.pt"
    if not path.exists():
        torch.save([asdict(part) for part in kind.make(root)], path)
    train, test = (Part(**fields) for fields in torch.load(path))
    return Material(kind.labels, train, test)


def _coloured(name: str, classes: tuple[int, ...], root: Path) -> tuple[Part, Part]:
    """Grey pictures turned to colour, whatever their class."""
    train, test = _photos(name, classes, root)
    thrown = name == "mnist"
    return _painted(train, seed=1, thrown=thrown), _painted(test, seed=2, thrown=thrown)


def _photos(name: str, classes: tuple[int, ...], root: Path) -> tuple[Part, Part]:
    found = dataset(name, Request(root=root, download=False))
    return _in_turn(found.train, classes, _TRAIN), _in_turn(found.tests["test"], classes, _TEST)


def _in_turn(split: object, classes: tuple[int, ...], count: int) -> Part:
    """The first pictures of some classes, these in turn."""
    if not isinstance(split, Split):
        raise TypeError("These pictures are small enough to be in memory.")
    each = count // len(classes)
    places = torch.stack([(split.labels == k).nonzero().squeeze(1)[:each] for k in classes], 1).flatten()
    return Part(split.images[places], torch.arange(len(classes)).repeat(each))


def _painted(part: Part, seed: int, *, thrown: bool) -> Part:
    """Each in a light colour of its own, before a blotchy background of another; digits are also thrown about."""
    rng = torch.Generator().manual_seed(seed)
    n = len(part.labels)
    grey = F.pad(part.images, [2] * 4).float() / 255
    cover = _thrown(grey, rng) if thrown else grey
    colour, light = torch.rand(2, n, 3, 1, 1, generator=rng)
    blotches = F.interpolate(torch.rand(n, 3, 5, 5, generator=rng), size=(SIDE, SIDE), mode="bilinear")
    behind, before = 0.35 * colour + 0.35 * blotches, 0.45 + 0.55 * light
    grain = 0.02 * torch.randn(n, 3, SIDE, SIDE, generator=rng)
    pixels = (behind + cover * (before - behind) + grain).clamp(0, 1)
    return Part((255 * pixels).round().to(torch.uint8), part.labels)


def _thrown(grey: Tensor, rng: torch.Generator) -> Tensor:
    """Turned by up to 60 degrees, moved by up to 4 pixels and made smaller, each at random."""
    n = len(grey)
    angle, larger = torch.rand(2, n, generator=rng)
    angle, larger = (2 * angle - 1) * math.pi / 3, 1.1 + 0.5 * larger
    moved = (2 * torch.rand(n, 2, generator=rng) - 1) * 0.25
    rows = [larger * angle.cos(), -larger * angle.sin(), moved[:, 0], larger * angle.sin(), larger * angle.cos()]
    grid = F.affine_grid(torch.stack([*rows, moved[:, 1]], 1).view(n, 2, 3), [n, 1, SIDE, SIDE], align_corners=False)
    return F.grid_sample(grey, grid, align_corners=False)


def _scenes(_root: Path) -> tuple[Part, Part]:
    return _drawn(_SCENES_TRAIN, _SCENE_SEED), _drawn(_SCENES_TEST, _SCENE_SEED + 1)


def _drawn(n: int, seed: int) -> Part:
    """Huskies and wolves in turn, in a forest or on grass, and the same ones on snow."""
    forest = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    plain, snowy, outside = [], [], []
    for i in range(n):
        label, background = scenes.LABELS[i % 2], "forest" if forest[i] else "grass"
        other = scenes.draw(i, label=label, background=background, seed=seed)
        plain.append(_smaller(other.pixels))
        snowy.append(_smaller(scenes.draw(i, label=label, background="snow", seed=seed).pixels))
        outside.append(~F.max_pool2d(other.mask.float().unsqueeze(0), _SHRINK)[0].bool())
    return Part(torch.stack(plain), torch.arange(n) % 2, torch.stack(snowy), torch.stack(outside))


def _smaller(pixels: Tensor) -> Tensor:
    return (255 * F.avg_pool2d(pixels.unsqueeze(0), _SHRINK)[0]).round().to(torch.uint8)


KINDS: dict[str, Kind] = {
    "mnist": Kind(("three", "five", "eight"), partial(_coloured, "mnist", (3, 5, 8))),
    "fashion": Kind(("pullover", "coat", "shirt"), partial(_coloured, "fashion-mnist", (2, 4, 6))),
    "cifar": Kind(("cat", "dog"), partial(_photos, "cifar10", (3, 5))),
    "scenes": Kind(scenes.LABELS, _scenes),
}
"""Classes that are hard to tell apart, where a shortcut pays, and that stand before the same backgrounds."""
