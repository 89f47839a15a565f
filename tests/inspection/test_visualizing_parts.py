"""What visualisation is put together from, against numpy, autograd, geometry and loops."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnaudit.errors import OptionError
from cnnaudit.inspection import Shaking
from cnnaudit.inspection.visualizing.diversity import likeness
from cnnaudit.inspection.visualizing.parametrisation import COLOUR_COVARIANCE, Parametrisation, colour_basis
from cnnaudit.inspection.visualizing.rectifiers import passable
from cnnaudit.inspection.visualizing.transformations import calmed, shaken

CPU = torch.device("cpu")
SIZES = [(8, 8), (7, 9), (6, 5), (1, 40), (1, 13)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_numpy(spectrum: np.ndarray, size: tuple[int, int], mean: float) -> np.ndarray:
    """One colourless picture from its spectrum `h w/2+1 2`, each frequency weighted in a loop."""
    height, width = size
    weighted = np.zeros(spectrum.shape[:2], complex)
    for row, column in np.ndindex(weighted.shape):
        frequency = math.hypot(min(row, height - row) / height, column / width)
        number = complex(*spectrum[row, column])
        weighted[row, column] = number / max(frequency, 1 / max(height, width))
    waves = np.fft.irfft2(weighted, s=size, norm="ortho") / 4
    middle = (mean + 0.02) / 1.04
    return np.clip(1.04 / (1 + np.exp(-(waves + math.log(middle / (1 - middle))))) - 0.02, 0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_the_inverse_transform_of_weighted_spectra(size: tuple[int, int]) -> None:
    form = Parametrisation(2, size, (0.3, 0.6), CPU)
    spectra = 5 * torch.stack([form.drawn(generator(seed)) for seed in range(3)])
    pixels = form.pixels(spectra)
    for picture, spectrum in zip(pixels, spectra, strict=True):
        for channel, mean in enumerate((0.3, 0.6)):
            expected = by_numpy(spectrum[channel].double().numpy(), size, mean)
            np.testing.assert_allclose(picture[channel].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_parametrisation_has_the_gradient_of_finite_differences(size: tuple[int, int]) -> None:
    form = Parametrisation(3, size, (0.5, 0.4, 0.6), CPU)
    spectra = form.drawn(generator()).double().unsqueeze(0).requires_grad_()
    assert torch.autograd.gradcheck(form.pixels, (spectra,), atol=1e-6, fast_mode=True)


def test_black_and_white_can_be_reached_and_left() -> None:
    form = Parametrisation(1, (8, 8), (0.5,), CPU)
    spectra = (300 * form.drawn(generator()).unsqueeze(0)).requires_grad_()
    pixels = form.pixels(spectra)
    assert [float(edge.detach()) for edge in pixels.aminmax()] == [0, 1]
    (gradient,) = torch.autograd.grad(pixels[pixels == 1].sum(), spectra)
    assert float(gradient.abs().max()) > 0


def test_a_spectrum_of_zeros_is_the_mean_colour() -> None:
    form = Parametrisation(3, (6, 6), (0.485, 0.456, 0.406), CPU)
    pixels = form.pixels(torch.zeros(1, 3, 6, 4, 2))
    torch.testing.assert_close(pixels, torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 6, 6))
    grey = Parametrisation(1, (6, 6), (0.0,), CPU).pixels(torch.zeros(1, 1, 6, 4, 2))
    torch.testing.assert_close(grey, torch.full((1, 1, 6, 6), 0.5))


def test_the_colour_basis_gives_white_noise_the_covariance_of_photos() -> None:
    basis = colour_basis().double().numpy()
    covariance = np.array(COLOUR_COVARIANCE)
    made = basis @ basis.T
    np.testing.assert_allclose(made / np.trace(made), covariance / np.trace(covariance), atol=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), [0.0045, 0.0188, 0.2175], atol=2e-4)
    assert np.linalg.norm(basis, axis=0).max() == pytest.approx(1)


def test_without_shaking_pictures_stay_as_they_are() -> None:
    pixels = torch.rand(3, 3, 9, 12, generator=generator())
    still = Shaking(jitter=0, rotation=0, scale=(1, 1)).drawn(3, (9, 12), generator())
    torch.testing.assert_close(shaken(pixels, still), pixels, atol=1e-5, rtol=0)


def test_a_larger_scale_shows_a_smaller_part_larger() -> None:
    pixels = torch.rand(1, 3, 16, 16, generator=generator())
    doubled = shaken(pixels, Shaking(jitter=0, rotation=0, scale=(2, 2)).drawn(1, (16, 16), generator()))
    expected = F.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)[..., 8:24, 8:24]
    torch.testing.assert_close(doubled, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(40, 40), (30, 50)])
def test_a_turn_keeps_angles_and_lengths_on_any_proportions(size: tuple[int, int]) -> None:
    height, width = size
    matrices = Shaking(jitter=0, rotation=30, scale=(1, 1)).drawn(50, size, generator())
    scaled = matrices[:, :, :2] / torch.tensor([[width, height]]) * torch.tensor([[width], [height]])
    torch.testing.assert_close(scaled @ scaled.transpose(1, 2), torch.eye(2).expand(50, 2, 2), atol=1e-5, rtol=0)
    angles = torch.atan2(scaled[:, 1, 0], scaled[:, 0, 0]).rad2deg()
    assert -30 <= float(angles.min()) < -20 < 20 < float(angles.max()) <= 30


def test_shifts_and_scales_fill_their_ranges_and_no_more() -> None:
    matrices = Shaking(jitter=0.1, rotation=0, scale=(0.8, 1.25)).drawn(400, (20, 30), generator())
    shifts, scales = matrices[:, :, 2] / 2, 1 / matrices[:, 0, 0]
    assert 0.095 < float(shifts.abs().max()) <= 0.1
    assert 0.8 <= float(scales.min()) < 0.82 < 1.23 < float(scales.max()) <= 1.25 + 1e-6


def test_shaking_ends_before_the_search_does() -> None:
    drawn = Shaking().drawn(100 * 3, (20, 30), generator()).view(100, 3, 2, 3)
    calm, still = calmed(drawn), torch.eye(2, 3)
    torch.testing.assert_close(calm[:51], drawn[:51])
    torch.testing.assert_close(calm[62], still + 0.52 * (drawn[62] - still))
    torch.testing.assert_close(calm[75:], still.expand(25, 3, 2, 3))


def test_signals_are_only_shifted_and_stretched() -> None:
    signal = torch.rand(1, 2, 1, 40, generator=generator())
    moved = shaken(signal, Shaking(jitter=0.05, rotation=90, scale=(1, 1)).drawn(1, (1, 40), generator(3)))
    assert moved.shape == signal.shape
    assert float(moved.std()) > 0.1
    matrix = torch.tensor([[[1.0, 0.0, 2 * 2 / 40], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(shaken(signal, matrix)[..., :-2], signal[..., 2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("wrong", [{"jitter": -0.1}, {"rotation": 181.0}, {"scale": (0.0, 1.0)}, {"scale": (1.2, 1.0)}])
def test_ranges_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(OptionError, match="Shaking takes"):
        Shaking(**wrong)


@pytest.mark.parametrize("shape", [(4, 5, 3, 2), (3, 6, 7), (2, 4)])
def test_likeness_is_the_mean_cosine_of_gram_matrices(shape: tuple[int, ...]) -> None:
    outputs = torch.randn(shape, generator=generator(), dtype=torch.float64).float()
    grams = [each.flatten(1) @ each.flatten(1).T if each.ndim > 1 else torch.outer(each, each) for each in outputs]
    sums = [0.0] * len(grams)
    for a, b in combinations(range(len(grams)), 2):
        cosine = float(F.cosine_similarity(grams[a].flatten(), grams[b].flatten(), 0))
        sums[a], sums[b] = sums[a] + cosine, sums[b] + cosine
    expected = torch.tensor(sums) / (len(grams) - 1)
    torch.testing.assert_close(likeness(outputs), expected, atol=1e-5, rtol=0)


RECTIFIERS: list[Callable[[Tensor], Tensor]] = [
    F.relu, torch.relu, Tensor.relu, nn.ReLU(), nn.ReLU(inplace=True), lambda x: F.relu_(x + 0),
    lambda x: (x + 0).relu_(), F.relu6, nn.ReLU6(inplace=True), nn.Hardtanh(0, 6),
    lambda x: F.hardtanh_(x + 0, 0.0, 6.0),
]  # fmt: skip


def gradient(rectifier: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (rectifier(leaf * 1) * weights).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("rectifier", RECTIFIERS)
def test_gradients_get_through_rectifiers_that_are_dead_for_a_whole_picture(rectifier: Callable) -> None:
    x = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 2.0, 3.0]])
    weights = torch.tensor([[-1.0, 1.0, -0.5], [-1.0, 1.0, -0.5]])  # of a loss: less of it is wanted
    plain = gradient(rectifier, x, weights)
    torch.testing.assert_close(plain, torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, -0.5]]))
    with passable(torch.tensor([True, True])):
        found = gradient(rectifier, x, weights)
    torch.testing.assert_close(found, torch.tensor([[-1.0, 0.0, -0.5], [0.0, 1.0, -0.5]]))
    with passable(torch.tensor([False, True])):
        torch.testing.assert_close(gradient(rectifier, x, weights), plain)
    torch.testing.assert_close(gradient(rectifier, x, weights), plain)


def test_gradients_come_back_from_above_an_upper_limit() -> None:
    x, weights = torch.full((1, 2), 7.0), torch.tensor([[1.0, -1.0]])
    with passable(torch.tensor([True])):
        torch.testing.assert_close(gradient(F.relu6, x, weights), torch.tensor([[1.0, 0.0]]))
        torch.testing.assert_close(F.relu6(x), torch.full((1, 2), 6.0))
