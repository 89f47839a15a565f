"""Our architectures are what their names say: parameters, shapes, and the same numbers as plain torch."""

import inspect
import json
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cnnaudit import Classifier
from cnnaudit.errors import OptionError
from cnnaudit.models import ARCHITECTURES, is_ours
from cnnaudit.models.pooling import POOLS
from cnnaudit.models.vgg import vgg8

POOLED = ("cnn1", "cnn2", "conv10-20", "vgg8", "husky-wolf", "pattern")
NOT_POOLED = ("logistic", "mlp", "mnist1d-fc", "mnist1d-cnn")


def defaults(name: str) -> dict[str, Any]:
    return {key: p.default for key, p in inspect.signature(ARCHITECTURES[name]).parameters.items()}


def pictures(name: str, n: int = 2) -> Tensor:
    given = defaults(name)
    return torch.rand(n, given["channels"], *given["size"], generator=torch.Generator().manual_seed(3))


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_every_architecture_is_in_one_of_the_two_lists() -> None:
    assert sorted(POOLED + NOT_POOLED) == sorted(ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("logistic", 7_850),
        ("mlp", 407_050),
        ("conv10-20", 8_490),
        ("mnist1d-fc", 59_065),
        ("mnist1d-cnn", 2_050),
        ("cnn1", 9 * 32 + 32 + 14 * 14 * 32 * 10 + 10),
        ("cnn2", 9 * 32 + 32 + 9 * 32 * 64 + 64 + 7 * 7 * 64 * 10 + 10),
    ],
)
def test_the_number_of_parameters(name: str, count: int) -> None:
    assert parameters(ARCHITECTURES[name]()) == count


def plain(name: str) -> nn.Sequential:
    """The same networks as anyone would write them down."""
    relu, pool, flat = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    if name == "vgg8":
        sizes, layers = (3, 32, 64, 64, 128, 128, 256, 256), []
        for index, (before, after) in enumerate(pairwise(sizes)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), *([pool] if index in (0, 2, 4) else [])]
            layers += [nn.BatchNorm2d(after), relu]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), flat, nn.Linear(256, 10))
    networks = {
        "logistic": [flat, nn.Linear(784, 10)],
        "mlp": [flat, nn.Linear(784, 512), relu, nn.Linear(512, 10)],
        "cnn1": [nn.Conv2d(1, 32, 3, padding=1), relu, pool, flat, nn.Linear(32 * 14 * 14, 10)],
        "cnn2": [
            nn.Conv2d(1, 32, 3, padding=1), relu, pool, nn.Conv2d(32, 64, 3, padding=1), relu, pool,
            flat, nn.Linear(64 * 7 * 7, 10),
        ],
        "conv10-20": [nn.Conv2d(1, 10, 5), relu, pool, nn.Conv2d(10, 20, 5), relu, pool, flat, nn.Linear(320, 10)],
        "mnist1d-fc": [
            flat, nn.Linear(40, 285), relu, nn.Linear(285, 135), relu, nn.Linear(135, 60), relu, nn.Linear(60, 10)
        ],
        "mnist1d-cnn": [
            nn.Flatten(1, 2), nn.Conv1d(1, 15, 3, 2), relu, nn.Conv1d(15, 15, 3, 2), relu,
            nn.Conv1d(15, 15, 3, 2), relu, flat, nn.Linear(60, 10),
        ],
    }  # fmt: skip
    return nn.Sequential(*networks[name])


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("husky-wolf", "pattern")])
def test_the_scores_are_those_of_the_network_in_plain_torch(name: str) -> None:
    ours, theirs = ARCHITECTURES[name]().eval(), plain(name).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures(name)), theirs(pictures(name)))


