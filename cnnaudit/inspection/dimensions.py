"""Dimensions of tensors as products of factors, each of which moves what an element sees by an even step."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from cnnaudit.errors import LayerError


class Factor(NamedTuple):
    """`size` steps, each of which moves the field by `jump` pixels (down, right)."""

    size: int
    jump: tuple[int, int] = (0, 0)

    @property
    def moves(self) -> bool:
        """Whether it matters which step an element is at."""
        return self.jump != (0, 0)


Dimension = tuple[Factor, ...]
"""Its factors, the slowest first; none where the dimension has one place and nothing depends on it."""


def still(size: int) -> Dimension:
    """A dimension on which nothing depends."""
    return (Factor(size),) if size > 1 else ()


def length(dimension: Dimension) -> int:
    """How many places it has."""
    return math.prod(factor.size for factor in dimension)


def merged(factors: Sequence[Factor]) -> Dimension:
    """Neighbours that step evenly, as one."""
    done: list[Factor] = []
    for factor in factors:
        if done and done[-1].jump == times(factor.jump, factor.size):
            factor = Factor(done.pop().size * factor.size, factor.jump)
        done.append(factor)
    return tuple(done)


def aligned(one: Dimension, two: Dimension) -> tuple[Dimension, Dimension]:
    """The same dimension of two tensors, with factors of the same sizes.

    Raises:
        LayerError: both move, in unlike steps.
    """
    for a, b in ((one, two), (merged(one), merged(two))):
        if [f.size for f in a] == [f.size for f in b]:
            return a, b
        if not any(f.moves for f in b):
            return a, tuple(Factor(f.size) for f in a)
        if not any(f.moves for f in a):
            return tuple(Factor(f.size) for f in b), b
    raise LayerError("it joins maps whose positions lie on different grids")


def regrouped(factors: Sequence[Factor], sizes: Sequence[int]) -> list[Dimension]:
    """Factors dealt out to dimensions of these sizes, cut where a boundary falls within one.

    Raises:
        LayerError: a boundary falls where a factor cannot be cut.
    """
    rest = list(reversed(merged([factor for factor in factors if factor.size > 1])))
    dimensions: list[Dimension] = []
    for size in sizes:
        taken: list[Factor] = []
        while (wanted := size // length(tuple(taken))) > 1:
            factor = rest.pop()
            if factor.size > wanted:
                factor, inner = _cut(factor, wanted)
                rest.append(inner)
            elif wanted % factor.size:
                raise LayerError("positions of the picture are regrouped unevenly")
            taken.append(factor)
        dimensions.append(tuple(taken))
    return dimensions


def times(jump: tuple[int, int], steps: int) -> tuple[int, int]:
    """So many steps at once."""
    return steps * jump[0], steps * jump[1]


def _cut(factor: Factor, outer: int) -> tuple[Factor, Factor]:
    if factor.size % outer:
        raise LayerError("positions of the picture are regrouped unevenly")
    inner = factor.size // outer
    return Factor(outer, times(factor.jump, inner)), Factor(inner, factor.jump)
