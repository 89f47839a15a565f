"""Strokes and colours for `cnnaudit.data.scenes`: smooth outlines, fur, soft fields, blending.

Shapes are drawn four times as large as they are shown and averaged down, so that a pixel's coverage
is exact to a sixteenth. Colours are 0 to 255. Random numbers come from `Generator.random` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 128
SCALE = 4
_FULL = SIDE * SCALE
_ANGLES = np.arange(16) * (np.pi / 8)
_COSINES, _SINES = np.cos(_ANGLES), np.sin(_ANGLES)

Colour = tuple[float, float, float]
Points = np.ndarray | Sequence[tuple[float, float]]
"""Rows of x and y."""


@cache
def _spline(steps: int) -> np.ndarray:
    t = np.arange(steps)[:, None] / steps
    powers = np.hstack([np.ones_like(t), t, t * t, t * t * t])
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return powers @ basis


def curve(points: Points, steps: int = 6) -> np.ndarray:
    """A closed Catmull-Rom curve through `points`: `m*steps 2` for `m` points."""
    p = np.asarray(points, float)
    neighbours = np.stack([np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)])
    return np.einsum("sk,kpc->psc", _spline(steps), neighbours).reshape(-1, 2)


def open_curve(points: Points, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve from the first of `points` to the last."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    windows = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]])
    return np.vstack([np.einsum("sk,kpc->psc", _spline(steps), windows).reshape(-1, 2), p[-2]])


def limb(spine: Points, widths: Sequence[float], steps: int = 8) -> np.ndarray:
    """The outline of a bent, tapered limb: `spine` with a full width at each of its points."""
    line = open_curve(spine, steps)
    at = np.linspace(0, len(widths) - 1, len(line))
    half = np.interp(at, np.arange(len(widths)), widths)[:, None] / 2
    normal = _normals(line)
    return np.vstack([line + normal * half, (line - normal * half)[::-1]])


def _normals(line: np.ndarray) -> np.ndarray:
    tangent = np.gradient(line, axis=0)
    length = np.sqrt((tangent * tangent).sum(1, keepdims=True)) + 1e-9
    return np.stack([-tangent[:, 1], tangent[:, 0]], 1) / length


def fur(outline: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """`outline` with every third point pulled outwards by up to `depth`: tufts."""
    centre = outline.mean(0)
    normal = _normals(outline)
    outwards = np.sign((normal * (outline - centre)).sum(1, keepdims=True))
    pull = np.where(np.arange(len(outline)) % 3 == 1, depth * (0.5 + rng.random(len(outline))), 0.0)
    return outline + normal * outwards * pull[:, None]


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
    """Sixteen points of an ellipse about (x, y), its first axis turned by `turn` radians."""
    a, b = rx * _COSINES, ry * _SINES
    return np.stack([x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)], 1)


def moved(points: Points, right: float, down: float) -> np.ndarray:
    """`points`, elsewhere."""
    return np.asarray(points, float) + np.array([right, down])


def mirrored(points: Points) -> np.ndarray:
    """A shape given by its right half (top to bottom), completed to the left."""
    p = np.asarray(points, float)
    return np.vstack([p, p[::-1] * (-1, 1)])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of `b` in it."""
    return tuple(u + (v - u) * share for u, v in zip(a, b, strict=True))  # type: ignore[return-value]


def vary(colour: Colour, amount: float, rng: np.random.Generator) -> Colour:
    """`colour`, lighter or darker and a little warmer or colder, by up to `amount` (a share)."""
    light, warm = 1 + amount * (2 * rng.random(2) - 1)
    tone = (light * warm, light, light / warm)
    return tuple(min(255.0, c * t) for c, t in zip(colour, tone, strict=True))  # type: ignore[return-value]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly from [low, high)."""
    return low + (high - low) * float(rng.random())


