"""What "crop", "flip" and "colour" do to training pictures, against plain indexing."""

import pytest
import torch

from cnnaudit.data.augmentation import AUGMENTATIONS, augment, known, part_of, part_size
from cnnaudit.errors import OptionError


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(n=200, side=16):
    """Grey pictures whose pixels tell where they come from: side * row + column, modulo 256."""
    return torch.arange(side * side, dtype=torch.uint8).view(1, 1, side, side).expand(n, 1, side, side).contiguous()


def back(pixels):
    return (pixels * 255).round().to(torch.uint8)


def test_nothing_asked_for_changes_nothing():
    images = numbered(3)
    assert torch.equal(back(augment(images, (), rng())), images)


def test_a_flip_mirrors_half_of_the_pictures_and_nothing_else():
    images = numbered()
    changed = back(augment(images, ("flip",), rng()))
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    assert bool((mirrored | (changed == images).flatten(1).all(1)).all())
    assert 0.35 < float(mirrored.float().mean()) < 0.65


def test_a_crop_shifts_by_up_to_an_eighth_with_a_mirrored_border():
    images = numbered()
    changed = back(augment(images, ("crop",), rng()))
    framed = torch.nn.functional.pad(images.float(), (2,) * 4, mode="reflect").to(torch.uint8)
    windows = {
        (down, right): framed[0, :, down : down + 16, right : right + 16] for down in range(5) for right in range(5)
    }
    found = [next(key for key, window in windows.items() if torch.equal(window, picture)) for picture in changed]
    assert set(found) == set(windows), "each shift occurs, each picture by its own"


def test_colours_stay_in_range_and_near_what_they_were():
    images = torch.randint(60, 190, (100, 3, 8, 8), generator=rng(1), dtype=torch.uint8)
    changed = augment(images, ("colour",), rng())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    ratio = changed.mean((1, 2, 3)) / (images.float() / 255).mean((1, 2, 3))
    assert 0.78 < float(ratio.min()) < 0.9 < 1.1 < float(ratio.max()) < 1.22


def test_grey_pictures_take_colour_too():
    assert augment(numbered(4), ("colour",), rng()).shape == (4, 1, 16, 16)


@pytest.mark.parametrize("names", [("crop",), ("flip",), ("colour",), ("crop", "flip", "colour")])
def test_the_same_seed_gives_the_same_pictures_and_the_given_ones_stay(names):
    images = torch.randint(0, 256, (9, 3, 16, 16), generator=rng(2), dtype=torch.uint8)
    before = images.clone()
    first = augment(images, names, rng(3))
    assert torch.equal(first, augment(images, names, rng(3)))
    assert not torch.equal(first, augment(images, names, rng(4)))
    assert torch.equal(images, before)


def test_signals_move_along_their_length_only():
    signals = torch.rand(6, 1, 1, 40, generator=rng(5))
    changed = augment(signals, ("crop",), rng())
    assert changed.shape == signals.shape
    assert set(changed.flatten().tolist()) <= set(signals.flatten().tolist())


def test_names_are_checked():
    assert known(["crop", "flip"]) == ("crop", "flip")
    assert "scene" in AUGMENTATIONS
    with pytest.raises(OptionError, match="Did you mean 'colour'"):
        known(["color"])


def test_a_part_is_a_window_of_all_pictures_and_every_place_comes():
    images, draws = numbered(2, side=20), rng()
    found = {int(part_of(images, 0.85, draws)[0, 0, 0, 0]) for _ in range(200)}
    assert found == {20 * row + column for row in range(4) for column in range(4)}
    part = part_of(images, 0.85, draws)
    assert part.shape == (2, 1, 17, 17)
    corner = int(part[0, 0, 0, 0])
    row, column = divmod(corner, 20)
    assert torch.equal(part, images[..., row : row + 17, column : column + 17])


@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [((32, 32), 0.75, (24, 24)), ((20, 40), 0.5, (16, 20)), ((1, 40), 0.75, (1, 30)), ((8, 8), 0.1, (8, 8))],
)
def test_a_part_is_a_share_of_each_side_and_never_tiny(size, share, expected):
    assert part_size(size, share) == expected
