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


def _covered_cells(seed):
    pixels = torch.rand(200, 3, 96, 96, generator=torch.Generator().manual_seed(5)) * 0.3 + 0.7
    changed = covered(pixels, torch.Generator().manual_seed(seed))
    return changed, (changed != pixels).any(1)


def test_half_of_the_pictures_are_covered_each_with_one_grey():
    changed, hidden = _covered_cells(0)
    touched = hidden.flatten(1).any(1)
    assert 0.35 < float(touched.float().mean()) < 0.6
    for picture, where in zip(changed[touched], hidden[touched], strict=True):
        values = picture[:, where].unique()
        assert len(values) == 1
        assert 0 <= float(values) <= 0.6


def test_any_share_of_a_picture_is_covered_up_to_all_of_it():
    _, hidden = _covered_cells(0)
    shares = hidden.flatten(1).float().mean(1)
    shares = shares[shares > 0]
    assert float(shares.min()) < 0.2
    assert 0.35 < float(shares.median()) < 0.65
    assert float(shares.max()) > 0.95


def test_cells_differ_in_size_and_place_from_batch_to_batch():
    first_edges = set()
    for seed in range(12):
        _, hidden = _covered_cells(seed)
        edges = (hidden[:, :, 1:] != hidden[:, :, :-1]).any(0).any(0).nonzero().flatten()
        gaps = edges.diff().unique()
        assert len(gaps) == 1, "the cells of a batch are squares of one size"
        first_edges.add((int(gaps), int(edges[0])))
    assert len({size for size, _ in first_edges}) >= 4
    assert len(first_edges) >= 8
