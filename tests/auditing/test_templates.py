"""Copies against windows at every place of a picture, scikit-image's template matching, and planted tags."""

import numpy as np
import pytest
import torch
from made_up import clouds
from skimage.feature import match_template
from tagged_pictures import tag, tagged

from cnnaudit.auditing.copies import Laid, Template, crops_of, differences, templates
from cnnaudit.auditing.scenery import View
from cnnaudit.auditing.segments import segment

SAME, OWN = 0.06, 0.45


def view(pixels: np.ndarray) -> View:
    labels = segment(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return View(pixels, labels, np.zeros_like(labels), np.ones(labels.shape, bool))


def views(pixels: torch.Tensor) -> list[View]:
    return [view(each) for each in pixels.numpy()]


def centred(pixels: np.ndarray) -> np.ndarray:
    return pixels - pixels.mean(1, keepdims=True)


def by_hand(template: Template, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distance at each place, and whether a copy is there, window by window."""
    (a, b), inside = template.inside.shape, template.inside
    shape = (picture.shape[1] - a + 1, picture.shape[2] - b + 1)
    far, copy = np.zeros(shape), np.zeros(shape, bool)
    kept = template.pixels[:, inside].astype(np.float64)
    for row, column in np.ndindex(*shape):
        window = picture[:, row : row + a, column : column + b][:, inside].astype(np.float64)
        far[row, column] = np.sqrt(((window - kept) ** 2).mean())
        own = min(centred(window).std(), centred(kept).std())
        copy[row, column] = far[row, column] < SAME and centred(window - kept).std() < OWN * own
    return far, copy


def marked(template: Template, corners: np.ndarray, picture: np.ndarray) -> np.ndarray:
    (a, b), found = template.inside.shape, np.zeros(picture.shape[1:], bool)
    for row, column in np.argwhere(corners):
        found[row : row + a, column : column + b] |= template.inside
    return found


@pytest.mark.parametrize(
    ("channels", "height", "width", "a", "b"), [(3, 20, 20, 4, 5), (1, 37, 23, 9, 3), (3, 29, 31, 17, 22)]
)
def test_corners_are_where_a_window_differs_by_little(channels: int, height: int, width: int, a: int, b: int) -> None:
    draw = np.random.default_rng(a)
    picture = clouds(1, size=40, channels=channels)[0].numpy()[:, :height, :width].copy()
    inside = draw.random((a, b)) < 0.7
    pixels = draw.random((channels, a, b)).astype(np.float32)
    template = Template(pixels, inside)
    for row, column in ((0, 0), (height - a, width - b)):
        picture[:, row : row + a, column : column + b] = pixels + np.where(inside, 0.05, 0.9)
    far, copy = by_hand(template, picture)
    assert copy[-1, -1] and copy.sum() <= 2
    assert np.sqrt(np.maximum(Laid(template, picture).whole, 0)) == pytest.approx(far, abs=1e-4)
    assert (template.corners(picture) == copy).all()
    assert (template.where(picture) == marked(template, copy, picture)).all()


def test_a_distance_of_nothing_is_nothing() -> None:
    picture = clouds(1, size=64)[0].numpy()
    template = Template(picture[:, 10:50, 5:60].copy(), np.ones((40, 55), bool))
    assert np.sqrt(abs(Laid(template, picture).whole[10, 5])) < 1e-6


def test_in_smooth_pictures_what_is_near_but_of_another_pattern_is_no_copy() -> None:
    picture = clouds(1, size=48)[0].numpy()
    template = Template(picture[:, 6:10, 8:13] + np.float32(0.02), np.ones((4, 5), bool))
    far, copy = by_hand(template, picture)
    assert (template.corners(picture) == copy).all()
    assert copy[6, 8] and ((far < SAME) & ~copy).any()


def test_many_copies_are_marked_as_few_are() -> None:
    """A plain template is told by its colour: on ground of that colour it is everywhere."""
    picture = np.full((3, 40, 40), 0.5, np.float32)
    picture[:, 20:, 30:] = 0.9
    inside = np.array([[True, False, True], [False, True, True]])
    template = Template(np.full((3, 2, 3), 0.52, np.float32), inside)
    far, _ = by_hand(template, picture)
    assert (far < SAME).sum() > 256
    assert (template.corners(picture) == (far < SAME)).all()
    assert (template.where(picture) == marked(template, far < SAME, picture)).all()


def test_crops_differ_as_numpy_says() -> None:
    draw = np.random.default_rng(0)
    rows = draw.random((5, 3, 8, 8)).astype(np.float32)
    others = np.concatenate([rows[:2] * 0.9 + 0.07, draw.random((4, 3, 8, 8))]).astype(np.float32)
    far, own = differences(rows, others)
    for one, other in np.ndindex(5, 6):
        assert far[one, other] == pytest.approx(((rows[one] - others[other]) ** 2).mean(), abs=1e-6)
        assert own[one, other] == (one == other < 2)


@pytest.mark.parametrize("deviation", [0.04, 0.05, 0.06, 0.1, 0.3])
def test_nothing_is_copied_where_a_patch_of_texture_is_drawn_anew(deviation: float) -> None:
    draw = np.random.default_rng(0)
    pixels = clouds(40, size=48).numpy()
    for each in pixels:
        each[:, 16:32, 16:32] = (0.5 + deviation * draw.standard_normal((3, 16, 16))).clip(0, 1)
    assert templates(views(torch.from_numpy(pixels)), fewest=5) == []


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
