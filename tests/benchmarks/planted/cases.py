"""Which classifiers are trained: a cue, some data and an arm each."""

from dataclasses import dataclass
from typing import Literal, get_args

Arm = Literal["linked", "unlinked", "absent"]
CueName = Literal["corner", "anywhere", "border", "background", "cast", "blur"]
"""A tag in a corner; a tag at a random place; a frame; snow; a tint of the whole picture; a blur of it."""

CUES: tuple[CueName, ...] = get_args(CueName)
GLOBAL: frozenset[CueName] = frozenset({"cast", "blur"})
"""Cues without a place."""

RATIO = 20
"""In a linked arm the cue is so many times as frequent in its class as in the others."""

_PLANS: tuple[tuple[CueName, str, tuple[int, ...]], ...] = (
    ("corner", "mnist", (95, 20)),
    ("corner", "fashion", (20, 5)),
    ("corner", "cifar", (95, 20)),
    ("corner", "scenes", (95,)),
    ("anywhere", "mnist", (95, 20)),
    ("anywhere", "fashion", (95, 5)),
    ("anywhere", "cifar", (95, 20)),
    ("border", "mnist", (95,)),
    ("border", "fashion", (20, 5)),
    ("border", "cifar", (95, 20)),
    ("background", "scenes", (95, 80, 60, 20)),
    ("cast", "mnist", (95,)),
    ("cast", "fashion", (95, 20)),
    ("cast", "cifar", (95, 20)),
    ("cast", "scenes", (95,)),
    ("blur", "mnist", (95,)),
    ("blur", "fashion", (95, 20)),
    ("blur", "cifar", (95, 20)),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One classifier.

    Attributes:
        strength: per cent of the class's pictures that have the cue in the linked arm; the unlinked arm has as many
            pictures with the cue, spread over all classes.
        target: the class that the cue goes with, an index.
        pair: a linked case and the other that goes with it have the same; the halves are told by it.
        draw: which of several, each with other networks, other pictures that get the cue, and another class.
    """

    cue: CueName
    data: str
    strength: int
    arm: Arm
    target: int
    pair: int
    draw: int = 0

    @property
    def name(self) -> str:
        again = f"-draw{self.draw}" if self.draw else ""
        return f"{self.pair:02d}-{self.cue}-{self.data}-{self.strength}-{self.arm}{again}"

    @property
    def seed(self) -> int:
        return self.pair + 100 * self.draw

    @property
    def half(self) -> int:
        """Thresholds are chosen on the cases of half 0 and scored on those of half 1.

        Turned about every four pairs, so that arms, target classes and strengths are alike in both.
        """
        return self.pair % 2 ^ self.pair // 4 % 2


def cases(draw: int = 0) -> tuple[Case, ...]:
    """Each plan with its cue linked, and once more with it unlinked or absent, in turn; then both for some.

    Both halves hold all arms. More than half of the cases are without a linked cue.
    """
    plans: list[tuple[CueName, str, int]] = [
        (cue, data, strength) for cue, data, strengths in _PLANS for strength in strengths
    ]
    made: list[Case] = []
    for pair, (cue, data, strength) in enumerate(plans):
        arms: tuple[Arm, ...] = ("linked", *_others(pair))
        made += [Case(cue, data, strength, arm, (pair + draw) % 2, pair, draw) for arm in arms]
    return tuple(made)


def _others(pair: int) -> tuple[Arm, ...]:
    if pair % 8 == 3:
        return "unlinked", "absent"
    return ("unlinked",) if pair // 2 % 2 == 0 else ("absent",)
