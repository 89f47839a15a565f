"""Filters against scikit-learn's cosines, torch's own convolutions and planted duplicates."""

import networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_state import differences, model_state
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.errors import LayerError, ModelError, NotApplicableError, OptionError
from cnnaudit.inspection import filters
from cnnaudit.inspection.filters import _kernels
from cnnaudit.results import FilterBank


def classifier(*layers: nn.Module, channels: int = 3, size: tuple[int, int] = (12, 12)) -> Classifier:
    torch.manual_seed(5)
    for layer in layers:
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight)
    network = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, channels, *size))
    return Classifier(network, input_size=size, channels=channels)


def bank(asked: Classifier, **options: float) -> FilterBank:
    return filters(asked, **options).banks[0]  # type: ignore[arg-type]


def weight(asked: Classifier) -> Tensor:
    return next(asked.network.parameters())


@pytest.mark.parametrize("alike", [0.95, 0.2, 0.05])
def test_near_duplicates_are_those_of_scikit_learn(alike: float) -> None:
    asked = classifier(nn.Conv2d(3, 24, 3))
    cosines = cosine_similarity(weight(asked).detach().flatten(1).double().numpy())
    close = np.argwhere(np.triu(np.abs(cosines) >= alike, 1))
    found = bank(asked, alike=alike)
    assert found.pairs == len(close)
    assert found.duplicated == len(np.unique(close))
    assert {(pair.first, pair.second) for pair in found.alike} <= set(map(tuple, close.tolist()))
    assert [pair.cosine for pair in found.alike] == pytest.approx(
        [cosines[pair.first, pair.second] for pair in found.alike]
    )
    sizes = [abs(pair.cosine) for pair in found.alike]
    assert sizes == sorted(sizes, reverse=True)


def test_planted_copies_and_zeros_are_counted() -> None:
    asked = classifier(nn.Conv2d(3, 16, 5))
    with torch.no_grad():
        weight(asked)[7] = 0.3 * weight(asked)[2]
        weight(asked)[9] = -2.0 * weight(asked)[2]
        weight(asked)[4] = 0
        weight(asked)[11] *= 1e-4
    found = bank(asked)
    assert (found.pairs, found.duplicated) == (3, 3)
    assert {frozenset((pair.first, pair.second)) for pair in found.alike} == {
        frozenset(pair) for pair in ((2, 7), (2, 9), (7, 9))
    }
    assert found.near_zero == (4, 11)
    assert found.order[-2:] == (4, 11)


def test_each_filter_is_followed_by_the_one_most_like_it_of_those_left() -> None:
    asked = classifier(nn.Conv2d(3, 20, 3))
    order = list(bank(asked).order)
    assert sorted(order) == list(range(20))
    flat = weight(asked).detach().flatten(1).double()
    assert order[0] == int(flat.norm(dim=1).argmax())
    for place in range(len(order) - 1):
        similar = F.cosine_similarity(flat[order[place]][None], flat)
        left = order[place + 1 :]
        assert left[0] == left[int(similar[left].argmax())]


