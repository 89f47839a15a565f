"""How huskies and wolves stand, walk and sit.

One unit is about an animal's height at the shoulder; (0, 0) is the ground below its middle, y grows
downwards, and it faces right.
"""

from collections.abc import Callable

import numpy as np

from cnnaudit.data._animals import Animal
from cnnaudit.data._drawing import Layer, Mark, Points, between, curve, ellipse, fur, limb, mirrored, mix, moved

# fmt: off
_TORSO = (
    (0.25, -0.94), (0.1, -0.73), (-0.12, -0.675), (-0.36, -0.675), (-0.475, -0.57), (-0.475, -0.43),
    (-0.38, -0.33), (-0.08, -0.29), (0.2, -0.23), (0.4, -0.34), (0.51, -0.56), (0.6, -0.8),
)
_SADDLE = (
    (0.6, -1.3), (-0.7, -1.3), (-0.75, -0.3), (-0.42, -0.33), (-0.1, -0.45), (0.2, -0.42), (0.34, -0.7),
)
_SITTING_TORSO = (
    (0.0, -0.86), (-0.14, -0.66), (-0.32, -0.4), (-0.42, -0.14), (-0.3, -0.01), (0.0, -0.02),
    (0.14, -0.2), (0.27, -0.36), (0.34, -0.6), (0.33, -0.84),
)
_SITTING_SADDLE = (
    (0.3, -1.2), (-0.7, -1.2), (-0.7, 0.2), (-0.2, 0.05), (-0.1, -0.3), (0.02, -0.52), (0.12, -0.74),
)
_FRONT_LEG = ((0.27, -0.46), (0.25, -0.28), (0.27, -0.14), (0.27, -0.02))
_HIND_LEG = ((-0.33, -0.48), (-0.27, -0.3), (-0.4, -0.17), (-0.36, -0.02))
# fmt: on


def _leg(on: Layer, a: Animal, spine: Points, widths: list[float], *, far: bool) -> None:
    tint = a.far if far else (lambda colour: mix(colour, a.mid, 0.1))
    on.paint(limb(spine, widths), tint(mix(a.light, a.mid, 0.3) if a.banded else a.light))
    on.paint(ellipse(spine[-1][0] + 0.03, spine[-1][1] - 0.012, 0.066, 0.036), tint(a.light))


def _swung(spine: Points, swing: float, legs: float) -> list[tuple[float, float]]:
    """The leg turned about its top by `swing`, its foot back on the ground."""
    top = spine[0]
    reach = [(x + swing * (y - top[1]) / -top[1], y) for x, y in spine]
    return [(x, y * legs) if i else (x, y * legs - 0.02) for i, (x, y) in enumerate(reach)]


def _coat(a: Animal, saddle: np.ndarray, flank: np.ndarray) -> list[Mark]:
    """Saddle above, underside below, a flank between if the animal has one."""
    if not a.banded:
        return [Mark(fur(curve(saddle, 9), a.tufts * 0.6, a.rng), a.dark)]
    return [
        Mark(fur(curve(flank, 9), a.tufts * 1.4, a.rng), a.mid),
        Mark(fur(curve(moved(saddle, 0, -0.09), 9), a.tufts * 1.6, a.rng), a.dark),
    ]


def _tail(on: Layer, a: Animal, base: tuple[float, float], *, low: bool) -> None:
    """Curled over the back, or hanging; on the ground (`low`) when the animal sits."""
    x, y = base
    if a.curled:
        _curled_tail(on, a, x, y)
        return
    lift = between(a.rng, -0.05, 0.14)
    if low:
        spine = [(x, y), (x - 0.17, y + 0.03), (x - 0.33, y), (x - 0.48, y - 0.03)]
    else:
        spine = [(x, y), (x - 0.13, y + 0.09), (x - 0.2 - lift, y + 0.28), (x - 0.2 - 1.8 * lift, y + 0.46 - lift)]
    outline = fur(limb(spine, [0.09, 0.15, 0.16, 0.03]), a.tufts * 1.3, a.rng)
    on.paint(outline, mix(a.mid, a.dark, 0.35), [Mark(ellipse(*spine[-1], 0.13, 0.13), a.tip)], a.soft)


