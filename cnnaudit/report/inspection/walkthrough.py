"""A walk through a convolution: what the page shows at the first place, and the numbers for every other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit import numbers
from cnnaudit.errors import CnnAuditError
from cnnaudit.report import figures
from cnnaudit.report.encoding import display_codes
from cnnaudit.report.inspection.number_grids import Grid, grid_of, written
from cnnaudit.report.inspection.walk_data import data_of, limits_of
from cnnaudit.results import Stage, Steps, Walkthrough

_LONGEST_PICTURE = 112


@dataclass(frozen=True, slots=True)
class Map:
    """One map as a picture, and on which scale.

    Attributes:
        name: "input", "output", "stage0", "stage1", ….
        mark: the part that belongs to the value: column, row, width and height in the map's places.
    """

    name: str
    title: str
    picture: str
    shape: tuple[int, int]
    limit: float
    mark: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class Bar:
    """What one input channel adds, in per cent of the plot's height from the middle line."""

    left: float
    width: float
    top: float
    height: float
    negative: bool
    channel: int


@dataclass(frozen=True, slots=True)
class Line:
    """A step in one line: a heading, and a calculation whose last part is the result."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The section: one place of one channel, and the data with which the script shows the others.

    Attributes:
        channel, at: what is shown before the reader chooses.
        data: for the script; None where it would be too much for a page.
    """

    walk: Walkthrough
    channel: int
    at: tuple[int, int]
    geometry: str
    photo: str | None
    field: tuple[int, int, int, int] | None
    maps: tuple[Map, ...]
    grids: tuple[Grid, ...]
    bars: tuple[Bar, ...]
    rest: str
    lines: tuple[Line, ...]
    pool: Grid | None
    pooled: str | None
    data: dict[str, Any] | None
    colours: str


def view(walk: Walkthrough) -> View:
    """The section as the page shows it first: the most active place of the first channel.

    Raises:
        CnnAuditError: a value is not finite.
    """
    _check(walk)
    active = _last(walk, 0)
    row, column = (int(place) for place in np.unravel_index(int(active.argmax()), active.shape))
    steps = walk.at(walk.channels[0], row, column)
    limits = limits_of(walk)
    pooled = steps.pooled
    return View(
        walk=walk,
        channel=walk.channels[0],
        at=(row, column),
        geometry=_geometry(walk),
        photo=_photo(walk.pixels) if walk.pixels.shape[1] > 1 else None,
        field=steps.field,
        maps=tuple(_maps(walk, steps, (row, column), limits)),
        grids=_grids(walk, steps, (row, column), limits),
        bars=_bars(steps),
        rest=written(steps.rest, limits["output"]),
        lines=tuple(_lines(walk, steps, limits)),
        pool=pooled and grid_of("pool", "", pooled.window, limits[_before_pooling(walk)]),
        pooled=pooled and f"{_pool_words(walk)} {written(pooled.value, limits[_before_pooling(walk)])}",
        data=data_of(walk),
        colours=" ".join(figures.default_palette(signed=True).colours),
    )


def twin(walk: Walkthrough) -> dict[str, Any]:
    """What the page shows and carries; `cnnaudit.report.decode_heatmap` reads the maps."""
    limits = limits_of(walk)
    return {
        "image": walk.image,
        "layer": walk.layer,
        "kind": walk.kind,
        "calls": walk.calls,
        "channels_in": walk.of[0],
        "channels_out": walk.of[1],
        "input_shape": walk.shape,
        "sliding": walk.sliding,
        "receptive_field": walk.receptive_field,
        "display_limits": limits,
        "numbers": data_of(walk),
    }


def _check(walk: Walkthrough) -> None:
    arrays = (walk.maps, *(k.output for k in walk.kernels), *(k.weights for k in walk.kernels))
    if not all(np.isfinite(values).all() for values in (*arrays, *(stage.maps for stage in walk.stages))):
        raise CnnAuditError(f"The values around {walk.layer} are not all finite, so there is no scale to draw them on.")


def _last(walk: Walkthrough, place: int) -> np.ndarray:
    maps = [stage.maps for stage in walk.stages if stage.kind != "pooling"]
    return maps[-1][place] if maps else walk.kernels[place].output


def _before_pooling(walk: Walkthrough) -> str:
    """The name of the maps that a pooling takes."""
    return f"stage{len(walk.stages) - 2}" if len(walk.stages) > 1 else "output"


def _geometry(walk: Walkthrough) -> str:
    slide = walk.sliding
    flat = slide.kernel[0] == 1 and walk.shape[0] == 1
    by = (lambda pair: str(pair[1])) if flat else (lambda pair: f"{pair[0]} × {pair[1]}")
    channels = f"{numbers.count(walk.of[0])} input channel{'s' * (walk.of[0] > 1)}"
    words = [f"{numbers.count(walk.of[1])} kernels of {by(slide.kernel)} over {channels} each"]
    words += [f"stride {by(slide.stride)}"] if max(slide.stride) > 1 else []
    words += [f"dilation {by(slide.dilation)}"] if max(slide.dilation) > 1 else []
    words += [f"{slide.groups} groups of channels"] if slide.groups > 1 else []
    if max(*slide.before, *slide.after) > 0:
        filled = {"zeros": "zeros", "reflect": "the mirrored input", "replicate": "the input's edge"}
        words.append(f"padded with {filled.get(slide.mode, 'the opposite side')}")
    return ", ".join(words)


