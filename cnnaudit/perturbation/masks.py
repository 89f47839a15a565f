"""Which parts of a picture each of its copies keeps: by segment, by window, or by a coarse grid made smooth."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cnnaudit.errors import OptionError


class Masks(Protocol):
    """Masks of one size, painted a batch at a time, so that all of them never exist at once."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of each mask."""
        ...

    def __len__(self) -> int: ...

    def paint(self, start: int, stop: int, out: Float[Tensor, "n h w"]) -> None:
        """Write the masks from `start` up to `stop`: 1 where the picture is kept, 0 where the fill is seen."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Copies that show some segments of the picture and hide the others.

    Attributes:
        regions: which segment each pixel belongs to, 0 to K-1, on any device.
        shown: a row for each copy, a column for each segment.

    Raises:
        OptionError: a pixel belongs to a segment that has no column.
    """

    regions: Int[Tensor, "h w"]
    shown: Bool[Tensor, "n k"]

    def __post_init__(self) -> None:
        low, high, columns = int(self.regions.min()), int(self.regions.max()), self.shown.shape[1]
        if low < 0 or high >= columns:
            raise OptionError(
                f"The segments are numbered {low} to {high}, and the masks have {columns} columns; "
                "number them from 0 without a gap."
            )

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.regions.shape
        return height, width

    def __len__(self) -> int:
        return len(self.shown)

    def paint(self, start: int, stop: int, out: Tensor) -> None:
        shown = self.shown[start:stop].to(out.device, out.dtype)
        index = self.regions.to(out.device, torch.int64).reshape(1, -1).expand(len(shown), -1)
        torch.gather(shown, 1, index, out=out.view(len(shown), -1))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Copies that hide one rectangle each.

    Attributes:
        edges: top, bottom, left and right of each, in pixels; the bottom row and the right column
            are the first that stay. An empty one hides nothing.
    """

    edges: Int[Tensor, "n 4"]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.edges)

    def paint(self, start: int, stop: int, out: Tensor) -> None:
        top, bottom, left, right = self.edges[start:stop].to(out.device)[:, :, None].unbind(1)
        down, across = (torch.arange(side, device=out.device) for side in self.size)
        rows = ((top <= down) & (down < bottom)).to(out.dtype)
        columns = ((left <= across) & (across < right)).to(out.dtype)
        one = torch.ones((), dtype=out.dtype, device=out.device)
        torch.addcmul(one, rows[:, :, None], columns[:, None, :], value=-1, out=out)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Copies that keep a smooth part: a few values a copy, enlarged bilinearly to the picture's size.

    Attributes:
        cells: a small map for each copy, float32, in [0, 1] unless `stretched`.
        size: height and width of the picture.
        shifts: how many pixels (down, right) each enlarged map is moved; it is then made larger than
            the picture by one cell, and the picture's part of it cut out (Petsiuk et al. 2018, section 3.2).
        corners: whether the outermost values lie on the picture's outermost pixels, not half a cell further in.
        stretched: whether each enlarged map is stretched to run from 0 to 1; a constant one becomes 0.
    """

    cells: Float[Tensor, "n u v"]
    size: tuple[int, int]
    shifts: Int[Tensor, "n 2"] | None = None
    corners: bool = False
    stretched: bool = False

    def __len__(self) -> int:
        return len(self.cells)

    def part(self, start: int, stop: int) -> "Grid":
        """The masks from `start` up to `stop`."""
        shifts = None if self.shifts is None else self.shifts[start:stop]
        return replace(self, cells=self.cells[start:stop], shifts=shifts)

    def paint(self, start: int, stop: int, out: Tensor) -> None:
        cells = self.cells[start:stop].to(out.device, torch.float32)
        rows, columns = (self._weights(axis, start, stop).to(out.device) for axis in (0, 1))
        masks = rows @ (cells @ columns.mT)
        if self.stretched:
            low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
            masks = torch.where(high > low, (masks - low) / (high - low), 0.0)
        out.copy_(masks)

    def _weights(self, axis: int, start: int, stop: int) -> Tensor:
        """How much each of the cells counts for each pixel along one axis, `n pixels cells`."""
        side, count = self.size[axis], self.cells.shape[axis + 1]
        if self.shifts is None:
            return _linear(count, side, self.corners)[None]
        wide = _linear(count, cell_side(side, count) * (count + 1), self.corners)
        return wide.unfold(0, side, 1)[self.shifts[start:stop, axis].cpu()].mT


def cell_side(side: int, cells: int) -> int:
    """Pixels that a cell covers along one axis: the least with which the cells cover it all."""
    return -(-side // cells)


def _linear(cells: int, pixels: int, corners: bool) -> Float[Tensor, "pixels cells"]:
    """The weights of linear interpolation along one axis."""
    each = torch.eye(cells, dtype=torch.float32, device="cpu")[None]
    return F.interpolate(each, size=pixels, mode="linear", align_corners=corners)[0].T.contiguous()
