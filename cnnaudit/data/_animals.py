"""Huskies and wolves: what tells them apart, and how they stand.

One unit is about an animal's height at the shoulder and head together; (0, 0) is the ground below
its middle, y grows downwards, and it faces right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnaudit.data._drawing import Colour, Layer, Mark, between, curve, ellipse, fur, limb, mirrored, mix, vary

_INK: Colour = (30, 27, 30)

_HUSKY_COATS: tuple[tuple[Colour, Colour], ...] = (
    ((48, 50, 58), (244, 244, 242)),
    ((104, 108, 118), (240, 241, 242)),
    ((126, 120, 112), (234, 228, 216)),
    ((150, 96, 62), (244, 234, 220)),
    ((88, 78, 70), (232, 226, 214)),
)
_WOLF_COATS: tuple[tuple[Colour, Colour], ...] = (
    ((92, 90, 92), (216, 208, 196)),
    ((112, 100, 86), (222, 208, 184)),
    ((70, 66, 66), (196, 186, 172)),
    ((134, 118, 98), (232, 222, 202)),
    ((120, 122, 126), (228, 226, 220)),
)


@dataclass(frozen=True, slots=True)
class Animal:
    """One animal's looks; `dark` is its back, `light` its underside, `mid` lies between.

    Attributes:
        soft: how far its markings blend into each other, in units; a husky's hardly do.
        legs: length of the legs against the usual.
        head: radius of the head.
        far: the tint of what lies on the far side.
    """

    wolf: bool
    dark: Colour
    mid: Colour
    light: Colour
    eye: Colour
    nose: Colour
    soft: float
    legs: float
    head: float
    tufts: float
    tongue: bool
    rng: np.random.Generator

    def far(self, colour: Colour) -> Colour:
        """The colour of a limb on the far side: in the animal's own shade."""
        return mix(colour, (44, 46, 62), 0.3)


def husky(rng: np.random.Generator) -> Animal:
    """A husky: crisp white mask and underside, blue or brown eyes, close-set pointed ears, curled tail."""
    dark, light = _HUSKY_COATS[int(rng.random() * len(_HUSKY_COATS))]
    dark = vary(dark, 0.12, rng)
    eye = (92, 176, 232) if rng.random() < 0.7 else (120, 78, 44)
    return Animal(
        wolf=False,
        dark=dark,
        mid=mix(dark, light, 0.22),
        light=vary(light, 0.04, rng),
        eye=eye,
        nose=_INK,
        soft=0.008,
        legs=between(rng, 0.94, 1.08),
        head=between(rng, 0.2, 0.225),
        tufts=0.01,
        tongue=rng.random() < 0.45,
        rng=rng,
    )


def wolf(rng: np.random.Generator) -> Animal:
    """A wolf: grizzled coat whose bands run into each other, amber eyes, wide-set ears, hanging tail."""
    dark, light = _WOLF_COATS[int(rng.random() * len(_WOLF_COATS))]
    dark = vary(dark, 0.12, rng)
    return Animal(
        wolf=True,
        dark=dark,
        mid=mix(dark, light, between(rng, 0.4, 0.55)),
        light=vary(light, 0.05, rng),
        eye=(236, 178, 52),
        nose=_INK,
        soft=0.024,
        legs=between(rng, 1.1, 1.24),
        head=between(rng, 0.185, 0.205),
        tufts=0.017,
        tongue=rng.random() < 0.1,
        rng=rng,
    )


def _leg(on: Layer, a: Animal, spine: list[tuple[float, float]], widths: list[float], *, far: bool) -> None:
    tint = a.far if far else (lambda colour: mix(colour, a.mid, 0.1))
    on.paint(limb(spine, widths), tint(mix(a.light, a.mid, 0.3) if a.wolf else a.light))
    on.paint(ellipse(spine[-1][0] + 0.03, spine[-1][1] - 0.012, 0.066, 0.036), tint(a.light))


def _swung(spine: list[tuple[float, float]], swing: float, legs: float) -> list[tuple[float, float]]:
    """The leg turned about its top by `swing`, its foot back on the ground."""
    top = spine[0]
    reach = [(x + swing * (y - top[1]) / -top[1], y) for x, y in spine]
    return [(x, y * legs) if i else (x, y * legs - 0.02) for i, (x, y) in enumerate(reach)]


