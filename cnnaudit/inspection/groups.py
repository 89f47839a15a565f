"""Which units of a layer are silenced together: those that fire on the same, or that help the same class."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cnnaudit.data.regions import Regions
from cnnaudit.inspection.silencing import Surveyed
from cnnaudit.results import Meaning

_HELPED = 4  # classes
_HELPERS = 32  # units, and at most an eighth of all
_SEED = 0


@dataclass(frozen=True, slots=True)
class Alike:
    """Units with something in common.

    Attributes:
        parts: what they fire on; empty where that is not what they have in common.
        helped: the class, by place, whose log-odds they raise.
    """

    units: tuple[int, ...]
    parts: tuple[str, ...] = ()
    helped: int | None = None


def by_part(meanings: Mapping[int, Meaning | None], regions: Regions) -> list[Alike]:
    """Units that surely fire on the same part of the pictures, then those on any background and on any subject.

    What one network has in a single unit, another has in many: without all that fire on the background it is seen
    what the subject alone is worth, and the other way round. All units of a layer, or a single one, are no group.
    """
    by_name: dict[str, list[int]] = {}
    for unit, meaning in sorted(meanings.items()):
        if meaning is not None and meaning.is_sure:
            by_name.setdefault(meaning.part, []).append(unit)
    found = [Alike(tuple(units), (part,)) for part, units in sorted(by_name.items())]
    for kind in (set(regions.backgrounds), {regions.common, *regions.subjects}):
        parts = tuple(sorted(kind & by_name.keys()))
        if len(parts) > 1:
            found.append(Alike(tuple(sorted(unit for part in parts for unit in by_name[part])), parts))
    return [each for each in found if 1 < len(each.units) < len(meanings)]


def by_class(surveyed: Surveyed) -> list[Alike]:
    """For some classes the units that help them most, by the estimates."""
    most = min(_HELPERS, max(2, len(surveyed.mean) // 8))
    helping = surveyed.helping(_HELPED, most)
    return [Alike(tuple(units), helped=k) for k, units in helping.items() if len(units) > 1]


def others(units: Collection[int], channels: int, place: int) -> tuple[int, ...] | None:
    """As many of a layer's other units, drawn at random; None where fewer are left.

    Args:
        place: of the group among all, so that not all are compared with the same ones.
    """
    left: Sequence[int] = [unit for unit in range(channels) if unit not in units]
    if len(left) < len(units):
        return None
    return tuple(sorted(random.Random(f"{_SEED}/{place}").sample(left, len(units))))
