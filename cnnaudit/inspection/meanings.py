"""What patches show, told by the parts that are marked in the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from cnnaudit.data.regions import Regions
from cnnaudit.data.splits import Dataset, Split
from cnnaudit.inspection.extents import extent_of
from cnnaudit.inspection.photo_sets import Photos
from cnnaudit.results import Meaning, ReceptiveField
from cnnaudit.training.metrics import share

_DRAWN = 1000
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The marked parts of pictures, and how often patches of one layer show each by chance.

    A patch shows the part that most pixels are of in its middle, half as high and half as wide: a position looks
    far more at these than at the others (Luo et al., NeurIPS 2016, arXiv 1701.04128).

    Attributes:
        field: this middle of what a position sees.
        chances: of each part.
    """

    regions: Regions
    field: ReceptiveField
    chances: dict[str, float]

    def of(self, patches: Sequence[tuple[int, tuple[int, ...]]]) -> Meaning | None:
        """The part that most of these patches show: picture and position of each. None where there is no patch.

        Where no subject is sure by itself, what all subjects have in common may be.
        """
        shown = [_part(self.regions, index, self.field, position) for index, position in patches]
        if not shown:
            return None
        frequent = max(dict.fromkeys(shown), key=shown.count)
        meaning = self._meaning(frequent, shown.count(frequent), len(shown))
        together = sum(part in self.regions.subjects for part in shown)
        if meaning.is_sure or together <= meaning.patches.right:
            return meaning
        return self._meaning(self.regions.common, together, len(shown))

    def _meaning(self, part: str, count: int, n: int) -> Meaning:
        patches, chance = share(count, n), self.chances.get(part, 0.0)
        return Meaning(part, patches, chance, patches.low > max(0.5, chance))


@dataclass(frozen=True, slots=True, eq=False)
class Meanings:
    """The marked parts of a set of pictures."""

    regions: Regions

    @classmethod
    def of(cls, photos: Photos, size: tuple[int, int]) -> "Meanings | None":
        """Those of a set of pictures of this size; None where nothing is marked in them."""
        part = next(iter(photos.tests.values())) if isinstance(photos, Dataset) and photos.tests else photos
        regions = part.regions if isinstance(part, Split) else None
        return cls(regions) if regions is not None and regions.shape == size else None

    def for_layer(self, field: ReceptiveField | None, grid: Sequence[int]) -> Parts | None:
        """With the chances of patches of this field at positions of such a grid; None for whole pictures."""
        if field is None or field.jump == (0.0, 0.0):
            return None
        middle = replace(field, size=((field.size[0] + 1) // 2, (field.size[1] + 1) // 2))
        rng = torch.Generator().manual_seed(_SEED)
        ends = (len(self.regions), *(grid or (1,)))
        draws = torch.stack([torch.randint(end, (_DRAWN,), generator=rng) for end in ends], 1).tolist()
        shown = [_part(self.regions, index, middle, at) for index, *at in draws]
        chances = {part: shown.count(part) / _DRAWN for part in set(shown)}
        subjects = sum(chances.get(part, 0.0) for part in set(self.regions.subjects))
        return Parts(self.regions, middle, chances | {self.regions.common: subjects})


def _part(regions: Regions, index: int, field: ReceptiveField, position: Sequence[int]) -> str:
    top, left, bottom, right = extent_of(field, position or (0,), regions.shape)
    inside = regions.mask(index)[top : bottom + 1, left : right + 1]
    return regions.subjects[index] if 2 * int(inside.sum()) > inside.size else regions.backgrounds[index]