_FRONT_LEG = [(0.27, -0.46), (0.25, -0.28), (0.27, -0.14), (0.27, -0.02)]
_HIND_LEG = [(-0.33, -0.48), (-0.27, -0.3), (-0.4, -0.17), (-0.36, -0.02)]


def _coat(a: Animal, outline: np.ndarray, saddle: np.ndarray, flank: np.ndarray) -> list[Mark]:
    """Underside below, flank between (a wolf's), saddle above."""
    if not a.wolf:
        return [Mark(curve(saddle), a.dark)]
    return [
        Mark(fur(curve(flank, 9), a.tufts * 1.4, a.rng), a.mid),
        Mark(fur(curve(saddle - (0, 0.09), 9), a.tufts * 1.6, a.rng), a.dark),
    ]


def _tail(on: Layer, a: Animal, base: tuple[float, float], *, low: bool) -> None:
    """A husky's tail curls over its back; a wolf's hangs, or lies on the ground when it sits."""
    x, y = base
    if a.wolf:
        lift = between(a.rng, -0.05, 0.14)
        if low:
            spine = [(x, y), (x - 0.17, y + 0.03), (x - 0.33, y + 0.0), (x - 0.48, y - 0.03)]
        else:
            spine = [(x, y), (x - 0.13, y + 0.09), (x - 0.2 - lift, y + 0.28), (x - 0.2 - 1.8 * lift, y + 0.46 - lift)]
        outline = fur(limb(spine, [0.09, 0.15, 0.16, 0.03]), a.tufts * 1.3, a.rng)
        tip = spine[-1]
        on.paint(outline, mix(a.mid, a.dark, 0.35), [Mark(ellipse(*tip, 0.13, 0.13), mix(a.dark, _INK, 0.5))], a.soft)
        return
    curl = between(a.rng, -0.04, 0.06)
    spine = [(x, y), (x - 0.13, y - 0.1), (x - 0.11, y - 0.27), (x + 0.06 + curl, y - 0.31), (x + 0.14 + curl, y - 0.17)]
    outline = fur(limb(spine, [0.09, 0.17, 0.2, 0.19, 0.08]), 0.018, a.rng)
    inner = limb([(p[0] + 0.035, p[1] + 0.03) for p in spine], [0.02, 0.06, 0.09, 0.12, 0.08])
    on.paint(outline, a.dark, [Mark(inner, a.light), Mark(ellipse(*spine[-1], 0.09, 0.09), a.light)], a.soft)


def _torso(on: Layer, a: Animal) -> None:
    h = a.legs
    points = np.array(
        [(0.25, -0.94), (0.1, -0.73), (-0.12, -0.675), (-0.36, -0.675), (-0.475, -0.57), (-0.475, -0.43), (-0.38, -0.33)]
        + [(-0.08, -0.29), (0.2, -0.23), (0.4, -0.34), (0.51, -0.56), (0.6, -0.8)]
    )
    points[:, 1] -= (h - 1) * 0.3
    outline = fur(curve(points, 9), a.tufts, a.rng)
    down = (h - 1) * 0.3
    saddle = np.array([(0.6, -1.3), (-0.7, -1.3), (-0.75, -0.3), (-0.42, -0.33), (-0.1, -0.45), (0.2, -0.42), (0.34, -0.7)])
    flank = saddle + (0.04, 0.08)
    saddle[:, 1] -= down
    flank[:, 1] -= down
    on.paint(outline, a.light, _coat(a, outline, saddle, flank), a.soft)


def standing(on: Layer, a: Animal, stride: float) -> tuple[float, float]:
    """Legs, tail and body of a standing or (`stride` > 0) walking animal; where its head belongs."""
    drop = (a.legs - 1) * 0.3
    for far in (True, False):
        sign = 1 if far else -1
        shift = 0.07 if far else 0.0
        front = [(x + shift, y) for x, y in _FRONT_LEG]
        hind = [(x + shift, y) for x, y in _HIND_LEG]
        if not far:
            _tail(on, a, (-0.44, -0.6 - drop), low=False)
        _leg(on, a, _swung(hind, -sign * stride, a.legs), [0.25, 0.13, 0.07, 0.075], far=far)
        _leg(on, a, _swung(front, sign * stride, a.legs), [0.16, 0.1, 0.07, 0.075], far=far)
    _torso(on, a)
    return 0.47, -0.95 - drop


