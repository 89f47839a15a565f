"""Heads of huskies and wolves, from the front and from the side, in units of the head's radius."""

import numpy as np

from cnnaudit.data._animals import INK, Animal
from cnnaudit.data._drawing import Colour, Layer, Mark, Points, curve, ellipse, fur, mirrored, mix, moved

_TONGUE: Colour = (226, 112, 122)

# fmt: off
_HUSKY_SKULL = (
    (0.0, -0.94), (0.52, -0.86), (0.92, -0.42), (1.08, 0.1), (0.96, 0.54), (0.5, 0.84), (0.0, 0.98),
)
_MASK = (
    (0.07, -0.58), (0.12, -0.3), (0.2, -0.36), (0.42, -0.6), (0.68, -0.46), (0.72, -0.16), (0.86, 0.12),
    (1.2, 0.4), (0.9, 1.3), (0.2, 1.3),
)
_WOLF_SKULL = (
    (0.0, -0.84), (0.52, -0.8), (0.9, -0.4), (1.14, 0.16), (1.16, 0.56), (0.7, 0.74), (0.34, 1.1), (0.0, 1.24),
)
# fmt: on


class _Head:
    """Places shapes given in head radii: turned, moved to the neck, painted on the animal's layer."""

    def __init__(self, on: Layer, a: Animal, at: tuple[float, float], turn: float) -> None:
        self.on, self.a = on, a
        self._at = np.asarray(at)
        cos, sin = np.cos(turn), np.sin(turn)
        self._matrix = a.head * np.array([[cos, -sin], [sin, cos]])

    def put(self, points: np.ndarray) -> np.ndarray:
        return points @ self._matrix + self._at

    def paint(self, outline: np.ndarray, colour: Colour, marks: list[Mark] | None = None, soft: float = 0) -> None:
        placed = [Mark(self.put(mark.outline), mark.colour) for mark in marks or ()]
        self.on.paint(self.put(outline), colour, placed, soft)


def _sided(points: Points, side: int) -> np.ndarray:
    return np.asarray(points, float) * (side, 1)


def from_front(on: Layer, a: Animal, at: tuple[float, float], turn: float) -> None:
    """A head that looks at the viewer, tilted by `turn` radians."""
    head = _Head(on, a, at, turn)
    (_wolf_front if a.wolf else _husky_front)(head)


def _ears_front(head: _Head, ear: Points, inner: Points, colour: Colour, lining: Colour) -> None:
    for side in (-1, 1):
        head.paint(curve(_sided(ear, side), 4), colour, [Mark(curve(_sided(inner, side), 4), lining)])


def _husky_front(head: _Head) -> None:
    a = head.a
    ear = [(0.12, -0.7), (0.3, -1.2), (0.58, -1.62), (0.8, -1.1), (0.86, -0.4)]
    inner = [(0.36, -0.75), (0.44, -1.1), (0.58, -1.38), (0.68, -1.05), (0.7, -0.6)]
    _ears_front(head, ear, inner, a.dark, mix(a.light, (226, 170, 160), 0.45))
    stripe = mirrored([(0.1, -0.8), (0.11, -0.3), (0.08, 0.05), (0.03, 0.2)])
    marks = [Mark(mirrored(_MASK), a.face), Mark(stripe, a.dark)]
    head.paint(fur(curve(mirrored(_HUSKY_SKULL)), 0.07, a.rng), a.dark, marks, a.soft)
    for side in (-1, 1):
        _eye(head, side * 0.42, -0.08, 0.15, 0.13, side * -0.12)
    _muzzle_front(head, 0.42, 0.46, mix(a.face, a.light, 0.5))


def _wolf_front(head: _Head) -> None:
    a = head.a
    ear = [(0.3, -0.66), (0.6, -1.1), (1.02, -1.48), (1.14, -0.95), (1.02, -0.3)]
    inner = [(0.52, -0.7), (0.72, -1.0), (0.98, -1.26), (1.02, -0.9), (0.92, -0.5)]
    _ears_front(head, ear, inner, mix(a.dark, a.mid, 0.3), mix(a.light, a.dark, 0.4))
    brow = mirrored([(0.0, -1.0), (0.8, -1.0), (0.8, -0.4), (0.5, -0.24), (0.22, 0.0), (0.16, 0.4), (0.0, 0.5)])
    marks = [Mark(brow, a.dark)]
    for side in (-1, 1):
        marks.append(Mark(ellipse(side * 0.78, 0.5, 0.42, 0.3, side * 0.5), a.face))
        marks.append(Mark(ellipse(side * 0.4, 0.72, 0.3, 0.5), a.face))
        marks.append(Mark(ellipse(side * 0.36, -0.36, 0.16, 0.09, side * -0.3), mix(a.mid, a.light, 0.6)))
    head.paint(fur(curve(mirrored(_WOLF_SKULL)), 0.12, a.rng), a.mid, marks, a.soft)
    for side in (-1, 1):
        _eye(head, side * 0.42, -0.08, 0.16, 0.1, side * -0.35)
    _muzzle_front(head, 0.36, 0.66, mix(a.face, a.mid, 0.1))


