"""Where the animals stand: snow, forest, grass. Each is drawn from its own random numbers.

A landscape is a float32 picture (`h w 3`, 0 to 255); a foreground is what hides the animal's feet.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from cnnaudit.data._drawing import (
    SIDE,
    Colour,
    between,
    blend,
    clouds,
    cover_of,
    ellipse,
    gradient,
    grain,
    mix,
    open_curve,
    sheet,
    stamp,
    vary,
)

Landscape = Callable[[np.random.Generator], np.ndarray]
Foreground = Callable[[np.random.Generator, Image.Image], np.ndarray]

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((122, 172, 214), (216, 232, 238)),
    ((150, 164, 186), (206, 212, 220)),
    ((118, 134, 186), (250, 206, 184)),
    ((96, 120, 164), (200, 208, 224)),
    ((134, 190, 206), (246, 232, 204)),
)


def _ridge(rng: np.random.Generator, row: float, height: float, bumps: int) -> np.ndarray:
    """The outline of a hill or drift that fills everything below a smooth line about `row`."""
    x = np.linspace(-10, SIDE + 10, bumps)
    line = open_curve(np.stack([x, row + height * (rng.random(bumps) * 2 - 1)], 1))
    return np.vstack([line, [(SIDE + 10, SIDE + 2), (-10, SIDE + 2)]])


def _filled(outline: np.ndarray, soft: float = 0) -> np.ndarray:
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


def _treeline(
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
            stamp(caps, tree + (0.8, height * 0.06), 0)
    blend(picture, cover_of(trees), gradient(colour, mix(colour, (20, 34, 40), 0.25), row - height, row))
    if snow:
        blend(picture, cover_of(caps) * np.float32(snow), (238, 243, 250))


def _mountains(picture: np.ndarray, rng: np.random.Generator, row: float, colour: Colour, *, snow: bool) -> None:
    count = 4
    peaks = np.sort(rng.random(count)) * 150 - 10
    rock, caps = sheet(), sheet()
    for x in peaks:
        height, half = between(rng, 14, 34), between(rng, 22, 40)
        top = (x, row - height)
        stamp(rock, [top, (x + half, row + 4), (x - half, row + 4)])
        low = row - height * 0.5
        zigzag = [(x + half * 0.5, low), (x + half * 0.22, low - 4), (x, low + 3), (x - half * 0.2, low - 3), (x - half * 0.5, low)]
        if snow:
            stamp(caps, [top, *zigzag])
            stamp(caps, [(x + 1, row - height), (x + half * 0.5, low), (x + half * 0.2, low + 2)], 170)
    blend(picture, cover_of(rock), gradient(colour, mix(colour, (225, 230, 236), 0.45), row - 34, row))
    if snow:
        blend(picture, cover_of(caps) * np.float32(0.9), (240, 244, 250))


def _sky(rng: np.random.Generator) -> np.ndarray:
    top, bottom = _SKIES[int(rng.random() * len(_SKIES))]
    picture = np.broadcast_to(gradient(vary(top, 0.06, rng), bottom, 0, 66), (SIDE, SIDE, 3)).copy()
    veil = sheet()
    for _ in range(int(rng.random() * 4)):
        x, y, size = between(rng, 0, SIDE), between(rng, 6, 40), between(rng, 8, 16)
        for dx, dy, r in rng.random((5, 3)) * (2, 0.5, 0.5) - (1, 0.25, 0):
            stamp(veil, ellipse(x + dx * size, y + dy * size, size * (0.5 + r), size * 0.28 * (0.6 + r)))
    blend(picture, cover_of(veil, 1.5) * np.float32(between(rng, 0.35, 0.7)), (252, 250, 248))
    return picture


def snow(rng: np.random.Generator) -> np.ndarray:
    """Drifts with blue shadows, spruces under snow, mountains behind."""
    picture = _sky(rng)
    horizon = between(rng, 44, 66)
    if rng.random() < 0.6:
        _mountains(picture, rng, horizon, vary((128, 146, 176), 0.08, rng), snow=True)
    _treeline(picture, rng, horizon, between(rng, 12, 20), vary((138, 160, 178), 0.06, rng), snow=0.3)
    shade = vary((176, 198, 228), 0.04, rng)
    blend(picture, _filled(_ridge(rng, horizon, 3, 5)), gradient((236, 241, 248), shade, horizon - 4, horizon + 30))
    if rng.random() < 0.8:
        near = horizon + between(rng, 2, 9)
        _treeline(picture, rng, near, between(rng, 22, 46), vary((62, 88, 98), 0.12, rng), snow=0.85)
        blend(picture, _filled(_ridge(rng, near + 1, 2, 6)), gradient((240, 245, 251), shade, near, near + 30))
    row = horizon + 12
    while row < SIDE:
        crest = vary((248, 250, 253), 0.015, rng)
        blend(picture, _filled(_ridge(rng, row, 4, 5), 0.6), gradient(crest, mix(crest, shade, 0.75), row - 3, row + 30))
        row += between(rng, 12, 24)
    ground = _filled(_ridge(rng, horizon + 8, 1, 4), 3)
    blend(picture, ground * np.clip(clouds(rng, 9, 4), 0, 1) * np.float32(0.4), shade)
    glitter = (rng.random((SIDE, SIDE)) > 0.993).astype(np.float32)
    blend(picture, ground * glitter, (255, 255, 255))
    picture += grain(rng) * 1.6
    return picture


def forest(rng: np.random.Generator) -> np.ndarray:
    """Trunks in a green dusk, shafts of light, a floor of moss and leaves."""
    glow = vary((178, 196, 140), 0.12, rng)
    deep = vary((52, 78, 58), 0.14, rng)
    picture = np.broadcast_to(gradient(mix(glow, deep, 0.55), glow, 0, 78), (SIDE, SIDE, 3)).copy()
    blend(picture, np.clip(clouds(rng, 9, 9), 0, 1) * np.float32(0.6), mix(deep, glow, 0.4))
    horizon = between(rng, 58, 76)
    _treeline(picture, rng, horizon, between(rng, 34, 56), mix(deep, glow, 0.35), snow=0)
    bark = vary((78, 62, 50), 0.12, rng)
    for far, count, width in ((0.55, 7, 3.5), (0.25, 5, 6.0), (0.0, 3, 10.0)):
        trunks = sheet()
        for _ in range(count):
            x, half = between(rng, -4, SIDE + 4), width * between(rng, 0.35, 0.7)
            lean, foot = between(rng, -4, 4), horizon + (1 - far) * 12
            stamp(trunks, [(x - half, foot), (x - half * 0.7 + lean, -2), (x + half * 0.7 + lean, -2), (x + half, foot), (x + half * 1.6, foot + 3), (x - half * 1.6, foot + 3)])
        blend(picture, cover_of(trunks), gradient(mix(mix(bark, deep, 0.5), glow, far), mix(bark, glow, far), 0, horizon))
    _canopy(picture, rng, deep)
    moss, earth = vary((104, 122, 62), 0.14, rng), vary((96, 76, 52), 0.14, rng)
    row = horizon
    while row < SIDE:
        tone = mix(moss, earth, float(rng.random()))
        blend(picture, _filled(_ridge(rng, row + 4, 3, 5), 0.4), gradient(mix(tone, glow, 0.25), mix(tone, (30, 34, 26), 0.4), row, row + 36))
        row += between(rng, 9, 16)
    floor = _filled(_ridge(rng, horizon + 8, 1, 4), 2)
    _litter(picture, rng, horizon + 10)
    blend(picture, floor * np.clip(clouds(rng, 10, 7), 0, 1) * np.float32(0.28), glow)
    if rng.random() < 0.6:
        _shafts(picture, rng)
    picture += grain(rng) * 3.5
    return picture


def _canopy(picture: np.ndarray, rng: np.random.Generator, deep: Colour) -> None:
    """Foliage that hangs into the top of the picture."""
    leaves = sheet()
    for _ in range(26):
        x, y, r = between(rng, -5, SIDE + 5), between(rng, -6, 16), between(rng, 5, 12)
        angle = np.arange(9) * (2 * np.pi / 9)
        reach = r * (0.7 + 0.5 * rng.random(9))
        stamp(leaves, np.stack([x + reach * np.cos(angle), y + 0.7 * reach * np.sin(angle)], 1))
    blend(picture, cover_of(leaves, 0.4) * np.float32(0.9), gradient(mix(deep, (24, 40, 30), 0.4), deep, 0, 30))


def _litter(picture: np.ndarray, rng: np.random.Generator, row: float) -> None:
    """Fallen leaves."""
    for colour in ((176, 116, 58), (140, 138, 70), (70, 62, 40)):
        leaves = sheet()
        for x, y, turn in rng.random((26, 3)) * (SIDE, SIDE - row, 3.1) + (0, row, 0):
            size = 0.8 + 1.6 * (y - row) / (SIDE - row)
            dx, dy = size * np.cos(turn), 0.5 * size * np.sin(turn)
            stamp(leaves, [(x - dx, y - dy), (x + dy, y - dx * 0.5), (x + dx, y + dy), (x - dy, y + dx * 0.5)])
        blend(picture, cover_of(leaves) * np.float32(0.7), vary(colour, 0.1, rng))


def _shafts(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Slanting sunlight."""
    light, slant = sheet(), between(rng, 20, 50)
    for _ in range(4):
        x, width = between(rng, -40, SIDE), between(rng, 4, 12)
        stamp(light, [(x, -2), (x + width, -2), (x + width * 1.8 + slant, 112), (x + slant, 112)])
    blend(picture, cover_of(light, 2) * np.float32(between(rng, 0.1, 0.24)), (255, 244, 196))


