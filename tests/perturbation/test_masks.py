"""Masks against pixels counted one by one, scikit-image and torch's own interpolation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.transform import resize
from torch import Tensor

from cnnaudit.errors import OptionError
from cnnaudit.perturbation import Grid, Masks, Segments, Windows, cell_side


def painted(masks: Masks, dtype: torch.dtype = torch.float32, start: int = 0, stop: int | None = None) -> Tensor:
    stop = len(masks) if stop is None else stop
    out = torch.full((stop - start, *masks.size), -7.0, dtype=dtype)
    masks.paint(start, stop, out)
    return out


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def segments() -> Segments:
    regions = torch.randint(0, 6, (9, 14), generator=generator())
    return Segments(regions, torch.rand(11, 6, generator=generator()) < 0.5)


def windows() -> Windows:
    edges = torch.tensor([[0, 0, 0, 0], [2, 5, 3, 9], [0, 9, 0, 14], [8, 9, 13, 14], [4, 4, 2, 9]])
    return Windows(edges, (9, 14))


def grid(**options: object) -> Grid:
    return Grid(torch.rand(7, 3, 4, generator=generator()), (9, 14), **options)  # type: ignore[arg-type]


def test_a_segments_pixels_are_shown_or_hidden_together() -> None:
    masks = segments()
    expected = [[[float(row[k]) for k in line] for line in masks.regions.tolist()] for row in masks.shown.tolist()]
    assert torch.equal(painted(masks), torch.tensor(expected))


def test_a_window_hides_its_pixels_and_no_others() -> None:
    masks = windows()
    expected = torch.ones(len(masks), 9, 14)
    for each, (top, bottom, left, right) in zip(expected, masks.edges.tolist(), strict=True):
        each[top:bottom, left:right] = 0
    assert torch.equal(painted(masks), expected)


@pytest.mark.parametrize("corners", [False, True])
def test_cells_are_enlarged_as_torch_does(corners: bool) -> None:
    masks = grid(corners=corners)
    expected = F.interpolate(masks.cells[None], size=(9, 14), mode="bilinear", align_corners=corners)[0]
    torch.testing.assert_close(painted(masks), expected)


def test_stretched_masks_run_from_0_to_1() -> None:
    masks = grid(corners=True, stretched=True)
    plain = painted(grid(corners=True))
    low, high = plain.amin((1, 2), keepdim=True), plain.amax((1, 2), keepdim=True)
    torch.testing.assert_close(painted(masks), (plain - low) / (high - low))
    constant = Grid(torch.full((2, 3, 3), 5.0), (9, 14), stretched=True)
    assert torch.equal(painted(constant), torch.zeros(2, 9, 14))


@pytest.mark.parametrize("size", [(9, 14), (12, 12), (224, 224), (7, 30)])
def test_shifted_cells_are_those_of_the_paper(size: tuple[int, int]) -> None:
    """Section 3.2: enlarged to (h + 1) C_H x (w + 1) C_W, and an area of H x W cut out."""
    cells = (torch.rand(5, 4, 3, generator=generator()) < 0.5).float()
    sides = [cell_side(size[0], 4), cell_side(size[1], 3)]
    shifts = torch.stack([torch.randint(0, side, (5,), generator=generator()) for side in sides], 1)
    shifts[0], shifts[1] = 0, torch.tensor(sides) - 1
    found = painted(Grid(cells, size, shifts))
    for mask, small, (down, right) in zip(found, cells, shifts.tolist(), strict=True):
        wide = resize(small.numpy(), (5 * sides[0], 4 * sides[1]), order=1, mode="edge", anti_aliasing=False)
        expected = wide[down : down + size[0], right : right + size[1]]
        np.testing.assert_allclose(mask.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("masks", [segments(), windows(), grid(), grid(shifts=torch.zeros(7, 2, dtype=torch.int64))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_any_part_in_any_type_is_that_part_of_all(masks: Masks, dtype: torch.dtype) -> None:
    torch.testing.assert_close(painted(masks, dtype, 2, 5), painted(masks)[2:5].to(dtype))
    assert torch.equal(painted(masks, dtype, 4, 5), painted(masks, dtype, 3, 5)[1:])


def test_part_of_a_grid_is_a_grid() -> None:
    masks = grid(shifts=torch.tensor([[i % 3, i % 4] for i in range(7)]))
    assert torch.equal(painted(masks.part(2, 5)), painted(masks)[2:5])
    assert torch.equal(painted(grid().part(5, 99)), painted(grid())[5:])


@pytest.mark.parametrize("lowest", [-1, 1])
def test_segments_without_a_column_are_refused(lowest: int) -> None:
    regions = torch.arange(6).view(2, 3) + lowest
    with pytest.raises(OptionError, match="number them from 0"):
        Segments(regions, torch.ones(4, 6, dtype=torch.bool))


@pytest.mark.parametrize(("side", "cells"), [(224, 7), (225, 7), (8, 8), (5, 4), (1, 1)])
def test_cells_cover_the_side(side: int, cells: int) -> None:
    assert cell_side(side, cells) * cells >= side > (cell_side(side, cells) - 1) * cells
