"""Augmentation changes pictures, not their class."""

import torch

from cnnaudit.data import scenes
from cnnaudit.data.augmentation import augmented


def test_augmented_pictures_are_shifted_mirrored_and_lit_and_stay_in_range():
    pictures = torch.stack([s.pixels for s in scenes.generate(8, correlation=0.5, seed=1)])
    images = (pictures * 255).round().to(torch.uint8)
    changed = augmented(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert torch.equal(changed, augmented(images, torch.Generator().manual_seed(0)))
    light = changed.mean((1, 2, 3)) / pictures.mean((1, 2, 3))
    assert bool(((light > 0.8) & (light < 1.2)).all())
    assert float(light.std()) > 0.02