def grass(rng: np.random.Generator) -> np.ndarray:
    """A meadow with tufts and flowers under an open sky, hills and woods behind."""
    picture = _sky(rng)
    horizon = between(rng, 42, 64)
    green = vary(((118, 158, 70), (150, 160, 78), (182, 160, 88))[int(rng.random() * 3)], 0.12, rng)
    if rng.random() < 0.6:
        _mountains(picture, rng, horizon, vary((130, 150, 162), 0.08, rng), snow=False)
    blend(picture, _filled(_ridge(rng, horizon - 4, 5, 5)), mix(green, (150, 180, 190), 0.6))
    if rng.random() < 0.8:
        _treeline(picture, rng, horizon + 2, between(rng, 10, 30), mix(vary((58, 96, 66), 0.12, rng), (150, 176, 180), 0.2), snow=0)
    row = horizon
    while row < SIDE:
        tone = vary(green, 0.08, rng)
        blend(picture, _filled(_ridge(rng, row + 3, 3, 5), 0.5), gradient(mix(tone, (240, 236, 150), 0.22), mix(tone, (40, 70, 40), 0.28), row, row + 30))
        row += between(rng, 10, 20)
    for _ in range(3):
        _tufts(picture, rng, horizon + 6, vary(mix(green, (40, 70, 36), 0.25 * float(rng.random())), 0.14, rng))
    if rng.random() < 0.6:
        _flowers(picture, rng, horizon + 16)
    picture += grain(rng) * 3
    return picture