def _photo(pixels: np.ndarray) -> str:
    photo = np.rint(np.clip(np.broadcast_to(pixels, (max(3, len(pixels)), *pixels.shape[1:]))[:3], 0, 1) * 255)
    picture = photo.astype(np.uint8).transpose(1, 2, 0)
    return figures.png_uri(picture) if figures.is_small(picture.shape) else figures.jpeg_uri(picture, 85)


def _maps(walk: Walkthrough, steps: Steps, at: tuple[int, int], limits: dict[str, float]) -> Sequence[Map]:
    slide = walk.sliding
    reach = [d * (k - 1) + 1 for d, k in zip(slide.dilation, slide.kernel, strict=True)]
    row, column = (place * stride for place, stride in zip(at, slide.stride, strict=True))
    shown = walk.maps[walk.inputs.index(steps.inputs[0])]
    maps = [_map("input", "input", shown, limits, (column, row, reach[1], reach[0]))]
    one = (at[1], at[0], 1, 1)
    maps.append(_map("output", "convolution", walk.kernels[0].output, limits, one))
    for place, stage in enumerate(walk.stages):
        mark = one if stage.kind != "pooling" else steps.pooled and (*reversed(steps.pooled.at), 1, 1)
        maps.append(_map(f"stage{place}", stage.name, stage.maps[0], limits, mark))
    return maps


def _map(name: str, title: str, values: np.ndarray, limits: dict[str, float], mark: Any) -> Map:
    codes = display_codes(values.astype(np.float64), limits[name])
    picture = figures.coloured(codes, figures.default_palette(signed=True))
    step = math.ceil(max(values.shape) / _LONGEST_PICTURE)
    return Map(
        name, title, figures.png_uri(picture[::step, ::step]), (values.shape[0], values.shape[1]), limits[name], mark
    )


def _grids(walk: Walkthrough, steps: Steps, at: tuple[int, int], limits: dict[str, float]) -> tuple[Grid, ...]:
    products = float(np.abs(steps.products[0]).max())
    return (
        grid_of("patch", "what lies under the kernel", steps.patch[0], limits["input"], _outside(walk, at)),
        grid_of("kernel", "the kernel", steps.kernel[0], limits["kernel"]),
        grid_of("product", "their products", steps.products[0], products),
    )


def _outside(walk: Walkthrough, at: tuple[int, int]) -> np.ndarray:
    """Which places under the kernel are padding."""
    slide, inside = walk.sliding, []
    for axis in (0, 1):
        places = (
            np.arange(slide.kernel[axis]) * slide.dilation[axis] + at[axis] * slide.stride[axis] - slide.before[axis]
        )
        inside.append((places >= 0) & (places < walk.shape[axis]))
    return ~np.logical_and.outer(inside[0], inside[1])


def _bars(steps: Steps) -> tuple[Bar, ...]:
    largest, width = float(np.abs(steps.sums).max()) or 1.0, 100 / len(steps.sums)
    return tuple(
        Bar(
            round(at * width, 3),
            round(width, 3),
            round(50 - max(0.0, 50 * value / largest), 2),
            round(abs(50 * value / largest), 2),
            value < 0,
            number,
        )
        for at, (value, number) in enumerate(zip(steps.sums.tolist(), steps.inputs, strict=True))
    )


def _lines(walk: Walkthrough, steps: Steps, limits: dict[str, float]) -> Sequence[Line]:
    """The calculations behind the products, one below the other."""
    limit = limits["output"]
    total = float(steps.sums.sum()) + steps.rest
    bias = _signed(steps.bias, limit)
    lines = [Line("bias", "Plus the bias", f"{written(total, limit)} {bias} = {written(steps.output, limit)}")]
    before, from_limit = steps.output, limit
    changing = [(at, stage) for at, stage in enumerate(walk.stages) if stage.kind != "pooling"]
    for (at, stage), value in zip(changing, steps.behind, strict=True):
        own = limits[f"stage{at}"]
        added = value - before
        words = _calculation(stage, 0, written(before, from_limit), _signed(added, own))
        lines.append(Line(f"stage{at}", stage.name, f"{words} = {written(value, own)}"))
        before, from_limit = value, own
    return lines


def _calculation(stage: Stage, place: int, before: str, added: str) -> str:
    if stage.kind == "sum":
        return f"{before} {added}"
    if stage.scale and stage.shift:
        scale, shift = stage.scale[place], stage.shift[place]
        return f"{before} × {numbers.number(scale)} {'−' if shift < 0 else '+'} {numbers.number(abs(shift))}"
    return f"{stage.name}({before})"


def _pool_words(walk: Walkthrough) -> str:
    return "the largest:" if walk.pooling and walk.pooling.name.startswith("max") else "the mean:"


def _signed(value: float, limit: float) -> str:
    return f"{'−' if value < 0 else '+'} {written(abs(value), limit)}"
