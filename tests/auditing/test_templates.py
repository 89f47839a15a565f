"""Copies against windows at every place of a picture, scikit-image's template matching, and planted tags."""

import numpy as np
import pytest
import torch
from made_up import clouds
from skimage.feature import match_template
from tagged_pictures import tag, tagged

from cnnaudit.auditing.copies import Template, crops_of, templates
from cnnaudit.auditing.scenery import View
from cnnaudit.auditing.segments import segment

SAME = 0.06


def view(pixels: np.ndarray) -> View:
    labels = segment(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return View(pixels, labels, np.zeros_like(labels), np.ones(labels.shape, bool))


def views(pixels: torch.Tensor) -> list[View]:
    return [view(each) for each in pixels.numpy()]


def test_corners_are_where_a_window_differs_by_little() -> None:
    draw = np.random.default_rng(0)
    picture = clouds(1, size=20)[0].numpy()
    inside = draw.random((4, 5)) < 0.7
    template = Template(picture[:, 6:10, 8:13] + 0.02, inside)
    picture[:, 0:4, 15:20] = template.pixels + np.where(inside, 0.05, 0.9).astype(np.float32)
    expected = np.zeros((17, 16), bool)
    for row in range(17):
        for column in range(16):
            window = picture[:, row : row + 4, column : column + 5]
            expected[row, column] = np.sqrt(((window - template.pixels)[:, inside] ** 2).mean()) < SAME
    assert expected[6, 8] and expected[0, 15]
    assert (template.corners(picture) == expected).all()
    marked = np.zeros((20, 20), bool)
    for row, column in np.argwhere(expected):
        marked[row : row + 4, column : column + 5] |= inside
    assert (template.where(picture) == marked).all()


def test_copies_are_where_scikit_image_finds_the_pattern() -> None:
    pixels, where = tagged(clouds(12, size=40), torch.ones(12, dtype=torch.bool))
    template = Template(tag().numpy(), np.ones((6, 6), bool))
    for picture, own in zip(pixels.numpy(), where.numpy(), strict=True):
        best = match_template(picture.transpose(1, 2, 0), tag().permute(1, 2, 0).numpy())[:, :, 0]
        row, column = np.unravel_index(best.argmax(), best.shape)
        assert template.corners(picture)[row, column]
        assert (template.where(picture) == own).all()


def test_a_tag_anywhere_in_one_picture_of_ten_is_found_whole_and_nowhere_else() -> None:
    present = torch.arange(120) % 10 == 0
    pixels, where = tagged(clouds(120), present)
    found = templates(views(pixels), fewest=5)
    assert len(found) >= 1
    for picture, own in zip(pixels.numpy(), where.numpy(), strict=True):
        assert (found[0].where(picture) == own).all()


def test_nothing_is_copied_in_clouds_nor_in_too_few_of_them() -> None:
    assert templates(views(clouds(80)), fewest=5) == []
    pixels, _ = tagged(clouds(80), torch.arange(80) < 4)
    assert templates(views(pixels), fewest=5) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_is_copied_in_plain_pictures(channels: int) -> None:
    assert templates(views(torch.full((8, channels, 32, 32), 0.5)), fewest=5) == []
    assert len(crops_of(np.zeros((channels, 8, 8), np.float32), np.zeros((8, 8), np.uint8)).rows) == 0


def test_on_ground_that_is_the_same_everywhere_copies_at_the_edge_are_found_as_well() -> None:
    """The ground round a copy is the same, too; a template that took it in would not fit in at the edge."""
    draw, mark = np.random.default_rng(0), np.zeros((3, 12, 12), np.float32)
    mark[0], mark[1, ::2], mark[2, 3:9, 3:9] = 0.9, 0.4, 0.8
    pixels = np.zeros((40, 3, 32, 32), np.float32)
    for each in pixels:
        row, column = draw.integers(0, 21, 2)
        each[:, row : row + 12, column : column + 12] = mark
    found = templates([view(each) for each in pixels], fewest=5)
    assert found and all(max(each.inside.shape) <= 32 for each in found)
    assert all(found[0].where(each).any() for each in pixels)
