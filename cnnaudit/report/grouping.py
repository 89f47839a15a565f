"""Which maps are compared, and so share one scale: a method's maps of one picture, parts included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit.report.encoding import checked, display_limit
from cnnaudit.results import Explanation, MethodCard


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """The finite maps of one explanation, float64: the map itself and the parts it was made from.

    `unsettled` is where the sign of the map may be chance, bool, `h w`.
    """

    explanation: Explanation
    whole: np.ndarray
    parts: dict[str, np.ndarray]
    unsettled: np.ndarray | None

    @property
    def all(self) -> tuple[np.ndarray, ...]:
        """The map, then its parts."""
        return self.whole, *self.parts.values()


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One method's explanations of one picture, a target each, on a common scale.

    Attributes:
        limit: the value at which the colour saturates; 0 when every map is zero.
        signed: True when the scale runs from −limit to +limit.
    """

    method: MethodCard
    maps: tuple[Maps, ...]
    limit: float
    signed: bool


def groups(explanations: Sequence[Explanation]) -> Iterator[Group]:
    """The explanations by method, in the order in which the methods first appear.

    Raises:
        MethodError: a map holds a value that is not finite.
    """
    for method in dict.fromkeys(each.method for each in explanations):
        yield _group([_checked(each) for each in explanations if each.method == method])


def _group(maps: Sequence[Maps]) -> Group:
    method = maps[0].explanation.card
    pool = [values for each in maps for values in each.all]
    negative = any(values.min() < 0 for values in pool)
    return Group(method, tuple(maps), display_limit(pool), method.signed or negative)


def _checked(explanation: Explanation) -> Maps:
    where = f"{explanation.method} for {explanation.image.name}"
    parts = {name: checked(part, f"{where}, {name}") for name, part in explanation.parts.items()}
    unsettled = None if explanation.unsettled is None else explanation.unsettled.numpy()
    return Maps(explanation, checked(explanation.heatmap, where), parts, unsettled)