def test_filters_of_different_groups_read_different_channels() -> None:
    asked = classifier(nn.Conv2d(4, 8, 3, groups=2), channels=4)
    with torch.no_grad():
        weight(asked)[:] = weight(asked)[0].clone()
    found = bank(asked)
    assert found.pairs == 2 * (4 * 3 // 2)
    assert found.channels.tolist() == [[0, 1]] * 4 + [[2, 3]] * 4
    assert filters(classifier(nn.Conv2d(3, 3, 3, groups=3))).banks[0].pairs == 0


def test_deep_filters_keep_their_strongest_channels() -> None:
    asked = classifier(nn.Conv2d(10, 6, 3), channels=10)
    found = bank(asked, inputs=4)
    squares = weight(asked).detach().square().sum((2, 3))
    best = squares.topk(4, dim=1)
    assert found.channels.tolist() == best.indices.tolist()
    assert found.held == pytest.approx((best.values.sum(1) / squares.sum(1)).numpy(), rel=1e-5)
    expected = weight(asked).detach()[torch.arange(6)[:, None], best.indices]
    assert np.array_equal(found.kernels, expected.numpy())
    assert found.lengths == pytest.approx(squares.sum(1).sqrt().numpy(), rel=1e-5)
    assert found.shape == (6, 10, 3, 3)


def test_few_channels_stay_in_their_own_order() -> None:
    found = bank(classifier(nn.Conv2d(3, 5, 3)))
    assert found.channels.tolist() == [[0, 1, 2]] * 5
    assert found.held.tolist() == [1.0] * 5


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_s_kernels_are_its_answers_to_single_pixels(groups: int) -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    kernels = _kernels("up", layer)
    assert kernels.shape == (6, 4 // groups, 3, 3)
    for channel in range(4):
        impulse = torch.zeros(1, 4, 1, 1)
        impulse[0, channel] = 1
        answer = layer(impulse)[0].detach().double().numpy()
        group = channel // (4 // groups)
        members = slice(group * 6 // groups, (group + 1) * 6 // groups)
        assert np.array_equal(answer[members], kernels[members, channel % (4 // groups)])


def test_kernels_of_signals_have_one_row() -> None:
    asked = classifier(nn.Flatten(1, 2), nn.Conv1d(1, 7, 5), channels=1, size=(1, 20))
    found = bank(asked)
    assert found.shape == (7, 1, 1, 5)
    assert np.array_equal(found.kernels[:, 0, 0], weight(asked).detach()[:, 0].numpy())


def test_a_computed_weight_is_the_one_that_the_layer_uses() -> None:
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3, bias=False))
    asked = classifier(layer)
    before = model_state(asked.network)
    found = bank(asked)
    assert not differences(before, model_state(asked.network))
    pixels = torch.rand(1, 3, 3, 3)
    kernels = torch.from_numpy(found.kernels)
    assert torch.allclose(layer.eval()(pixels), F.conv2d(pixels, kernels), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in networks.ARCHITECTURES if name != "mlp"])
def test_layers_come_in_the_order_in_which_they_run_and_the_network_stays_as_it_was(name: str) -> None:
    asked = networks.classifier(name)
    before = model_state(asked.network)
    found = filters(asked)
    assert not differences(before, model_state(asked.network))
    ran: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in asked.network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    asked.network(networks.picture(asked.input_size))
    for handle in handles:
        handle.remove()
    assert [each.layer for each in found.banks] == list(dict.fromkeys(ran))
    assert found.first == ran[0]


def test_named_layers_come_as_named() -> None:
    asked = networks.classifier("in_place")
    found = filters(asked, layers=["last", "block"])
    assert [each.layer for each in found.banks] == ["last", "block"]
    assert found.first is None
    assert filters(asked, layers=["stem"]).first == "stem"


def test_a_layer_of_zeros_is_near_zero_as_a_whole() -> None:
    asked = classifier(nn.Conv2d(3, 4, 3))
    with torch.no_grad():
        weight(asked).zero_()
    found = bank(asked)
    assert found.near_zero == found.order == (0, 1, 2, 3)
    assert found.pairs == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_a_traced_network_no_longer_tells_its_groups() -> None:
    traced = torch.jit.trace(networks.network("in_place"), networks.picture((32, 40)))
    with pytest.raises(NotApplicableError, match="'stem' is traced"):
        filters(Classifier(traced, input_size=(32, 40)))  # type: ignore[arg-type]


def test_what_cannot_be_asked_is_refused_in_words() -> None:
    asked = networks.classifier("in_place")
    with pytest.raises(LayerError, match="Did you mean 'stem'"):
        filters(asked, layers=["stemm"])
    with pytest.raises(LayerError, match=r"'head' .* is a Linear, which has no filters"):
        filters(asked, layers=["head"])
    with pytest.raises(OptionError, match="layers is empty"):
        filters(asked, layers=[])
    for wrong in ({"inputs": 0}, {"alike": 1.5}, {"near_zero": 1.0}):
        with pytest.raises(OptionError, match="filters takes"):
            filters(asked, **wrong)  # type: ignore[arg-type]
    with pytest.raises(NotApplicableError, match="no convolution"):
        filters(networks.classifier("mlp"))
    with torch.no_grad():
        asked.network.get_parameter("block.weight")[0, 0] = torch.nan
    with pytest.raises(ModelError, match="'block' are not all finite"):
        filters(asked, layers=["block"])
