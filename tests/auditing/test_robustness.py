"""Answers to changed pictures: each change against torchvision or torch.roll, and the counts by hand."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn
from torchvision.transforms import functional as vision

from cnnaudit import Classifier
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.changes import blurred, changes, moved, noisy, shifted, turned
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.robustness import SAMPLE, robustness
from cnnaudit.auditing.surveys import Survey
from cnnaudit.errors import ModelError


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 3, side: int = 32, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, side, side, generator=chance(1))


class Light(nn.Module):
    """Class 1 for pictures that are lighter than half grey on average, with a margin of the mean."""

    def forward(self, pixels: Tensor) -> Tensor:
        mean = pixels.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1)


def asked(images: Tensor, truth: Tensor, *, predicted: Tensor | None = None, network: nn.Module | None = None) -> Asked:
    shape = images.shape[2], images.shape[3]
    classifier = Classifier(network or Light(), input_size=shape, channels=images.shape[1], labels=("dark", "light"))
    n = len(images)
    pictures = Pictures("set", tuple(map(str, range(n))), truth, lambda places: images[list(places)])
    answers = truth if predicted is None else predicted
    survey = Survey(answers, torch.ones(n), torch.ones(n), torch.zeros(n, 2), {})
    return Asked(classifier, pictures, survey, 0, lambda done, total: None)


def change(name: str, shape: tuple[int, int, int]) -> Tensor:
    """What a change of this name makes of pictures of this shape."""
    found = next(each for each in changes(shape) if each.name == name)
    return found.apply(photos(3, shape[1], shape[0]), chance())


@pytest.mark.parametrize(("down", "right"), [(0, 3), (0, -3), (2, 0), (-2, 0)])
def test_moving_is_rolling_with_the_edge_repeated(down: int, right: int) -> None:
    picture = photos(1)[0]
    found, rolled = moved(picture, down, right), picture.roll((down, right), (1, 2))
    inner = (slice(None), slice(3, -3), slice(3, -3))
    assert torch.equal(found[inner], rolled[inner])
    padded = nn.functional.pad(picture[None], (3, 3, 3, 3), mode="replicate")[0]
    assert torch.equal(found, padded[:, 3 - down : 35 - down, 3 - right : 35 - right])


def test_a_shift_goes_every_way() -> None:
    picture = photos(1).expand(64, -1, -1, -1)
    ways = {tuple(each.flatten().tolist()) for each in shifted(picture, chance(), by=2)}
    assert len(ways) == 4


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
@pytest.mark.parametrize("degrees", [5.0, 15.0])
def test_a_turn_is_torchvision_s_inside_the_picture(shape: tuple[int, int], degrees: float) -> None:
    pictures = torch.rand(8, 3, *shape, generator=chance(2))
    found = turned(pictures, chance(), degrees=degrees)
    one, other = (vision.rotate(pictures, angle, vision.InterpolationMode.BILINEAR) for angle in (degrees, -degrees))
    inner = (slice(None), slice(8, -8), slice(8, -8))
    signs = set()
    for picture, left, right in zip(found, one, other, strict=True):
        distances = [float((picture[inner] - each[inner]).abs().max()) for each in (left, right)]
        assert min(distances) < 1e-4
        signs.add(distances[0] < distances[1])
    assert signs == {True, False}


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_a_blur_is_torchvision_s_inside_the_picture(sigma: float) -> None:
    pictures = photos()
    reach = int(np.ceil(3 * sigma))
    expected = vision.gaussian_blur(pictures, [2 * reach + 1] * 2, [sigma] * 2)
    inner = (..., slice(reach, -reach), slice(reach, -reach))
    torch.testing.assert_close(blurred(pictures, sigma)[inner], expected[inner])


def test_flip_and_light_are_torchvision_s() -> None:
    shape = (3, 32, 32)
    assert torch.equal(change("left and right exchanged", shape), vision.hflip(photos()))
    torch.testing.assert_close(change("brighter by 20 %", shape), vision.adjust_brightness(photos(), 1.2))
    torch.testing.assert_close(change("darker by 20 %", shape), vision.adjust_brightness(photos(), 0.8))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillow_s(channels: int) -> None:
    found = change("JPEG, quality 20", (channels, 32, 32))
    photo = photos(3, 32, channels)[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    PillowImage.fromarray(photo[..., 0] if channels == 1 else photo).save(buffer, "JPEG", quality=20)
    expected = np.asarray(PillowImage.open(buffer)).reshape(32, 32, channels)
    assert torch.equal((found[0] * 255).round().byte().permute(1, 2, 0), torch.from_numpy(expected.copy()))


def test_noise_has_its_deviation() -> None:
    grey = torch.full((4, 3, 64, 64), 0.5)
    assert float(noisy(grey, chance(), deviation=0.1).std()) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 40), (2, 1, 7), (3, 8, 8), (1, 28, 28), (4, 3, 5), (3, 1, 1), (3, 224, 224)])
def test_only_what_applies_and_nothing_else_fails(shape: tuple[int, int, int]) -> None:
    pictures = torch.rand(2, *shape)
    for each in changes(shape):
        found = each.apply(pictures, chance())
        assert found.shape == pictures.shape, each.name
        assert bool(((found >= 0) & (found <= 1 + 1e-6)).all()), each.name
    names = [each.name for each in changes(shape)]
    assert len(names) == len(set(names))
    assert any(name.startswith("JPEG") for name in names) == (min(shape[1:]) >= 8 and shape[0] != 4)
    assert ("left and right exchanged" in names) == (shape[1] > 1)


def test_shifts_grow_with_the_picture() -> None:
    assert [each.name for each in changes((1, 28, 28))[:3]] == [
        "shift by 1 pixel",
        "shift by 2 pixels",
        "shift by 4 pixels",
    ]
    assert changes((3, 224, 224))[2].name == "shift by 9 pixels"


def test_counts_are_those_of_the_network_asked_by_hand() -> None:
    means = torch.linspace(0.3, 0.7, 20)
    images = means.view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()
    truth = (means > 0.45).long()
    rows = {row.change: row for row in robustness(asked(images, truth))}
    before = means > 0.5
    assert (rows["unchanged"].right.right, rows["unchanged"].consistent.value) == (int((before == truth).sum()), 1.0)
    lighter = 1.2 * means > 0.5
    row = rows["brighter by 20 %"]
    assert (row.right.right, row.consistent.right) == (int((lighter == truth).sum()), int((lighter == before).sum()))
    assert rows["shift by 1 pixel"].consistent.value == 1.0
    assert {row.pictures for row in rows.values()} == {20}


def test_a_bounded_sample_of_those_that_were_answered() -> None:
    images, truth = torch.rand(SAMPLE + 40, 1, 2, 2), torch.zeros(SAMPLE + 40, dtype=torch.int64)
    assert {row.pictures for row in robustness(asked(images, truth))} == {SAMPLE}
    unread = torch.full_like(truth, -1)
    unread[:7] = 0
    assert robustness(asked(images, truth, predicted=unread))[0].pictures == 7
    assert robustness(asked(images, truth, predicted=torch.full_like(truth, -1))) == ()


def test_the_same_seed_gives_the_same_rows() -> None:
    images, truth = photos(40, 8), torch.zeros(40, dtype=torch.int64)
    assert robustness(asked(images, truth)) == robustness(asked(images, truth))


def test_a_network_that_fails_is_an_error_of_ours() -> None:
    class Picky(Light):
        def forward(self, pixels: Tensor) -> Tensor:
            if float(pixels.std()) > 0.1:
                raise ValueError("too lively")
            return super().forward(pixels)

    with pytest.raises(ModelError, match="too lively"):
        robustness(asked(photos(4), torch.zeros(4, dtype=torch.int64), network=Picky()))