def _eye(head: _Head, x: float, y: float, rx: float, ry: float, slant: float) -> None:
    head.paint(ellipse(x, y, rx + 0.055, ry + 0.05, slant), INK)
    head.paint(ellipse(x, y, rx, ry, slant), head.a.eye)
    head.paint(ellipse(x, y, 0.07, 0.085), INK)
    head.paint(ellipse(x + 0.04, y - 0.05, 0.035, 0.035), (255, 255, 255))


def _muzzle_front(head: _Head, width: float, y: float, colour: Colour) -> None:
    a = head.a
    if a.tongue:
        head.paint(ellipse(0.03, y + 0.5, 0.15, 0.26), _TONGUE)
    bridge = [Mark(mirrored([(0.1, y - 0.6), (0.14, y - 0.2), (0.0, y)]), mix(a.dark, a.mid, 0.4))] if a.wolf else []
    head.paint(curve(ellipse(0, y, width, 0.36), 2), colour, bridge, a.soft)
    shade = mix(colour, INK, 0.75)
    head.paint(np.array([(-0.03, y), (0.03, y), (0.03, y + 0.2), (-0.03, y + 0.2)]), shade)
    for side in (-1, 1):
        lip = [(0, y + 0.17), (side * 0.24, y + 0.24), (side * 0.3, y + 0.15), (side * 0.22, y + 0.31), (0, y + 0.25)]
        head.paint(np.asarray(lip), shade)
    head.paint(curve([(-0.19, y - 0.2), (0.19, y - 0.2), (0.13, y), (0, y + 0.08), (-0.13, y)], 4), INK)
    head.paint(ellipse(-0.05, y - 0.14, 0.06, 0.03), mix(INK, (255, 255, 255), 0.4))


def from_side(on: Layer, a: Animal, at: tuple[float, float], turn: float, *, howling: bool) -> None:
    """A head in profile, raised by `turn` radians."""
    head = _Head(on, a, at, turn)
    long = 1.78 if a.wolf else 1.42
    back = 0.0 if a.wolf else 0.06
    for far in (True, False):
        _ear_side(head, far)
    skull = [(-0.95, 0.05), (-0.72, -0.55), (-0.22, -0.88), (0.28, -0.8 - back), (0.62, -0.46), (0.9, -0.3)]
    skull += [(long - 0.2, -0.2), (long, 0.0), (long - 0.08, 0.24), (long - 0.5, 0.4), (0.5, 0.62)]
    skull += [(0.05, 0.9), (-0.55, 0.85)]
    top = [(-1.4, 0.3), (-1.2, -1.3), (0.5, -1.3), (long + 0.2, -0.3), (long + 0.1, -0.06), (0.85, -0.06)]
    top += [(0.5, -0.02)]
    if howling:
        _jaw(head, long)
    if a.wolf:
        top += [(0.2, 0.1), (-0.3, 0.2)]
        marks = [Mark(moved(top, 0, 0.12), a.mid), Mark(moved(top, -0.1, -0.28), a.dark)]
        head.paint(fur(curve(skull), 0.1, a.rng), a.face, marks, a.soft)
    else:
        top += [(0.34, 0.16), (0.1, -0.14), (-0.34, -0.1), (-0.5, 0.4)]
        marks = [Mark(np.asarray(top), a.dark), Mark(ellipse(0.44, -0.5, 0.14, 0.09, 0.4), a.light)]
        head.paint(fur(curve(skull), 0.06, a.rng), a.face, marks, a.soft)
    if howling:
        head.paint(ellipse(0.44, -0.2, 0.16, 0.035, 0.2), INK)
    else:
        _eye(head, 0.42, -0.2, 0.12, 0.1 if not a.wolf else 0.085, 0.3)
        mouth = [(long - 0.12, 0.2), (long - 0.6, 0.3), (0.55, 0.26), (long - 0.6, 0.37)]
        head.paint(np.asarray(mouth), mix(a.light, INK, 0.75))
    head.paint(curve(ellipse(long - 0.04, -0.04, 0.15, 0.13), 2), INK)


def _jaw(head: _Head, long: float) -> None:
    jaw = [(0.3, 0.3), (long - 0.45, 0.56), (long - 0.3, 0.72), (long - 0.5, 0.8), (0.2, 0.8)]
    head.paint(curve(jaw, 4), head.a.light)
    head.paint(np.asarray([(0.4, 0.3), (long - 0.4, 0.3), (long - 0.36, 0.62)]), (120, 52, 58))


def _ear_side(head: _Head, far: bool) -> None:
    a = head.a
    lean, tip = (-0.46, -1.36) if a.wolf else (-0.3, -1.56)
    ear = [(-0.62, -0.5), (lean - 0.22, -1.0), (lean, tip), (lean + 0.3, -1.05), (0.08, -0.7)]
    colour = mix(a.dark, a.mid, 0.3) if a.wolf else a.dark
    if far:
        head.paint(curve(moved(ear, 0.3, 0), 4), a.far(colour))
        return
    inner = moved(np.asarray(ear) * (0.62, 0.8), -0.02, -0.16)
    head.paint(curve(ear, 4), colour, [Mark(curve(inner, 4), mix(a.light, colour, 0.35))])
