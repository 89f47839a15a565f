"""Huskies and wolves on snow, in a forest, on grass: pictures whose right answer, and whose shortcut, are known.

The failure that they stage is Ribeiro et al., "Why Should I Trust You?", KDD 2016 (arXiv 1602.04938),
section 6.4: a classifier that tells wolves from huskies by the snow.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from cnnaudit.data._animals import husky, wolf
from cnnaudit.data._bodies import BODIES
from cnnaudit.data._drawing import SIDE, Layer, between, blend, clouds, cover_of, ellipse, sheet, stamp
from cnnaudit.data._heads import from_front, from_side
from cnnaudit.data._landscapes import LANDSCAPES
from cnnaudit.errors import OptionError
from cnnaudit.results import Image

Label = Literal["husky", "wolf"]
Background = Literal["snow", "forest", "grass"]

LABELS: tuple[Label, ...] = get_args(Label)
BACKGROUNDS: tuple[Background, ...] = get_args(Background)

_ANIMALS = {"husky": husky, "wolf": wolf}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture of one animal, and the truth about it.

    Attributes:
        image: 128 x 128, RGB.
        pixels: the same as float32 in [0, 1].
        mask: every pixel in which some of the animal is to be seen; none of what stands before it.
    """

    image: Image
    pixels: Float32[Tensor, "c h w"]
    label: Label
    mask: Bool[Tensor, "h w"]
    background: Background


def generate(n: int, *, correlation: float, seed: int) -> Iterator[Scene]:
    """Yield scenes 0 to `n - 1` of the series `seed`, huskies and wolves in turn.

    Args:
        correlation: the share of scenes whose background agrees with the class: wolves on snow,
            huskies off it. 1.0 always, 0.5 without any relation, 0.0 always the reverse.
        seed: any number from 0; each scene depends only on it, on its index and on `correlation`.

    Raises:
        OptionError: `n`, `correlation` or `seed` is out of range.
    """
    if n < 0:
        raise OptionError(f"{n} scenes were asked for; give a number from 0 up.")
    _check(correlation, seed)
    return (scene(index, correlation=correlation, seed=seed) for index in range(n))


def scene(index: int, *, correlation: float, seed: int) -> Scene:
    """Scene `index` of the series `seed`, as `generate` yields it.

    Raises:
        OptionError: `index`, `correlation` or `seed` is out of range.
    """
    _check(correlation, seed)
    if index < 0:
        raise OptionError(f"Scene {index} was asked for; the first one is 0.")
    label = LABELS[index % 2]
    chance = np.random.Generator(np.random.PCG64((seed, index)))
    agrees, other = chance.random() < correlation, chance.random() < 0.5
    on_snow = agrees == (label == "wolf")
    background: Background = "snow" if on_snow else ("forest" if other else "grass")
    return draw(index, label=label, background=background, seed=seed)


def draw(index: int, *, label: Label, background: Background, seed: int) -> Scene:
    """Scene `index` of the series `seed` with this animal on this background, whatever the series has.

    The animal is the same on every background, and the background the same behind every animal.

    Raises:
        OptionError: there is no such label or background.
    """
    if label not in LABELS or background not in BACKGROUNDS:
        raise OptionError(
            f"{label!r} on {background!r} cannot be drawn; the animals are {', '.join(LABELS)}, "
            f"the backgrounds {', '.join(BACKGROUNDS)}."
        )
    pixels, mask = _compose(index, label, background, seed)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    image = Image(f"{label}-{background}-{seed}-{index}.png", pixels, digest)
    floats = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
    return Scene(image, floats, label, torch.from_numpy(mask), background)


def _check(correlation: float, seed: int) -> None:
    if not 0 <= correlation <= 1:
        raise OptionError(f"The correlation is {correlation}; give a number from 0 to 1.")
    if seed < 0:
        raise OptionError(f"The seed is {seed}; give a whole number from 0 up.")


def _streams(index: int, seed: int) -> list[np.random.Generator]:
    """Random numbers of the place, the animal, the background, the foreground and the light, each its own."""
    return [np.random.Generator(np.random.PCG64((seed, index, k))) for k in range(1, 6)]


def _compose(
    index: int, label: Label, background: Background, seed: int, *, animal: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The picture (uint8, `h w 3`) and the animal's mask; without `animal`, what would be seen without it."""
    place, looks, behind, before, light = _streams(index, seed)
    landscape, foreground, shadow = LANDSCAPES[background]
    picture = landscape(behind)
    hidden = sheet()
    colours = foreground(before, hidden) if before.random() < 0.7 else None
    layer = _animal(label, place, looks)
    _shade(picture, layer, shadow)
    if colours is not None:
        layer.cut(hidden)
    painted, cover = layer.flatten()
    if animal:
        picture = picture * (1 - cover[..., None]) + painted * (1.08 - 0.2 * _ROWS)
    if colours is not None:
        blend(picture, cover_of(hidden), colours)
    if background == "snow" and before.random() < 0.4:
        flakes = _flakes(before)
        blend(picture, flakes, (255, 255, 255))
        cover = cover * (1 - flakes)
    return _lit(picture, light), cover > 0


_ROWS = (np.arange(SIDE, dtype=np.float32) / SIDE)[:, None, None]


def _animal(label: Label, place: np.random.Generator, looks: np.random.Generator) -> Layer:
    """The animal on a layer of its own, somewhere in the picture."""
    unit = between(place, 48, 80)
    room = 5 + 0.55 * (80 - unit)
    layer = Layer((SIDE / 2 + between(place, -room, room), between(place, 107, 122)), unit, bool(place.random() < 0.5))
    pose = tuple(BODIES)[int(place.random() * len(BODIES))]
    facing, howling = place.random() < 0.55, place.random() < 0.3
    tilt = between(place, -0.16, 0.16)
    animal = _ANIMALS[label](looks)
    at = BODIES[pose](layer, animal)
    if pose == "facing" or facing:
        from_front(layer, animal, at, tilt)
    else:
        from_side(layer, animal, at, 0.75 + tilt if howling else tilt, howling=bool(howling))
    return layer


def _shade(picture: np.ndarray, layer: Layer, colour: tuple[float, float, float]) -> None:
    """The animal's shadow on the ground."""
    x, y = layer.origin
    steps = np.arange(SIDE, dtype=np.float32)
    far = ((steps - x) / (0.62 * layer.unit))[None] ** 2 + ((steps - y) / (0.1 * layer.unit))[:, None] ** 2
    blend(picture, np.clip(1 - far, 0, 1) * np.float32(0.6), colour)


def _flakes(rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel falling snow covers, before everything else."""
    stencil = sheet()
    flakes = rng.random((int(rng.random() * 60) + 15, 3)) * (SIDE, SIDE, 1)
    stamp(stencil, *(ellipse(x, y, 0.5 + 0.8 * r, 0.5 + 0.8 * r) for x, y, r in flakes))
    return cover_of(stencil)


def _lit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The whole picture under one light: brightness, warmth, a side it comes from."""
    warm = between(rng, -1, 1)
    tint = np.array([1 + 0.07 * warm, 1.0, 1 - 0.09 * warm], np.float32) * np.float32(between(rng, 0.8, 1.06))
    side = between(rng, -0.1, 0.1)
    slope = 1 + side * np.linspace(-1, 1, SIDE, dtype=np.float32)[None, :, None] + 0.04 * clouds(rng, 3, 3)[..., None]
    return np.clip(np.round(picture * tint * slope), 0, 255).astype(np.uint8)
