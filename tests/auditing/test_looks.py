"""Which cues are copies: planted tags are, whatever they went through, and texture drawn anew is not."""

import numpy as np
import pytest
from tagged_pictures import digits

from cnnaudit.auditing.looks import Looks, beside, described
from cnnaudit.auditing.scenery import View

BOX = (slice(20, 40), slice(16, 40))


def looks(patches: np.ndarray) -> Looks:
    """What a cue looks like that is these patches, `n c 20 24`, on grey ground."""
    labels = np.zeros((64, 64), np.uint8)
    labels[BOX] = 1
    views: list[View] = []
    for patch in patches:
        pixels = np.full((len(patch), 64, 64), 0.3, np.float32)
        pixels[:, *BOX] = patch.clip(0, 1)
        views.append(View(pixels, labels, labels, labels == 0))
    return described(views, lambda view: view.labels == 1, around=False)


def tag(channels: int = 3) -> np.ndarray:
    """Two colours in stripes of four pixels."""
    stripes = (np.arange(24) // 4 % 2)[None, None] * np.ones((channels, 20, 1))
    light, dark = np.linspace(0.9, 0.6, channels), np.linspace(0.2, 0.4, channels)
    return np.where(stripes > 0, light[:, None, None], dark[:, None, None])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deviation", [0.05, 0.055, 0.06, 0.07, 0.1, 0.2, 0.3])
def test_texture_drawn_anew_is_never_a_copy(deviation: float, channels: int) -> None:
    draw = np.random.default_rng(0)
    found = looks(0.5 + deviation * draw.standard_normal((30, channels, 20, 24)))
    assert not found.copied
    assert not any("copy" in each for each in found.evidence)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tag_under_noise_and_other_light_is_a_copy(channels: int) -> None:
    draw = np.random.default_rng(0)
    noise = 0.02 * draw.standard_normal((30, channels, 20, 24))
    light = draw.choice([-0.03, 0.0, 0.03], (30, 1, 1, 1))
    found = looks(tag(channels) + noise + light)
    assert found.copied
    assert found.evidence[0] == "It is a copy: 100% of the pictures looked at hold all but the same patch."


def test_a_faint_tag_is_a_copy_too() -> None:
    faint = 0.5 + 0.25 * (tag() - tag().mean((1, 2), keepdims=True))
    draw = np.random.default_rng(0)
    assert looks(faint + 0.01 * draw.standard_normal((30, 3, 20, 24))).copied


def test_a_tag_in_too_few_pictures_is_not_said_to_be_in_all() -> None:
    draw = np.random.default_rng(0)
    patches = 0.5 + 0.2 * draw.standard_normal((30, 3, 20, 24))
    patches[:6] = tag()
    assert not looks(patches).copied


def test_parts_of_objects_that_all_stand_alike_are_no_copies() -> None:
    """Many zeros have all but the same left side: nobody put it there."""
    pixels, truth = digits()
    sides = np.zeros((32, 32), np.uint8)
    sides[:, :12] = 1
    views = [View(each.numpy(), sides, sides, sides == 0) for each in pixels[truth == 0]]
    found = described(views, lambda view: view.labels == 1, around=False)
    assert beside([(view, view.labels == 1) for view in views]) < 1.5
    assert not found.copied and not any("copy" in each for each in found.evidence)


def test_pictures_of_nothing_in_common_differ_without_end_beside_a_cue() -> None:
    noise = np.random.default_rng(0).random((200, 1, 32, 32)).astype(np.float32)
    same = np.zeros((32, 32), np.uint8)
    same[4:12, 4:12] = 1
    noise[:, :, 4:12, 4:12] = tag(1)[:, :8, :8]
    shown = [(View(each, same, same, same == 0), same == 1) for each in noise]
    assert beside(shown) > 50
    assert beside([(view, ~mask) for view, mask in shown]) < 1e-9


def test_plain_patches_of_one_colour_are_no_copies() -> None:
    assert not looks(np.full((30, 3, 20, 24), 0.6)).copied
