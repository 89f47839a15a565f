"""Two sorts of pictures: made ones are found again from a poor guess, as scikit-learn's mixture finds them."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.sorts import guesses, measured, two_sorts
from cnnaudit.auditing.surveys import Survey

MEASURES = 12


def mixed(n: int, apart: float, seed: int, link: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, classes and sorts: classes differ as well, and `link` of each class are of the sort that goes with it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    present = np.where(rng.random(n) < link, truth, 1 - truth) == 1
    towards = rng.normal(size=(2, MEASURES))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    rows = rng.normal(size=(n, MEASURES)) + apart * present[:, None] * towards[0] + 6 * truth[:, None] * towards[1]
    return rows * np.geomspace(0.1, 10, MEASURES), truth, present


def mistaken(present: np.ndarray, share: float, seed: int) -> np.ndarray:
    return present ^ (np.random.default_rng(seed).random(len(present)) < share)


@pytest.mark.parametrize("link", [0.5, 0.05, 0.95])
def test_sorts_are_found_from_a_guess_that_is_wrong_of_every_fifth_picture(link: float) -> None:
    rows, truth, present = mixed(800, 6.0, 1, link)
    found = two_sorts(rows, truth, mistaken(present, 0.2, 2))
    assert found is not None
    assert (found.present == present).mean() > 0.99
    opposite = two_sorts(rows, truth, ~mistaken(present, 0.2, 2))
    assert opposite is not None
    assert (opposite.present == ~present).mean() > 0.99


def test_of_one_class_they_are_those_of_a_mixture_with_one_covariance() -> None:
    rows, _, present = mixed(600, 5.0, 3)
    guess = mistaken(present, 0.2, 4)
    found = two_sorts(rows, np.zeros(600, np.int64), guess)
    assert found is not None
    scaled = rows / rows.std(0)
    means = np.stack([scaled[~guess].mean(0), scaled[guess].mean(0)])
    expected = GaussianMixture(2, covariance_type="tied", means_init=means, random_state=0).fit_predict(scaled) == 1
    assert (found.present == expected).mean() > 0.99


@pytest.mark.parametrize("apart", [3.0, 4.5])
def test_as_many_are_mistaken_as_is_said(apart: float) -> None:
    said, mistaken_ones = 0.0, 0
    for seed in range(30):
        rows, truth, present = mixed(400, apart, seed, 0.7)
        found = two_sorts(rows, truth, present)
        assert found is not None
        said += found.mistaken * min(found.present.sum(), (~found.present).sum())
        mistaken_ones += int((found.present != present).sum())
    assert said == pytest.approx(mistaken_ones, rel=0.35)


def test_where_there_are_no_sorts_none_are_clear() -> None:
    for seed in range(20):
        rows, truth, _ = mixed(400, 0.0, seed)
        found = two_sorts(rows, truth, rows[:, 0] > np.median(rows[:, 0]))
        assert found is None or found.mistaken > 0.03


def test_a_class_is_no_sort() -> None:
    rows, truth, _ = mixed(400, 0.0, 5)
    assert two_sorts(rows, truth, truth == 1) is None


def test_nothing_is_said_of_too_few_pictures_or_of_pictures_that_are_all_the_same() -> None:
    rows, truth, present = mixed(30, 6.0, 6)
    assert two_sorts(rows, truth, present) is None
    rows, truth, present = mixed(400, 6.0, 7)
    assert two_sorts(np.ones_like(rows), truth, present) is None
    assert two_sorts(rows[:, :0], truth, present) is None
    assert two_sorts(rows, truth, np.zeros(400, bool)) is None


def test_sorts_of_which_nothing_is_known_are_found_from_one_of_the_guesses() -> None:
    rows, truth, present = mixed(800, 8.0, 12, 0.3)
    begun = guesses(rows, truth)
    found = [sorts for each in begun if (sorts := two_sorts(rows, truth, each)) is not None and sorts.mistaken < 0.005]
    assert found
    assert all(max((each.present == present).mean(), (each.present != present).mean()) > 0.99 for each in found)


class Constant(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.new_zeros(len(pixels), 2)


def asked_of(pixels: Tensor) -> Asked:
    n, channels, side, _ = pixels.shape
    classifier = Classifier(Constant(), input_size=side, channels=channels, labels=("a", "b"))
    zeros = torch.zeros(n, dtype=torch.long)
    pictures = Pictures("set", tuple(map(str, range(n))), zeros, lambda places: pixels[list(places)])
    survey = Survey(zeros, torch.ones(n), torch.ones(n), torch.zeros(n, 2), {})
    return Asked(classifier, pictures, survey, 0, lambda done, total: None)


def smooth(n: int, channels: int, side: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 5, 5, generator=random)
    fine = torch.rand(n, channels, side, side, generator=random)
    return 0.7 * nn.functional.interpolate(coarse, (side, side), mode="bilinear") + 0.3 * fine


@pytest.mark.parametrize("change", ["tint", "blur", "frame"])
@pytest.mark.parametrize("side", [24, 150])
def test_what_is_done_to_whole_pictures_makes_two_sorts(change: str, side: int) -> None:
    pixels, has = smooth(300, 3, side, 8), torch.rand(300, generator=torch.Generator().manual_seed(9)) < 0.3
    if change == "tint":
        pixels[has] = 0.7 * pixels[has] + 0.3 * torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    elif change == "blur":
        pixels[has] = nn.functional.avg_pool2d(pixels[has], 3, 1, 1, count_include_pad=False)
    else:
        framed = torch.full_like(pixels[has], 0.8)
        framed[..., 2:-2, 2:-2] = pixels[has][..., 2:-2, 2:-2]
        pixels[has] = framed
    rows = measured(asked_of(pixels), torch.arange(300))
    found = two_sorts(rows, np.zeros(300, np.int64), mistaken(has.numpy(), 0.2, 10))
    assert found is not None
    assert found.mistaken < 0.005
    assert (found.present == has.numpy()).mean() > 0.99


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 4), (4, 1)])
def test_small_and_grey_pictures_are_measured_as_well(channels: int, side: int) -> None:
    rows = measured(asked_of(smooth(70, channels, side, 11)), torch.arange(0, 70, 2))
    assert rows.shape[0] == 35
    assert np.isfinite(rows).all()