def test_vgg8_is_small_and_cheap() -> None:
    network = vgg8().eval()
    assert parameters(network) < 2.4e6
    assert 2 * sum(tensor.numel() for tensor in network.state_dict().values()) < 5e6  # bytes in half precision
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 3, 32, 32))
    assert 38e6 < counter.get_total_flops() / 2 < 45e6
    assert parameters(vgg8(width=8)) < parameters(network) / 8
    weighted = [module for module in network if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 8


def test_vgg8s_later_convolutions_begin_by_passing_on_their_input() -> None:
    for convolution in [module for module in vgg8() if isinstance(module, nn.Conv2d)][1:]:
        maps = torch.rand(2, convolution.in_channels, 6, 6)
        torch.testing.assert_close(convolution(maps)[:, : convolution.in_channels], maps)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_labels_channels_and_size_are_as_asked(name: str) -> None:
    size = (1, 56) if name.startswith("mnist1d") else (44, 52)
    own = {"pattern": "[[c8 r]*2 p]*2 f7"} if name == "pattern" else {}
    network = ARCHITECTURES[name](labels=7, channels=2, size=list(size), **own)  # a list: as a card has it
    assert network(torch.rand(2, 2, *size)).shape == (2, 7)


@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn1", "cnn2", "vgg8"])
@pytest.mark.parametrize("pool", POOLS)
def test_pictures_of_8_by_8_are_large_enough(name: str, pool: Any) -> None:
    if name in NOT_POOLED and pool != "max":
        pytest.skip("it has no pooling")
    network = ARCHITECTURES[name](channels=1, size=(8, 8), pool=pool)
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_classifier_takes_it_as_it_is(name: str) -> None:
    given = defaults(name)
    clf = Classifier(ARCHITECTURES[name](), input_size=given["size"], channels=given["channels"])
    assert clf.scores(pictures(name)).shape == (2, given["labels"])


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("pool", POOLS)
def test_every_pooling_has_the_same_weights_and_another_answer(name: str, pool: Any) -> None:
    usual, other = ARCHITECTURES[name]().eval(), ARCHITECTURES[name](pool=pool).eval()
    assert list(other.state_dict()) == list(usual.state_dict())
    other.load_state_dict(usual.state_dict())
    with torch.no_grad():
        same = torch.equal(usual(pictures(name)), other(pictures(name)))
    assert same == (pool == "max")


@pytest.mark.parametrize("name", NOT_POOLED)
def test_a_network_without_pooling_refuses_another_one(name: str) -> None:
    for pool in POOLS[1:]:
        with pytest.raises(OptionError, match=f"{pool}'. Leave pool out"):
            ARCHITECTURES[name](pool=pool)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "pattern"])
def test_dropout_is_in_front_of_the_last_layer_and_moves_no_weights(name: str) -> None:
    usual, dropped = ARCHITECTURES[name](), ARCHITECTURES[name](dropout=0.25)
    assert list(usual.state_dict()) == list(dropped.state_dict())
    kinds = [module for module in dropped.modules() if isinstance(module, nn.Dropout | nn.Linear)]
    assert isinstance(kinds[-1], nn.Linear)
    assert isinstance(kinds[-2], nn.Dropout)
    assert kinds[-2].p == 0.25
    assert sum(isinstance(module, nn.Dropout) for module in usual.modules()) == (name == "husky-wolf")


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": 0}, "labels is a whole number"),
        ({"labels": 2.5}, "labels is a whole number"),
        ({"labels": "many"}, "labels is a whole number"),
        ({"channels": -1}, "channels is a whole number"),
        ({"size": 28}, "height and width"),
        ({"size": (28,)}, "height and width"),
        ({"size": ("a", "b")}, "height is a whole number"),
        ({"size": (1, 1)}, r"\(W - F \+ 2P\)/S \+ 1"),
        ({"pool": "blurred"}, "Did you mean 'blur'"),
        ({"pool": ["max"]}, "pool is one of"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"dropout": -0.1}, "from 0 to below 1"),
        ({"dropout": float("nan")}, "from 0 to below 1"),
        ({"dropout": "0.5"}, "from 0 to below 1"),
    ],
)
def test_a_wrong_value_is_refused(name: str, wrong: dict[str, Any], message: str) -> None:
    if wrong == {"size": (1, 1)} and name in ("logistic", "mlp", "mnist1d-fc"):
        pytest.skip("it takes a single pixel")
    if "dropout" in wrong and name == "pattern":
        wrong = wrong | {"pattern": "f20 d f10"}
    with pytest.raises(OptionError, match=message):
        ARCHITECTURES[name](**wrong)


def test_a_signal_is_one_pixel_high() -> None:
    with pytest.raises(OptionError, match="1 pixel high; the size given is 28x28"):
        ARCHITECTURES["mnist1d-cnn"](size=(28, 28))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_arguments_are_keywords_and_plain_values(name: str) -> None:
    signature = inspect.signature(ARCHITECTURES[name])
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in signature.parameters.values())
    json.dumps(defaults(name))
    assert {"labels", "channels", "size", "pool", "dropout"} <= set(signature.parameters)
    summary = (ARCHITECTURES[name].__doc__ or "").partition("\n")[0]
    assert 20 < len(summary) < 120


def test_what_is_ours() -> None:
    assert all(is_ours(name) for name in (*ARCHITECTURES, "f10", "[[c32 r]*2 p]*2 f10"))
    assert not any(is_ours(name) for name in ("resnet18", "cnn3", "", "mnist"))
