"""Augmentation changes pictures, not their class."""

import torch

from cnnaudit.data import scenes
from cnnaudit.data.augmentation import augmented, covered


def _images(n):
    return torch.stack([torch.from_numpy(s.image.pixels) for s in scenes.generate(n, correlation=0.5, seed=1)]).permute(
        0, 3, 1, 2
    )


def test_pictures_change_within_their_range_and_in_the_same_way_for_the_same_seed():
    images = _images(16)
    changed = augmented(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert torch.equal(changed, augmented(images, torch.Generator().manual_seed(0)))
    assert not torch.equal(changed, augmented(images, torch.Generator().manual_seed(1)))


def test_some_pictures_are_mirrored_some_are_not():
    ramp = torch.arange(64, dtype=torch.uint8).expand(200, 3, 64, 64)
    changed = augmented(ramp, torch.Generator().manual_seed(0))
    rising = (changed[..., 40] > changed[..., 24]).float().mean((1, 2))
    assert 0.3 < float((rising > 0.5).float().mean()) < 0.7


def test_covering_puts_one_grey_rectangle_over_half_of_the_pictures():
    pixels = torch.rand(400, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    changed = covered(pixels, torch.Generator().manual_seed(0))
    differs = (changed != pixels).any(1)
    touched = differs.flatten(1).any(1)
    assert 0.4 < float(touched.float().mean()) < 0.6
    for picture, where in zip(changed[touched], differs[touched], strict=True):
        rows, columns = where.any(1), where.any(0)
        assert torch.equal(where, rows[:, None] & columns[None]), "the covered region is a rectangle"
        assert min(int(rows.sum()), int(columns.sum())) >= 3
        assert len(picture[:, where].unique()) == 1
    assert 0 < int(differs.flatten(1).all(1).sum()) < int(touched.sum()) / 2, "some are covered altogether"


def test_covering_reaches_every_part_of_the_picture():
    pixels = torch.rand(400, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    share = (covered(pixels, torch.Generator().manual_seed(0)) != pixels).any(1).float().mean(0)
    assert float(share.min()) > 0.02
    assert float(share.max()) < 0.55
