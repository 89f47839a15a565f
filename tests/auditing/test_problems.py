"""Duplicates that were planted and pictures that are none; doubted labels against the paper's definition."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_up import asked_about, clouds
from PIL import Image as Pillow
from sklearn.datasets import load_digits
from torch import Tensor

from cnnaudit.auditing import beside as beside_module
from cnnaudit.auditing.alike import candidates, identical, nearly, prints
from cnnaudit.auditing.beside import printed, remarks
from cnnaudit.auditing.pictures import Others
from cnnaudit.auditing.problems import problems
from cnnaudit.errors import DataError

N = 60


def saved_again(pixels: Tensor, quality: int) -> Tensor:
    stream = BytesIO()
    Pillow.fromarray(pixels.permute(1, 2, 0).mul(255).byte().numpy()).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Pillow.open(stream)).copy()).permute(2, 0, 1) / 255


def test_the_same_pixels_are_duplicates_across_classes_first() -> None:
    pixels, truth = clouds(N), torch.arange(N) % 2
    pixels[20], pixels[31], pixels[41] = pixels[10], pixels[30], pixels[30]
    first, second = [each for each in problems(asked_about(pixels, truth)) if each.kind == "duplicate"]
    assert first.names == ("030.png", "031.png", "041.png") and first.labels == ("cat", "dog", "dog")
    assert first.sentence == "3 pictures are the same pixel by pixel, in 2 classes, cat and dog."
    assert second.names == ("010.png", "020.png") and "all cat" in second.sentence
    assert [sample.shape for sample in first.samples] == [(32, 32, 3)] * 2


def test_saved_again_resized_and_brightened_pictures_are_near_duplicates() -> None:
    pixels = clouds(N, size=64)
    smaller = F.interpolate(pixels[7:8], (40, 40), mode="bilinear", antialias=True, align_corners=False)
    pixels[50] = saved_again(pixels[5], 30)
    pixels[51] = pixels[6] * 0.9 + 0.05
    pixels[52] = F.interpolate(smaller, (64, 64), mode="bilinear", align_corners=False)[0]
    pixels[53] = pixels[8].clone()
    found = prints(pixels.split(25), len(pixels))
    assert nearly(found) == [[5, 50], [6, 51], [7, 52]]
    assert identical(found) == [[8, 53]]


def test_plain_pictures_and_digits_of_one_kind_are_no_near_duplicates() -> None:
    grain = torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.01
    assert nearly(prints([(0.9 + grain).clamp(0, 1)], 20)) == []
    digits = torch.from_numpy(load_digits(return_X_y=True)[0][:500]).float().div(16).view(-1, 1, 8, 8)
    close = [pair for pair in nearly(prints([digits], 500)) if len(pair) > 1]
    whole = np.corrcoef(digits.flatten(1).numpy())
    assert all(whole[pair[0], other] > 0.95 for pair in close for other in pair[1:])


def test_what_is_compared_does_not_grow_with_the_square() -> None:
    """Where all pictures share every band, each is compared with its nearest neighbours alone."""
    assert len(candidates(np.zeros((3000, 16), np.uint8))) <= 8 * 16 * 3000
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 256, (3000, 16)).astype(np.uint8)
    bits[-1] = bits[0] ^ np.uint8(1)  # a bit in each byte, so in every band
    bits[-1, :2] = bits[0, :2]
    assert candidates(bits).tolist() == [[0, 2999]]


def test_a_label_is_doubted_as_confident_learning_has_it() -> None:
    draw = torch.Generator().manual_seed(3)
    scores = torch.rand(200, 3, generator=draw).pow(3)
    scores /= scores.sum(1, keepdim=True)
    truth = torch.randint(0, 3, (200,), generator=draw)
    confidence, predicted = scores.max(1)
    own = scores[torch.arange(200), truth]
    usual = torch.stack([scores[truth == k, k].mean() for k in range(3)])
    expected = {f"{k:03}.png" for k in range(200) if predicted[k] != truth[k] and confidence[k] >= usual[predicted[k]]}
    given = asked_about(
        clouds(200),
        truth,
        predicted=predicted,
        confidence=confidence,
        truthful=own,
        labels=("a", "b", "c"),
    )
    found = [each for each in problems(given) if each.kind == "mislabelled"]
    assert {name for each in found for name in each.names} == expected
    margins = [float(confidence[int(each.names[0][:3])] - own[int(each.names[0][:3])]) for each in found]
    assert margins == sorted(margins, reverse=True)
    assert "The label or the network is wrong." in found[0].sentence


def test_long_lists_are_cut_and_say_how_long_they_are() -> None:
    truth = torch.arange(500) % 2
    predicted = truth.clone()
    predicted[:250] = 1 - truth[:250]
    found = problems(asked_about(clouds(500, size=16), truth, predicted=predicted))
    doubted = [each for each in found if each.kind == "mislabelled"]
    assert doubted[0].sentence == "250 pictures have a label that the network disbelieves; 200 follow."
    assert len(doubted) == 201 and sum(bool(each.samples) for each in doubted) == 12


def test_pictures_that_were_lost_are_passed_over() -> None:
    pixels, truth = clouds(N), torch.arange(N) % 2
    pixels[1] = pixels[0]
    predicted = truth.clone()
    predicted[1] = -1
    given = asked_about(pixels, truth, predicted=predicted)
    given.survey.truthful[1] = given.survey.confidence[1] = torch.nan
    assert problems(given) == ()


def beside(pixels: Tensor, *, broken: int = -1) -> Others:
    def read(place: int) -> Tensor:
        if place == broken:
            raise DataError("broken")
        return pixels[place].mul(255).round().byte()

    names = tuple(f"train/{place}.png" for place in range(len(pixels)))
    return Others("train", names, torch.arange(len(pixels)) % 2, read)


def test_pictures_that_are_in_another_split_too_come_first() -> None:
    pixels, truth = clouds(N).mul(255).round().div(255), torch.arange(N) % 2
    train = clouds(70, seed=1)
    train[66], train[67], train[3] = pixels[4], saved_again(pixels[7], 40), pixels[9]
    train[11] = train[10]  # of no audited picture
    pixels[20], pixels[31] = pixels[10], pixels[30]
    given = asked_about(pixels, truth)
    others = beside(train, broken=66)
    asked = replace(given, pictures=replace(given.pictures, split="test", others=(others,)))
    found = printed(asked)
    assert remarks((others,), found) == (
        "1 of 70 pictures of train cannot be read: they were not compared with the audited ones",
    )
    said = problems(asked, found)
    assert [each.names for each in said if each.kind == "duplicate"] == [
        ("009.png", "train/3.png"),
        ("030.png", "031.png"),
        ("010.png", "020.png"),
    ]
    assert said[0].sentence == "2 pictures are the same pixel by pixel, in test and train, all dog."
    assert np.array_equal(said[0].samples[0], said[0].samples[1])
    [near] = [each for each in said if each.kind == "near duplicate"]
    assert near.names == ("007.png", "train/67.png") and "nearly the same, in test and train" in near.sentence


def test_a_split_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside_module, "MOST", 5)
    given = asked_about(clouds(N), torch.arange(N) % 2)
    others = beside(clouds(6))
    asked = replace(given, pictures=replace(given.pictures, others=(others,)))
    assert printed(asked) == ()
    assert "train has 6 pictures, more than the 5" in remarks((others,), ())[0]


def test_a_table_may_say_which_split_each_picture_is_of() -> None:
    pixels, truth = clouds(N), torch.arange(N) % 2
    pixels[20], pixels[31] = pixels[10], pixels[30]
    columns = {"Split": tuple("train" if place < 15 else "test" for place in range(N))}
    first, second = problems(asked_about(pixels, truth, columns=columns))
    assert first.names == ("010.png", "020.png") and "in train and test, all cat" in first.sentence
    assert second.names == ("030.png", "031.png") and " in train" not in second.sentence
