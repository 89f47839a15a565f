"""What landscapes are made of: skies, mountains, trees, leaves, grass. Each draws on `picture` in place."""

import numpy as np
from PIL import Image

from cnnaudit.data._drawing import (
    SIDE,
    Colour,
    between,
    blend,
    cover_of,
    ellipse,
    gradient,
    mix,
    moved,
    open_curve,
    sheet,
    stamp,
    vary,
)

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((122, 172, 214), (216, 232, 238)),
    ((150, 164, 186), (206, 212, 220)),
    ((118, 134, 186), (250, 206, 184)),
    ((96, 120, 164), (200, 208, 224)),
    ((134, 190, 206), (246, 232, 204)),
)


def ridge(rng: np.random.Generator, row: float, height: float, bumps: int) -> np.ndarray:
    """The outline of a hill or drift that fills everything below a smooth line about `row`."""
    x = np.linspace(-10, SIDE + 10, bumps)
    line = open_curve(np.stack([x, row + height * (rng.random(bumps) * 2 - 1)], 1))
    return np.vstack([line, [(SIDE + 10, SIDE + 2), (-10, SIDE + 2)]])


def filled(outline: np.ndarray, soft: float = 0) -> np.ndarray:
    """How much of each pixel lies in `outline` (`h w`), its edge blurred by `soft` pixels."""
    stencil = sheet()
    stamp(stencil, outline)
    return cover_of(stencil, soft)


def _conifer(x: float, base: float, height: float, rng: np.random.Generator) -> np.ndarray:
    """A spruce: tiers of boughs that widen downwards."""
    tiers = 6
    half = height * between(rng, 0.17, 0.24)
    right, left = [(x, base - height)], []
    for tier in range(1, tiers + 1):
        row = base - height + height * tier / tiers
        reach = half * tier / tiers
        sag = height * 0.035
        right += [(x + reach * (0.85 + 0.3 * rng.random()), row + sag), (x + reach * 0.45, row - sag)]
        left += [(x - reach * (0.85 + 0.3 * rng.random()), row + sag), (x - reach * 0.45, row - sag)]
    return np.asarray(right + left[::-1])


def treeline(
    picture: np.ndarray, rng: np.random.Generator, row: float, height: float, colour: Colour, *, snow: float
) -> None:
    """A row of spruces on `row`; `snow` (0 to 1) lies on their boughs."""
    trees, caps = sheet(), sheet()
    step = height * 0.3
    for k in range(int((SIDE + 20) / step) + 1):
        if rng.random() < 0.2:
            continue
        x = -10 + (k + rng.random()) * step
        tree = _conifer(x, row + 3, height * between(rng, 0.6, 1.15), rng)
        stamp(trees, tree)
        if snow:
            stamp(caps, tree)
            stamp(caps, moved(tree, 0.8, height * 0.06), value=0)
    blend(picture, cover_of(trees), gradient(colour, mix(colour, (20, 34, 40), 0.25), row - height, row))
    if snow:
        blend(picture, cover_of(caps) * np.float32(snow), (238, 243, 250))


def mountains(picture: np.ndarray, rng: np.random.Generator, row: float, colour: Colour, *, snow: bool) -> None:
    """Peaks behind `row`."""
    count = 4
    peaks = np.sort(rng.random(count)) * 150 - 10
    rock, caps = sheet(), sheet()
    for x in peaks:
        height, half = between(rng, 14, 34), between(rng, 22, 40)
        top = (x, row - height)
        stamp(rock, [top, (x + half, row + 4), (x - half, row + 4)])
        low = row - height * 0.5
        zigzag = [(x + half * 0.5, low), (x + half * 0.22, low - 4), (x, low + 3)]
        zigzag += [(x - half * 0.2, low - 3), (x - half * 0.5, low)]
        if snow:
            stamp(caps, [top, *zigzag])
            stamp(caps, [(x + 1, row - height), (x + half * 0.5, low), (x + half * 0.2, low + 2)], value=170)
    blend(picture, cover_of(rock), gradient(colour, mix(colour, (225, 230, 236), 0.45), row - 34, row))
    if snow:
        blend(picture, cover_of(caps) * np.float32(0.9), (240, 244, 250))


def sky(rng: np.random.Generator) -> np.ndarray:
    """A new picture with a sky and perhaps clouds."""
    top, bottom = _SKIES[int(rng.random() * len(_SKIES))]
    picture = np.broadcast_to(gradient(vary(top, 0.06, rng), bottom, 0, 66), (SIDE, SIDE, 3)).copy()
    veil = sheet()
    for _ in range(int(rng.random() * 4)):
        x, y, size = between(rng, 0, SIDE), between(rng, 6, 40), between(rng, 8, 16)
        for dx, dy, r in rng.random((5, 3)) * (2, 0.5, 0.5) - (1, 0.25, 0):
            stamp(veil, ellipse(x + dx * size, y + dy * size, size * (0.5 + r), size * 0.28 * (0.6 + r)))
    blend(picture, cover_of(veil, 1.5) * np.float32(between(rng, 0.35, 0.7)), (252, 250, 248))
    return picture