def _blades(stencil: Image.Image, rng: np.random.Generator, x: float, y: float, height: float) -> None:
    for lean in rng.random(5) * 1.2 - 0.6:
        root = x + 2.4 * lean
        stamp(stencil, [(root - 0.5, y), (root + height * lean, y - height * (0.6 + 0.4 * float(rng.random()))), (root + 0.5, y)])


def _tufts(picture: np.ndarray, rng: np.random.Generator, row: float, colour: Colour) -> None:
    stencil = sheet()
    for x, u in rng.random((26, 2)):
        depth = float(u)
        _blades(stencil, rng, SIDE * float(x), row + (SIDE - row) * depth, 3 + 7 * depth)
    blend(picture, cover_of(stencil), colour)


def _flowers(picture: np.ndarray, rng: np.random.Generator, row: float) -> None:
    stencil = sheet()
    for x, y in rng.random((22, 2)) * (SIDE, SIDE - row) + (0, row):
        r = 0.5 + 0.9 * (y - row) / (SIDE - row)
        stamp(stencil, [(x, y - r), (x + r, y), (x, y + r), (x - r, y)])
    colour = ((244, 214, 88), (232, 140, 160), (190, 160, 224), (246, 240, 226))[int(rng.random() * 4)]
    blend(picture, cover_of(stencil), colour)


def drift(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """A drift of snow before the animal; stamps what it hides, returns its colours (`h w 3` or less)."""
    row = between(rng, 108, 126)
    stamp(stencil, _ridge(rng, row, 4, 5))
    return gradient((250, 251, 254), (188, 206, 232), row - 3, row + 26)


def undergrowth(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """Ferns before the animal."""
    for _ in range(int(rng.random() * 5) + 2):
        x, y = between(rng, 0, SIDE), between(rng, 116, 132)
        for lean in (-1.0, -0.5, 0.0, 0.5, 1.0):
            length = between(rng, 10, 18)
            tip = (x + length * lean, y - length * (1 - 0.5 * abs(lean)))
            side = (1.4, 1.2 * lean)
            middle = (x + length * 0.45 * lean, y - length * 0.75 * (1 - 0.4 * abs(lean)))
            stamp(stencil, [(x, y), (middle[0] - side[0], middle[1] - side[1]), tip, (middle[0] + side[0], middle[1] + side[1])])
    tone = vary((74, 104, 52), 0.2, rng)
    return gradient(mix(tone, (190, 210, 120), 0.35), mix(tone, (30, 50, 30), 0.4), 100, SIDE)


def tall_grass(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """Tall grass before the animal."""
    for x in np.arange(-4, SIDE + 4, between(rng, 3, 9)):
        _blades(stencil, rng, float(x) + 4 * float(rng.random()), SIDE + 2, between(rng, 8, 20))
    tone = vary((112, 148, 66), 0.18, rng)
    return gradient(mix(tone, (226, 224, 140), 0.4), mix(tone, (40, 70, 40), 0.3), 104, SIDE)


LANDSCAPES: dict[str, tuple[Landscape, Foreground, Colour]] = {
    "snow": (snow, drift, (112, 140, 190)),
    "forest": (forest, undergrowth, (28, 32, 24)),
    "grass": (grass, tall_grass, (40, 60, 32)),
}
"""A background's landscape, its foreground, and the colour of shadows on its ground."""
