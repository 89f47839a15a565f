"""Properties are moved, and their placebos change as much; blurs are Pillow's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_up import asked_about, clouds, framed, generator
from PIL import Image as Pillow
from PIL import ImageFilter

from cnnaudit.auditing.frames import thickness, with_ring
from cnnaudit.auditing.measures import cast
from cnnaudit.auditing.moving import (
    Mover,
    blurred,
    changed,
    move_brightness,
    move_contrast,
    move_saturation,
    move_sharpness,
    turned,
    unevenly,
)
from cnnaudit.auditing.properties import measured
from cnnaudit.auditing.property_edits import Tinted

MOVES: dict[str, tuple[Mover, tuple[float, float]]] = {
    "brightness": (move_brightness, (0.35, 0.65)),
    "contrast": (move_contrast, (0.05, 0.14)),
    "saturation": (move_saturation, (0.1, 0.3)),
    "sharpness": (move_sharpness, (-8.5, -5.0)),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("up", [0, 1])
def test_a_property_is_moved_and_its_placebo_changes_as_much_but_not_the_property(name: str, up: int) -> None:
    pixels, (move, targets) = clouds(12), MOVES[name]
    after, placebo = move(pixels, targets[up], generator())
    values = [measured(each, ())[name] for each in (pixels, after, placebo)]
    wanted = targets[up] - values[0]
    assert float((values[1] - targets[up]).abs().mean()) < 0.15 * float(wanted.abs().mean())
    if (name, up) != ("sharpness", 1):  # nothing that leaves a picture as soft is as much as what sharpens it
        assert float((values[2] - values[0]).abs().mean()) < 0.25 * float(wanted.abs().mean())
    ratio = changed(placebo, pixels) / changed(after, pixels)
    assert bool(((ratio > 0.85) & (ratio < 1.05)).all())
    for each in (after, placebo):
        assert 0 <= float(each.min()) <= float(each.max()) <= 1


def test_placebos_of_colour_change_as_much_one_without_it_and_one_that_leaves_it() -> None:
    pixels = clouds(12).mul(0.5).add(0.25)
    tint = torch.tensor([0.12, 0.06, -0.1]).view(3, 1, 1)
    after, away = pixels + tint, F.normalize(cast(tint[None])[0], dim=0)
    without, with_it = turned(pixels, after, generator()), unevenly(pixels, after, generator())
    assert bool((cast(without) @ away - cast(pixels) @ away).abs().max() < 0.01)
    assert torch.allclose(measured(without, ())["brightness"], measured(after, ())["brightness"], atol=0.02)
    assert bool((with_it.mean((2, 3)) - pixels.mean((2, 3))).abs().max() < 0.03)
    for placebo in (without, with_it):
        assert torch.allclose(changed(placebo, pixels), changed(after, pixels), rtol=0.05)


def test_a_tint_that_is_mixed_in_is_mixed_into_others_and_taken_out_again() -> None:
    clean, tint = clouds(80, seed=1), torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    present = torch.arange(80) < 40
    mixed = torch.where(present.view(-1, 1, 1, 1), 0.7 * clean + 0.3 * tint, clean)
    edit = Tinted.of(asked_about(mixed, torch.arange(80) % 2), present, range(40), range(40, 80))
    put, taken = edit("insert", range(40, 80), generator()), edit("remove", range(40), generator())
    assert put is not None and taken is not None
    assert float((put.after - (0.7 * clean[40:] + 0.3 * tint)).abs().mean()) < 0.03
    assert float((taken.after - clean[:40]).abs().mean()) < 0.03
    assert put.places == tuple(range(40, 80)) and taken.places == tuple(range(40))


def test_a_blur_is_pillows() -> None:
    pixels = clouds(1)
    image = Pillow.fromarray(pixels[0].permute(1, 2, 0).mul(255).round().byte().numpy())
    expected = np.asarray(image.filter(ImageFilter.GaussianBlur(1.5))) / 255
    inner = np.s_[6:-6, 6:-6]
    assert np.abs(blurred(pixels, 1.5)[0].permute(1, 2, 0).numpy()[inner] - expected[inner]).max() < 0.02


def test_a_frame_is_measured_and_put_on() -> None:
    plain = clouds(6)
    white = framed(plain, 3)
    assert thickness(white).tolist() == [[3, 3, 3, 3]] * 6
    for k in range(6):
        assert torch.equal(with_ring(plain[k : k + 1], white[:1], (3, 3, 3, 3)), framed(plain[k : k + 1], 3))
