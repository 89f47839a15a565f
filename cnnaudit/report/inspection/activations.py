"""The feature maps of one photo: the whole network in one line, then layer by layer."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from cnnaudit import numbers
from cnnaudit.report import figures
from cnnaudit.report.encoding import STEPS, display_codes, display_limit
from cnnaudit.results import Activations, FeatureMaps, Prediction

_MANY_LAYERS = 20
_MOST, _FEWER = 16, 8  # maps a layer, and of many layers
_STACKED = 3
_LONGEST = 64
_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Map:
    """One map as a picture, with its channel and the mean of |value|."""

    channel: int
    picture: str
    activity: str


@dataclass(frozen=True, slots=True)
class Layer:
    """What the page shows of a layer.

    Attributes:
        title: the layer, and which call of it where there are several.
        size: "24 × 56 × 56": channels, rows, columns.
        behind: after which operations the values were taken, in words.
        limit: the value at which the colour saturates.
        signed: True when the scale runs from −limit to +limit.
        reduced: True when the pictures have fewer pixels than the maps.
        shape: rows and columns of each map.
    """

    title: str
    block: str
    size: str
    behind: str
    limit: float
    signed: bool
    low: str
    high: str
    silent: str
    reduced: bool
    shape: tuple[int, int]
    maps: tuple[Map, ...]

    @property
    def colours(self) -> tuple[str, ...]:
        """Of the scale, from its low end."""
        return figures.default_palette(self.signed).colours

    @property
    def is_signal(self) -> bool:
        """True for maps of one row."""
        return self.shape[0] == 1 and self.shape[1] > 1


@dataclass(frozen=True, slots=True)
class View:
    """The section: the photo, the strip, and every layer whose maps have more than one place.

    Attributes:
        inside: what all blocks of the strip are in, if they are in one; it is left out of their names.
        points: how many layers have a single place.
    """

    image: str
    photo: str | None
    lines: tuple[str, ...]
    shape: tuple[int, int]
    inside: str
    strip: tuple[Layer, ...]
    layers: tuple[Layer, ...]
    points: int
    predictions: tuple[Prediction, ...]

    @property
    def small(self) -> bool:
        """True for a photo whose pixels should stay visible."""
        return figures.is_small(self.shape)


def view(facts: Activations) -> View:
    """The section of the feature maps."""
    spread = [maps for maps in facts.layers if maps.maps[0].size > 1]
    most = _MOST if len(spread) <= _MANY_LAYERS else _FEWER
    repeated = {maps.layer for maps in facts.layers if maps.call > 1}
    shape = facts.pixels.shape[1], facts.pixels.shape[2]
    strip = [facts.layers[place] for place in facts.strip]
    inside = _inside([maps.block for maps in strip])
    return View(
        facts.image,
        photo=None if shape[0] == 1 else _photo(facts.pixels),
        lines=tuple(map(_line, facts.pixels[:, 0])) if shape[0] == 1 else (),
        shape=shape,
        inside=inside,
        strip=tuple(replace(_layer(maps, _STACKED, repeated), block=_rest(maps.block, inside)) for maps in strip),
        layers=tuple(_layer(maps, most, repeated) for maps in spread),
        points=len(facts.layers) - len(spread),
        predictions=facts.predictions,
    )


def _inside(blocks: Sequence[str]) -> str:
    """The longest dotted name that all blocks, if there are several, begin with and go on from."""
    parted = [block.split(".")[:-1] for block in blocks]
    common = [level[0] for level in zip(*parted, strict=False)]
    depth = next((k for k, level in enumerate(zip(*parted, strict=False)) if len(set(level)) > 1), len(common))
    return ".".join(common[:depth]) if len(blocks) > 1 else ""


def _rest(block: str, inside: str) -> str:
    return block.removeprefix(f"{inside}.") if inside else block


def twin(facts: Activations) -> dict[str, Any]:
    """The section in the JSON twin: all numbers of the page, the maps themselves left to the pictures."""
    return {
        "image": facts.image,
        "predictions": facts.predictions,
        "strip": [facts.layers[place].layer for place in facts.strip],
        "layers": [_record(maps) for maps in facts.layers],
    }


def _record(maps: FeatureMaps) -> dict[str, Any]:
    return {
        "layer": maps.layer,
        "call": maps.call,
        "behind": maps.behind,
        "block": maps.block,
        "shape": maps.shape,
        "channels": maps.channels,
        "activity": [float(f"{value:.6g}") for value in maps.activity],
        "silent": maps.silent,
        "low": maps.low,
        "high": maps.high,
        "display_limit": _limit(maps.maps),
    }


def _layer(maps: FeatureMaps, most: int, repeated: set[str]) -> Layer:
    kept, signed = maps.maps[:most], maps.low < 0
    limit = _limit(maps.maps)
    palette = figures.default_palette(signed)
    drawn = zip(maps.channels, kept, maps.activity, strict=False)
    return Layer(
        title=maps.layer + (f", call {maps.call}" if maps.layer in repeated else ""),
        block=maps.block,
        size=" × ".join(map(str, (maps.shape[::2] if maps.shape[1] == 1 < maps.shape[2] else maps.shape))),
        behind=" and ".join(maps.behind),
        limit=limit,
        signed=signed,
        low=numbers.number(maps.low),
        high=numbers.number(maps.high),
        silent=numbers.count(maps.silent),
        reduced=max(maps.shape[1:]) > _LONGEST and maps.shape[1] > 1,
        shape=maps.shape[1:],
        maps=tuple(Map(channel, _uri(each, limit, palette), numbers.number(mean)) for channel, each, mean in drawn),
    )


def _limit(maps: np.ndarray) -> float:
    return display_limit([maps.astype(np.float64)])


def _uri(values: np.ndarray, limit: float, palette: figures.Palette) -> str:
    """A PNG, with a palette where that makes it smaller; large maps are averaged down first."""
    codes = display_codes(_reduced(values).astype(np.float64), limit).astype(int)
    plain = figures.png_uri(figures.coloured(codes, palette))
    steps = np.clip(codes + STEPS if palette.signed else codes, 0, 2 * STEPS).astype(np.uint8)
    table = np.rint(palette.table(2 * STEPS + 1 if palette.signed else STEPS + 1)).astype(np.uint8)
    picture = PillowImage.fromarray(steps)
    picture.putpalette(table.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    indexed = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return min(indexed, plain, key=len)


def _reduced(values: np.ndarray) -> np.ndarray:
    scale = max(values.shape) / _LONGEST
    if scale <= 1 or values.shape[0] == 1:
        return values
    size = max(1, round(values.shape[0] / scale)), max(1, round(values.shape[1] / scale))
    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(values)[None], size)[0].numpy()


def _photo(pixels: np.ndarray) -> str:
    picture = figures.shrunk(figures.photo(torch.from_numpy(pixels)[None]), 2 * _LONGEST)
    return figures.png_uri(picture) if figures.is_small(pixels.shape[1:]) else figures.jpeg_uri(picture, _QUALITY)


def _line(values: Sequence[float]) -> str:
    return " ".join(f"{place},{round(100 * (1 - float(value)), 1)}" for place, value in enumerate(values))
