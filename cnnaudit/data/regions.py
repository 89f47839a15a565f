"""Which pixels of a picture show what is in front, and which the background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The marked parts of some pictures: one subject each, before one background.

    Attributes:
        masks: where the subject is, eight pixels of a row in a byte.
        width: of the pictures.
        subjects, backgrounds: what they are, a name a picture.
        common: what all subjects are, such as "animal".
    """

    masks: UInt8[np.ndarray, "n h b"]
    width: int
    subjects: tuple[str, ...]
    backgrounds: tuple[str, ...]
    common: str

    @classmethod
    def of(
        cls, masks: Sequence[Bool[np.ndarray, "h w"]], subjects: Sequence[str], backgrounds: Sequence[str], common: str
    ) -> "Regions":
        """From a mask a picture, all of one size."""
        packed = np.stack([np.packbits(mask, axis=1) for mask in masks])
        return cls(packed, masks[0].shape[1], tuple(subjects), tuple(backgrounds), common)

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.masks.shape[1], self.width

    def mask(self, index: int) -> Bool[np.ndarray, "h w"]:
        """Where the subject of picture `index` is."""
        return np.unpackbits(self.masks[index], axis=1, count=self.width).astype(bool)
