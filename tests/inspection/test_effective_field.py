"""The effective receptive field against autograd, binomial coefficients and the graph's own field."""

import math

import numpy as np
import pytest
import torch
from model_state import differences, model_state
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.errors import LayerError, OptionError
from cnnaudit.inspection import effective_field
from cnnaudit.inspection.effective_field import MASS


def headed(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))


def classifier(*layers: nn.Module, size: tuple[int, int] = (31, 37)) -> Classifier:
    torch.manual_seed(3)
    network = headed(*layers)
    network(torch.zeros(1, 3, *size))
    return Classifier(network, input_size=size, channels=3, std=(0.5, 0.25, 0.2))


def ordinary() -> Classifier:
    return classifier(
        nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True),
        nn.Conv2d(5, 4, 3, dilation=2), nn.ReLU(inplace=True),
    )  # fmt: skip


def by_autograd(asked: Classifier, layer: int, pixels: Tensor, position: tuple[int, int]) -> np.ndarray:
    """Every channel's own gradient, one after the other."""
    network = asked.network.eval()
    squares = torch.zeros(pixels.shape[2:], dtype=torch.float64)
    for picture in pixels:
        given = picture[None].clone().requires_grad_()
        assert isinstance(network, nn.Sequential)
        values = network[: layer + 1](asked.normalised(given))[0, :, position[0], position[1]]
        for value in values:
            (gradient,) = torch.autograd.grad(value, given, retain_graph=True)
            squares += gradient.double().square().sum((0, 1))
    return (squares / len(pixels)).sqrt().numpy()


def pictures(n: int, size: tuple[int, int] = (31, 37)) -> Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(5))


def test_many_draws_give_the_gradients_of_all_channels() -> None:
    asked, pixels = ordinary(), pictures(3)
    found = effective_field(asked, "3", pixels, draws=4000)
    expected = by_autograd(asked, 3, pixels, (found.position[0], found.position[1]))
    assert found.strength == pytest.approx(expected, rel=0.1, abs=0.03 * expected.max())
    assert found.strength[expected == 0].tolist() == [0] * int((expected == 0).sum())


def test_a_layer_of_one_channel_needs_no_draws() -> None:
    asked, pixels = classifier(nn.Conv2d(3, 4, 5), nn.Tanh(), nn.Conv2d(4, 1, 3, stride=3)), pictures(2)
    found = effective_field(asked, "2", pixels, position=(1, 7))
    assert found.position == (1, 7)
    assert found.strength == pytest.approx(by_autograd(asked, 2, pixels, (1, 7)), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_uniform_kernels_give_powers_of_a_box_and_its_deviation(depth: int) -> None:
    """As in the paper: n layers have the n-th power of one kernel, of deviation √(n (k² − 1) / 12)."""
    layers = [nn.Conv2d(1 if place else 3, 1, 3, padding=1, bias=False) for place in range(depth)]
    asked = classifier(*layers)
    for layer in layers:
        nn.init.ones_(layer.weight)
    found = effective_field(asked, str(depth - 1), pictures(1))
    box = np.ones(1)
    for _ in range(depth):
        box = np.convolve(box, np.ones(3))
    across = found.strength.sum(0)[found.extent[1] : found.extent[3] + 1]
    assert across / across.sum() == pytest.approx(box / box.sum(), rel=1e-4)
    assert found.spread == pytest.approx((math.sqrt(depth * 8 / 12),) * 2, rel=1e-4)
    assert found.exact.size == (2 * depth + 1, 2 * depth + 1)


def test_nothing_lies_outside_the_exact_field_and_the_sums_are_right() -> None:
    found = effective_field(ordinary(), "4", pictures(2), position=(5, 2))
    top, left, bottom, right = found.extent
    inside = found.strength[top : bottom + 1, left : right + 1]
    assert inside.sum() == pytest.approx(found.strength.sum())
    assert found.box is not None
    one, two, three, four = found.box
    mass = found.strength.sum(dtype=np.float64)
    assert found.strength[one : three + 1].sum() >= MASS * mass * (1 - 1e-6)
    assert found.strength[:, two : four + 1].sum() >= MASS * mass * (1 - 1e-6)
    assert found.strength[: one + 1].sum() > (1 - MASS) / 2 * mass
    assert found.strength[three:].sum() > (1 - MASS) / 2 * mass
    fewest = round(found.share * inside.size)
    falling = np.sort(inside, axis=None)[::-1].astype(np.float64)
    assert falling[:fewest].sum() >= MASS * mass * (1 - 1e-6)
    assert falling[: fewest - 1].sum() < MASS * mass


def test_the_field_is_cut_off_at_the_edges() -> None:
    asked = classifier(nn.Conv2d(3, 2, 7, padding=3))
    assert effective_field(asked, "0", pictures(1), position=(0, 36)).extent == (0, 33, 3, 36)


def test_signals_have_positions_along_one_direction() -> None:
    network = nn.Sequential(
        nn.Flatten(1, 2), nn.Conv1d(1, 3, 5, 2), nn.ReLU(), nn.Conv1d(3, 3, 3), nn.Flatten(), nn.LazyLinear(2)
    )
    network(torch.zeros(1, 1, 1, 40))
    asked = Classifier(network, input_size=(1, 40), channels=1)
    found = effective_field(asked, "3", torch.rand(4, 1, 1, 40))
    assert found.position == (8,)
    assert found.extent == (0, 16, 0, 24)
    assert found.strength.shape == (1, 40)
    assert found.strength[0, :16].tolist() == [0] * 16


def test_a_position_that_is_always_off_looks_nowhere() -> None:
    conv = nn.Conv2d(3, 2, 3)
    asked = classifier(conv, nn.ReLU())
    assert conv.bias is not None
    nn.init.constant_(conv.bias, -1e6)
    found = effective_field(asked, "1", pictures(1))
    assert (found.box, found.share, found.spread) == (None, 0.0, (0.0, 0.0))


def test_the_same_seed_gives_the_same_and_the_network_stays_as_it_was() -> None:
    asked, pixels = ordinary(), pictures(2)
    before, random = model_state(asked.network), torch.get_rng_state()
    one, two = (effective_field(asked, "3", pixels, seed=4).strength for _ in range(2))
    assert (one == two).all()
    assert (one != effective_field(asked, "3", pixels, seed=5).strength).any()
    assert differences(before, model_state(asked.network)) == []
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize(
    ("layer", "options", "error", "words"),
    [
        ("77", {}, LayerError, "has no layer .77."),
        ("6", {}, LayerError, "has no positions"),
        ("3", {"position": (1, 99)}, OptionError, "positions; got"),
        ("3", {"position": (1,)}, OptionError, "positions; got"),
        ("3", {"draws": 0}, OptionError, "0 draws"),
    ],
)
def test_what_cannot_be_asked(layer: str, options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        effective_field(ordinary(), layer, pictures(1), **options)


def test_no_picture_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one picture"):
        effective_field(ordinary(), "3", torch.zeros(0, 3, 31, 37))
