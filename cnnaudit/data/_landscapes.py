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
    gradient,
    grain,
    mix,
    stamp,
    vary,
)
from cnnaudit.data._scenery import (
    blades,
    canopy,
    filled,
    flowers,
    litter,
    mountains,
    ridge,
    shafts,
    sky,
    treeline,
    trunks,
    tufts,
)

Landscape = Callable[[np.random.Generator], np.ndarray]
Foreground = Callable[[np.random.Generator, Image.Image], np.ndarray]


def snow(rng: np.random.Generator) -> np.ndarray:
    """Drifts with blue shadows, spruces under snow, mountains behind."""
    picture = sky(rng)
    horizon = between(rng, 44, 66)
    if rng.random() < 0.6:
        mountains(picture, rng, horizon, vary((128, 146, 176), 0.08, rng), snow=True)
    treeline(picture, rng, horizon, between(rng, 12, 20), vary((138, 160, 178), 0.06, rng), snow=0.3)
    shade = vary((176, 198, 228), 0.04, rng)
    blend(picture, filled(ridge(rng, horizon, 3, 5)), gradient((236, 241, 248), shade, horizon - 4, horizon + 30))
    if rng.random() < 0.8:
        near = horizon + between(rng, 2, 9)
        treeline(picture, rng, near, between(rng, 22, 46), vary((62, 88, 98), 0.12, rng), snow=0.85)
        blend(picture, filled(ridge(rng, near + 1, 2, 6)), gradient((240, 245, 251), shade, near, near + 30))
    row = horizon + 12
    while row < SIDE:
        crest = vary((248, 250, 253), 0.015, rng)
        fall = gradient(crest, mix(crest, shade, 0.75), row - 3, row + 30)
        blend(picture, filled(ridge(rng, row, 4, 5), 0.6), fall)
        row += between(rng, 12, 24)
    ground = filled(ridge(rng, horizon + 8, 1, 4), 3)
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
    treeline(picture, rng, horizon, between(rng, 34, 56), mix(deep, glow, 0.35), snow=0)
    bark = vary((78, 62, 50), 0.12, rng)
    trunks(picture, rng, horizon, (bark, mix(bark, deep, 0.5)), glow)
    canopy(picture, rng, deep)
    moss, earth = vary((104, 122, 62), 0.14, rng), vary((96, 76, 52), 0.14, rng)
    row = horizon
    while row < SIDE:
        tone = mix(moss, earth, float(rng.random()))
        fall = gradient(mix(tone, glow, 0.25), mix(tone, (30, 34, 26), 0.4), row, row + 36)
        blend(picture, filled(ridge(rng, row + 4, 3, 5), 0.4), fall)
        row += between(rng, 9, 16)
    floor = filled(ridge(rng, horizon + 8, 1, 4), 2)
    litter(picture, rng, horizon + 10)
    blend(picture, floor * np.clip(clouds(rng, 10, 7), 0, 1) * np.float32(0.28), glow)
    if rng.random() < 0.6:
        shafts(picture, rng)
    picture += grain(rng) * 3.5
    return picture


def grass(rng: np.random.Generator) -> np.ndarray:
    """A meadow with tufts and flowers under an open sky, hills and woods behind."""
    picture = sky(rng)
    horizon = between(rng, 42, 64)
    green = vary(((118, 158, 70), (150, 160, 78), (182, 160, 88))[int(rng.random() * 3)], 0.12, rng)
    if rng.random() < 0.6:
        mountains(picture, rng, horizon, vary((130, 150, 162), 0.08, rng), snow=False)
    blend(picture, filled(ridge(rng, horizon - 4, 5, 5)), mix(green, (150, 180, 190), 0.6))
    if rng.random() < 0.8:
        height, leaves = between(rng, 10, 30), vary((58, 96, 66), 0.12, rng)
        treeline(picture, rng, horizon + 2, height, mix(leaves, (150, 176, 180), 0.2), snow=0)
    row = horizon
    while row < SIDE:
        tone = vary(green, 0.08, rng)
        fall = gradient(mix(tone, (240, 236, 150), 0.22), mix(tone, (40, 70, 40), 0.28), row, row + 30)
        blend(picture, filled(ridge(rng, row + 3, 3, 5), 0.5), fall)
        row += between(rng, 10, 20)
    for _ in range(3):
        tufts(picture, rng, horizon + 6, vary(mix(green, (40, 70, 36), 0.25 * float(rng.random())), 0.14, rng))
    if rng.random() < 0.6:
        flowers(picture, rng, horizon + 16)
    picture += grain(rng) * 3
    return picture


def drift(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """A drift of snow before the animal; stamps what it hides, returns its colours (`h w 3` or less)."""
    row = between(rng, 102, 126)
    stamp(stencil, ridge(rng, row, 4, 5))
    return gradient((250, 251, 254), (188, 206, 232), row - 3, row + 26)


def undergrowth(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """Ferns before the animal."""
    for _ in range(int(rng.random() * 5) + 2):
        x, y = between(rng, 0, SIDE), between(rng, 116, 132)
        for lean in (-1.0, -0.5, 0.0, 0.5, 1.0):
            length = between(rng, 10, 24)
            tip = (x + length * lean, y - length * (1 - 0.5 * abs(lean)))
            across, along = x + length * 0.45 * lean, y - length * 0.75 * (1 - 0.4 * abs(lean))
            thick = 1.2 * lean
            stamp(stencil, [(x, y), (across - 1.4, along - thick), tip, (across + 1.4, along + thick)])
    tone = vary((74, 104, 52), 0.2, rng)
    return gradient(mix(tone, (190, 210, 120), 0.35), mix(tone, (30, 50, 30), 0.4), 100, SIDE)


def tall_grass(rng: np.random.Generator, stencil: Image.Image) -> np.ndarray:
    """Tall grass before the animal."""
    for x in np.arange(-4, SIDE + 4, between(rng, 3, 9)):
        blades(stencil, rng, float(x) + 4 * float(rng.random()), SIDE + 2, between(rng, 8, 26))
    tone = vary((112, 148, 66), 0.18, rng)
    return gradient(mix(tone, (226, 224, 140), 0.4), mix(tone, (40, 70, 40), 0.3), 104, SIDE)


LANDSCAPES: dict[str, tuple[Landscape, Foreground, Colour]] = {
    "snow": (snow, drift, (112, 140, 190)),
    "forest": (forest, undergrowth, (28, 32, 24)),
    "grass": (grass, tall_grass, (40, 60, 32)),
}
"""A background's landscape, its foreground, and the colour of shadows on its ground."""