def trunks(
    picture: np.ndarray, rng: np.random.Generator, horizon: float, bark: tuple[Colour, Colour], glow: Colour
) -> None:
    """Three ranks of trunks, the far ones thin and pale in the `glow`; `bark` is near the ground, and high up."""
    for far, count, width in ((0.55, 7, 3.5), (0.25, 5, 6.0), (0.0, 3, 10.0)):
        rank = sheet()
        for _ in range(count):
            x, half = between(rng, -4, SIDE + 4), width * between(rng, 0.35, 0.7)
            lean, foot = between(rng, -4, 4), horizon + (1 - far) * 12
            stem = [(x - half, foot), (x - half * 0.7 + lean, -2), (x + half * 0.7 + lean, -2), (x + half, foot)]
            stamp(rank, [*stem, (x + half * 1.6, foot + 3), (x - half * 1.6, foot + 3)])
        blend(picture, cover_of(rank), gradient(mix(bark[1], glow, far), mix(bark[0], glow, far), 0, horizon))


def canopy(picture: np.ndarray, rng: np.random.Generator, deep: Colour) -> None:
    """Foliage that hangs into the top of the picture."""
    leaves = sheet()
    for _ in range(26):
        x, y, r = between(rng, -5, SIDE + 5), between(rng, -6, 16), between(rng, 5, 12)
        angle = np.arange(9) * (2 * np.pi / 9)
        reach = r * (0.7 + 0.5 * rng.random(9))
        stamp(leaves, np.stack([x + reach * np.cos(angle), y + 0.7 * reach * np.sin(angle)], 1))
    blend(picture, cover_of(leaves, 0.4) * np.float32(0.9), gradient(mix(deep, (24, 40, 30), 0.4), deep, 0, 30))


def litter(picture: np.ndarray, rng: np.random.Generator, row: float) -> None:
    """Fallen leaves."""
    for colour in ((176, 116, 58), (140, 138, 70), (70, 62, 40)):
        leaves = sheet()
        for x, y, turn in rng.random((26, 3)) * (SIDE, SIDE - row, 3.1) + (0, row, 0):
            size = 0.8 + 1.6 * (y - row) / (SIDE - row)
            dx, dy = size * np.cos(turn), 0.5 * size * np.sin(turn)
            stamp(leaves, [(x - dx, y - dy), (x + dy, y - dx * 0.5), (x + dx, y + dy), (x - dy, y + dx * 0.5)])
        blend(picture, cover_of(leaves) * np.float32(0.7), vary(colour, 0.1, rng))


def shafts(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Slanting sunlight."""
    light, slant = sheet(), between(rng, 20, 50)
    for _ in range(4):
        x, width = between(rng, -40, SIDE), between(rng, 4, 12)
        stamp(light, [(x, -2), (x + width, -2), (x + width * 1.8 + slant, 112), (x + slant, 112)])
    blend(picture, cover_of(light, 2) * np.float32(between(rng, 0.1, 0.24)), (255, 244, 196))


def blades(stencil: Image.Image, rng: np.random.Generator, x: float, y: float, height: float) -> None:
    """Five blades of grass that grow at (x, y)."""
    lean = rng.random(5) * 1.2 - 0.6
    root, tip = x + 2.4 * lean, height * lean
    rows = np.stack([np.full(5, y), y - height * (0.6 + 0.4 * rng.random(5)), np.full(5, y)], 1)
    stamp(stencil, *np.stack([np.stack([root - 0.5, root + tip, root + 0.5], 1), rows], 2))


def tufts(picture: np.ndarray, rng: np.random.Generator, row: float, colour: Colour) -> None:
    """Tufts of grass from `row` down."""
    stencil = sheet()
    for x, u in rng.random((26, 2)):
        depth = float(u)
        blades(stencil, rng, SIDE * float(x), row + (SIDE - row) * depth, 3 + 7 * depth)
    blend(picture, cover_of(stencil), colour)


def flowers(picture: np.ndarray, rng: np.random.Generator, row: float) -> None:
    """Flowers of one kind from `row` down."""
    stencil = sheet()
    for x, y in rng.random((22, 2)) * (SIDE, SIDE - row) + (0, row):
        r = 0.5 + 0.9 * (y - row) / (SIDE - row)
        stamp(stencil, [(x, y - r), (x + r, y), (x, y + r), (x - r, y)])
    colour = ((244, 214, 88), (232, 140, 160), (190, 160, 224), (246, 240, 226))[int(rng.random() * 4)]
    blend(picture, cover_of(stencil), colour)
