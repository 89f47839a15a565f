"""What a husky and a wolf look like: coats, markings, proportions, and how much of it they share."""

from dataclasses import dataclass

import numpy as np

from cnnaudit.data._drawing import Colour, between, mix, vary

INK: Colour = (30, 27, 30)
"""Of noses, pupils and the tips of tails."""

_COATS: tuple[Colour, ...] = ((62, 62, 68), (104, 106, 114), (124, 112, 98), (90, 80, 72), (132, 114, 92))
"""Back colours that both have; each has two of its own."""
_HUSKY_COATS: tuple[Colour, ...] = ((46, 48, 58), (150, 98, 64))
_WOLF_COATS: tuple[Colour, ...] = ((122, 122, 126), (142, 120, 94))
_WHITE: Colour = (246, 245, 243)
_CREAM: Colour = (222, 208, 184)

_BLUE: Colour = (92, 176, 232)
_BROWN: Colour = (126, 84, 48)
_AMBER: Colour = (236, 178, 52)


@dataclass(frozen=True, slots=True)
class Animal:
    """One animal's looks; `dark` is its back, `light` its underside, `mid` lies between.

    Attributes:
        wolf: whether its head is a wolf's: long muzzle, wide-set ears, a face without a mask.
        face: the light of its face.
        soft: how far its markings run into each other, in units.
        banded: whether a flank of `mid` lies between back and underside.
        curled: whether it carries its tail over its back.
        tip: of the tail.
        legs: length of the legs against the usual.
        head: radius of the head.
        tufts: how far its fur stands out, in units.
    """

    wolf: bool
    dark: Colour
    mid: Colour
    light: Colour
    face: Colour
    eye: Colour
    tip: Colour
    soft: float
    banded: bool
    curled: bool
    legs: float
    head: float
    tufts: float
    tongue: bool
    rng: np.random.Generator

    def far(self, colour: Colour) -> Colour:
        """The colour of a limb on the far side: in the animal's own shade."""
        return mix(colour, (44, 46, 62), 0.3)


def husky(rng: np.random.Generator) -> Animal:
    """A husky: white mask, close-set pointed ears, short muzzle; mostly a curled tail and blue eyes."""
    dark = vary(_pick(rng, _COATS + _HUSKY_COATS), 0.12, rng)
    light = mix(_WHITE, _CREAM, between(rng, 0, 0.7))
    mid = mix(dark, light, between(rng, 0.25, 0.45))
    return Animal(
        wolf=False,
        dark=dark,
        mid=mid,
        light=light,
        face=mix(light, mid, between(rng, 0, 0.3)),
        eye=_pick(rng, (_BLUE, _BLUE, _BLUE, _BROWN, _BROWN, _AMBER)),
        tip=light,
        soft=between(rng, 0.006, 0.018),
        banded=bool(rng.random() < 0.3),
        curled=bool(rng.random() < 0.75),
        legs=between(rng, 0.96, 1.12),
        head=between(rng, 0.2, 0.222),
        tufts=between(rng, 0.009, 0.015),
        tongue=bool(rng.random() < 0.3),
        rng=rng,
    )


def wolf(rng: np.random.Generator) -> Animal:
    """A wolf: grizzled coat whose bands run into each other, amber eyes, wide-set ears, hanging tail."""
    dark = vary(_pick(rng, _COATS + _WOLF_COATS), 0.12, rng)
    light = mix(_WHITE, _CREAM, between(rng, 0.25, 1))
    mid = mix(dark, light, between(rng, 0.3, 0.5))
    return Animal(
        wolf=True,
        dark=dark,
        mid=mid,
        light=light,
        face=mix(light, mid, between(rng, 0, 0.2)),
        eye=_pick(rng, (_AMBER, _AMBER, _AMBER, _AMBER, _BROWN)),
        tip=mix(dark, INK, 0.5) if rng.random() < 0.7 else dark,
        soft=between(rng, 0.012, 0.026),
        banded=bool(rng.random() < 0.85),
        curled=False,
        legs=between(rng, 1.06, 1.22),
        head=between(rng, 0.188, 0.21),
        tufts=between(rng, 0.011, 0.018),
        tongue=bool(rng.random() < 0.15),
        rng=rng,
    )


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.random() * len(colours))]