def sitting(on: Layer, a: Animal) -> tuple[float, float]:
    """A sitting animal from the side; where its head belongs."""
    _tail(on, a, (-0.36, -0.08), low=True)
    _leg(on, a, [(0.26, -0.42), (0.27, -0.2), (0.28, -0.02)], [0.13, 0.09, 0.075], far=True)
    points = [(0.0, -0.86), (-0.14, -0.66), (-0.32, -0.4), (-0.42, -0.14), (-0.3, -0.01), (0.0, -0.02)]
    points += [(0.14, -0.2), (0.27, -0.36), (0.34, -0.6), (0.33, -0.84)]
    outline = fur(curve(points, 9), a.tufts, a.rng)
    saddle = np.array([(0.3, -1.2), (-0.7, -1.2), (-0.7, 0.2), (-0.2, 0.05), (-0.1, -0.3), (0.02, -0.52), (0.12, -0.74)])
    on.paint(outline, a.light, _coat(a, outline, saddle, saddle + (0.1, 0.06)), a.soft)
    _leg(on, a, [(0.18, -0.46), (0.19, -0.22), (0.2, -0.02)], [0.15, 0.1, 0.075], far=False)
    haunch = fur(curve(ellipse(-0.19, -0.19, 0.2, 0.19), 2), a.tufts * 0.6, a.rng)
    cap = Mark(ellipse(-0.24, -0.26, 0.2, 0.17), a.mid if a.wolf else a.dark)
    on.paint(haunch, mix(a.light, a.mid, 0.3), [cap], a.soft)
    on.paint(ellipse(-0.03, -0.03, 0.11, 0.036), a.light)
    return 0.18, -0.97


def facing(on: Layer, a: Animal) -> tuple[float, float]:
    """An animal that sits and faces the viewer; where its head belongs."""
    _tail(on, a, (-0.2, -0.1), low=True)
    for side in (-1, 1):
        haunch = fur(curve(ellipse(side * 0.2, -0.15, 0.15, 0.16), 2), a.tufts * 0.6, a.rng)
        on.paint(haunch, a.mid if a.wolf else a.dark, [Mark(ellipse(side * 0.2, 0.0, 0.2, 0.07), a.light)], a.soft)
        on.paint(ellipse(side * 0.24, -0.03, 0.085, 0.038), a.light)
    points = mirrored([(0.12, -0.84), (0.2, -0.66), (0.25, -0.42), (0.2, -0.14), (0.08, -0.06)])
    bib = mirrored([(0.1, -0.9), (0.15, -0.62), (0.16, -0.4), (0.17, 0.1)])
    if a.wolf:
        bib = fur(curve(bib * (0.8, 1)), a.tufts, a.rng)
    on.paint(fur(curve(points, 9), a.tufts, a.rng), a.mid if a.wolf else a.dark, [Mark(curve(bib), a.light)], a.soft)
    for side in (-1, 1):
        front = limb([(side * 0.1, -0.4), (side * 0.1, -0.2), (side * 0.1, -0.02)], [0.13, 0.1, 0.09])
        on.paint(front, mix(a.light, a.mid, 0.12 if a.wolf else 0.03))
        on.paint(ellipse(side * 0.105, -0.03, 0.07, 0.04), a.light)
    on.paint(limb([(0, -0.36), (0, -0.06)], [0.012, 0.02]), mix(a.light, a.far(a.mid), 0.7))
    return 0.0, -0.93


BODIES: dict[str, Callable[[Layer, Animal], tuple[float, float]]] = {
    "stand": lambda on, a: standing(on, a, between(a.rng, -0.03, 0.03)),
    "walk": lambda on, a: standing(on, a, between(a.rng, 0.08, 0.15)),
    "sit": sitting,
    "facing": facing,
}
"""How an animal holds itself; each draws the body and returns where the head belongs."""