def _ink(colour: Colour) -> tuple[int, int, int]:
    return tuple(max(0, min(255, round(c))) for c in colour)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A spot of colour on a part of an animal."""

    outline: np.ndarray
    colour: Colour


@dataclass(slots=True, eq=False)
class Layer:
    """A transparent sheet on which an animal is painted.

    Attributes:
        origin: where the animal's (0, 0) lies, in picture pixels.
        unit: how many picture pixels one unit of the animal is.
        flip: whether it faces left.
    """

    origin: tuple[float, float]
    unit: float
    flip: bool
    _colour: Image.Image = field(default_factory=lambda: Image.new("RGB", (_FULL, _FULL)))
    _cover: Image.Image = field(default_factory=lambda: Image.new("L", (_FULL, _FULL)))

    def paint(self, outline: np.ndarray, colour: Colour, marks: Sequence[Mark] = (), soft: float = 0) -> None:
        """Fill `outline` with `colour` and `marks`, the marks blurred by `soft` units, never beyond it."""
        shape = self._place(outline)
        low = np.clip(np.floor(shape.min(0)).astype(int), 0, _FULL)
        high = np.clip(np.ceil(shape.max(0)).astype(int) + 1, 0, _FULL)
        if (high <= low).any():
            return
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        stencil, patch = Image.new("L", size), Image.new("RGB", size, _ink(colour))
        _fill(stencil, 255, shape - low)
        for mark in marks:
            _fill(patch, _ink(mark.colour), self._place(mark.outline) - low)
        if soft and marks:
            patch = patch.filter(ImageFilter.BoxBlur(round(soft * self.unit * SCALE)))
        corner = (int(low[0]), int(low[1]))
        self._colour.paste(patch, corner, stencil)
        self._cover.paste(255, corner, stencil)

    def cut(self, cover: Image.Image) -> None:
        """Remove what `cover` (four times as large as shown) hides."""
        self._cover.paste(0, (0, 0), cover)
        self._colour.paste((0, 0, 0), (0, 0), cover)

    def flatten(self) -> tuple[np.ndarray, np.ndarray]:
        """Colour times coverage (`h w 3`) and coverage (`h w`, 0 to 1), at the size shown."""
        return _reduced(self._colour), _reduced(self._cover) / np.float32(255)

    def _place(self, points: np.ndarray) -> np.ndarray:
        sign = (-1, 1) if self.flip else (1, 1)
        return np.round((points * sign * self.unit + self.origin) * SCALE)


def sheet() -> Image.Image:
    """An empty stencil, four times as large as shown."""
    return Image.new("L", (_FULL, _FULL))


def stamp(stencil: Image.Image, *polygons: Points, value: int = 255) -> None:
    """Fill polygons, given in picture pixels, on a stencil."""
    _fill(stencil, value, *(np.round(np.asarray(points, float) * SCALE) for points in polygons))


def _fill(image: Image.Image, ink: int | tuple[int, int, int], *polygons: np.ndarray) -> None:
    pen = ImageDraw.Draw(image)
    for points in polygons:
        pen.polygon(points.ravel().tolist(), fill=ink)


def _reduced(image: Image.Image) -> np.ndarray:
    return np.asarray(image.reduce(SCALE), np.float32)


def cover_of(stencil: Image.Image, soft: float = 0) -> np.ndarray:
    """How much of each pixel a stencil covers (`h w`, 0 to 1), blurred by `soft` pixels."""
    small = stencil.reduce(SCALE)
    if soft:
        small = small.filter(ImageFilter.BoxBlur(soft)).filter(ImageFilter.BoxBlur(soft))
    return np.asarray(small, np.float32) / np.float32(255)


def gradient(top: Colour, bottom: Colour, start: float = 0, stop: float = SIDE) -> np.ndarray:
    """A field (`h 1 3`) that runs from `top` at row `start` to `bottom` at row `stop`."""
    share = np.clip((np.arange(SIDE) - start) / max(stop - start, 1e-6), 0, 1)[:, None, None]
    return (np.asarray(top) + share * (np.asarray(bottom) - np.asarray(top))).astype(np.float32)


def blend(picture: np.ndarray, cover: np.ndarray, colour: np.ndarray | Colour) -> None:
    """Lay `colour` over `picture` (`h w 3`, changed in place) with opacity `cover` (`h w`)."""
    change = np.asarray(colour, np.float32) - picture
    change *= cover[..., None]
    picture += change


def clouds(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A smooth random field (`h w`, about -1 to 1) with about `rows` by `columns` bumps."""
    grid = (rng.random((rows, columns)) * 255).astype(np.uint8)
    smooth = Image.fromarray(grid).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / np.float32(127.5) - 1


def grain(rng: np.random.Generator) -> np.ndarray:
    """White noise (`h w 1`, -1 to 1), one value a pixel."""
    return (rng.random((SIDE, SIDE, 1)) * 2 - 1).astype(np.float32)