def _curled_tail(on: Layer, a: Animal, x: float, y: float) -> None:
    curl = between(a.rng, -0.04, 0.06)
    spine = [(x, y), (x - 0.13, y - 0.1), (x - 0.11, y - 0.27)]
    spine += [(x + 0.06 + curl, y - 0.31), (x + 0.14 + curl, y - 0.17)]
    outline = fur(limb(spine, [0.09, 0.17, 0.2, 0.19, 0.08]), a.tufts * 1.3, a.rng)
    inner = limb(moved(spine, 0.035, 0.03), [0.02, 0.06, 0.09, 0.12, 0.08])
    on.paint(outline, a.dark, [Mark(inner, a.light), Mark(ellipse(*spine[-1], 0.09, 0.09), a.tip)], a.soft)


def _torso(on: Layer, a: Animal, drop: float) -> None:
    outline = fur(curve(moved(_TORSO, 0, -drop), 9), a.tufts, a.rng)
    saddle, flank = moved(_SADDLE, 0, -drop), moved(moved(_SADDLE, 0.04, 0.08), 0, -drop)
    on.paint(outline, a.light, _coat(a, saddle, flank), a.soft)


def standing(on: Layer, a: Animal, stride: float) -> tuple[float, float]:
    """Legs, tail and body of a standing or (`stride` > 0) walking animal; where its head belongs."""
    drop = (a.legs - 1) * 0.3
    for far in (True, False):
        sign = 1 if far else -1
        shift = 0.07 if far else 0.0
        front, hind = moved(_FRONT_LEG, shift, 0), moved(_HIND_LEG, shift, 0)
        if not far:
            _tail(on, a, (-0.44, -0.6 - drop), low=False)
        _leg(on, a, _swung(hind, -sign * stride, a.legs), [0.25, 0.13, 0.07, 0.075], far=far)
        _leg(on, a, _swung(front, sign * stride, a.legs), [0.16, 0.1, 0.07, 0.075], far=far)
    _torso(on, a, drop)
    return 0.47, -0.95 - drop


def sitting(on: Layer, a: Animal) -> tuple[float, float]:
    """A sitting animal from the side; where its head belongs."""
    _tail(on, a, (-0.36, -0.08), low=True)
    _leg(on, a, [(0.26, -0.42), (0.27, -0.2), (0.28, -0.02)], [0.13, 0.09, 0.075], far=True)
    outline = fur(curve(_SITTING_TORSO, 9), a.tufts, a.rng)
    on.paint(outline, a.light, _coat(a, moved(_SITTING_SADDLE, 0, 0), moved(_SITTING_SADDLE, 0.1, 0.06)), a.soft)
    _leg(on, a, [(0.18, -0.46), (0.19, -0.22), (0.2, -0.02)], [0.15, 0.1, 0.075], far=False)
    haunch = fur(curve(ellipse(-0.19, -0.19, 0.2, 0.19), 2), a.tufts * 0.6, a.rng)
    cap = Mark(ellipse(-0.24, -0.26, 0.2, 0.17), a.mid if a.banded else a.dark)
    on.paint(haunch, mix(a.light, a.mid, 0.3), [cap], a.soft)
    on.paint(ellipse(-0.03, -0.03, 0.11, 0.036), a.light)
    return 0.18, -0.97


def facing(on: Layer, a: Animal) -> tuple[float, float]:
    """An animal that sits and faces the viewer; where its head belongs."""
    _tail(on, a, (-0.2, -0.1), low=True)
    for side in (-1, 1):
        haunch = fur(curve(ellipse(side * 0.2, -0.15, 0.15, 0.16), 2), a.tufts * 0.6, a.rng)
        on.paint(haunch, a.mid if a.banded else a.dark, [Mark(ellipse(side * 0.2, 0.0, 0.2, 0.07), a.light)], a.soft)
        on.paint(ellipse(side * 0.24, -0.03, 0.085, 0.038), a.light)
    points = mirrored([(0.12, -0.84), (0.2, -0.66), (0.25, -0.42), (0.2, -0.14), (0.08, -0.06)])
    bib = mirrored([(0.1, -0.9), (0.15, -0.62), (0.16, -0.4), (0.17, 0.1)])
    if a.banded:
        bib = fur(curve(bib * (0.8, 1)), a.tufts, a.rng)
    on.paint(fur(curve(points, 9), a.tufts, a.rng), a.mid if a.banded else a.dark, [Mark(curve(bib), a.light)], a.soft)
    for side in (-1, 1):
        front = limb([(side * 0.1, -0.4), (side * 0.1, -0.2), (side * 0.1, -0.02)], [0.13, 0.1, 0.09])
        on.paint(front, mix(a.light, a.mid, 0.12 if a.banded else 0.03))
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
