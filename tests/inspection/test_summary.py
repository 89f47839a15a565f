"""The layers of networks and their sums, against torchinfo, torch and arithmetic."""

import math
from collections.abc import Callable

import pytest
import torch
import torchinfo
import torchvision
from model_state import differences, model_state
from networks import ARCHITECTURES as SMALL
from networks import InPlace, classifier
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import ModelError, OptionError
from cnnaudit.inspection import summarize
from cnnaudit.models import ARCHITECTURES
from cnnaudit.results import ArchitectureFacts

FAMILIES = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "vgg11_bn": 132_868_840,
    "resnet50": 25_557_032,
    "resnext50_32x4d": 25_028_904,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "densenet121": 7_978_856,
    "squeezenet1_0": 1_248_424,
    "shufflenet_v2_x1_0": 2_278_604,
    "efficientnet_b0": 5_288_548,
    "regnet_y_400mf": 4_344_144,
    "convnext_tiny": 28_589_128,
    "swin_t": 28_288_354,
    "swin_v2_t": 28_351_570,
    "vit_b_16": 86_567_656,
}
"""Torchvision's own count of parameters, from the documentation of each network's weights."""


def on_no_device(name: str) -> nn.Module:
    """The architecture without memory for its weights."""
    cpu_only = name.startswith("regnet")  # computes its widths with tensors
    with torch.device("cpu" if cpu_only else "meta"):
        return torchvision.models.get_model(name).to("meta")


def agree(facts: ArchitectureFacts, network: nn.Module, shape: tuple[int, ...], device: str) -> None:
    peer = torchinfo.summary(network, input_size=shape, device=device, verbose=0)
    own = facts.parameters, facts.trainable, facts.multiply_adds
    assert own == (peer.total_params, peer.trainable_params, peer.total_mult_adds)


@pytest.mark.parametrize("name", FAMILIES)
def test_totals_are_those_of_torchinfo(name: str) -> None:
    net = on_no_device(name)
    facts = summarize(ca.Classifier(net))
    agree(facts, net, (1, 3, 224, 224), "meta")
    assert facts.parameters == FAMILIES[name] == sum(layer.parameters for layer in facts.layers)
    assert facts.multiply_adds == sum(layer.multiply_adds for layer in facts.layers)


@pytest.mark.parametrize(("name", "size", "channels"), [("mnist1d-cnn", (1, 40), 1), ("husky-wolf", (128, 128), 3)])
def test_totals_of_our_own_are_those_of_torchinfo(name: str, size: tuple[int, int], channels: int) -> None:
    net = ARCHITECTURES[name]()
    facts = summarize(ca.Classifier(net, input_size=size, channels=channels))
    agree(facts, net, (1, channels, *size), "cpu")
    assert facts.parameters == sum(layer.parameters for layer in facts.layers)


@pytest.mark.parametrize("name", SMALL)
def test_totals_of_small_networks_are_those_of_torchinfo(name: str) -> None:
    clf = classifier(name)
    agree(summarize(clf), clf.network, (1, 3, *clf.input_size), "cpu")


def test_a_recurrent_layer_counts_every_step_as_torchinfo_does() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(12, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x[:, 0])[0][:, -1])

    net = Rows()
    agree(summarize(ca.Classifier(net, input_size=(8, 12), channels=1)), net, (1, 1, 8, 12), "cpu")


def test_each_row_is_one_call_with_its_geometry() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding="valid", dilation=2, groups=3),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(6, 4, 3, padding="same", dilation=2, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 7 * 12, 2),
    )
    first, pool, second, flat, last = summarize(ca.Classifier(net, input_size=32)).layers
    assert [layer.kind for layer in (first, pool, second, flat, last)] == [type(m).__name__ for m in net]
    assert (first.kernel, first.stride, first.padding, first.dilation) == ((3, 5), (2, 1), (0, 0), (2, 2))
    assert (pool.kernel, pool.stride, pool.padding, pool.dilation) == ((2, 2), (2, 2), (0, 0), (1, 1))
    assert (second.kernel, second.padding, second.dilation) == ((3, 3), (2, 2), (2, 2))
    assert (flat.kernel, flat.stride, flat.padding, flat.dilation) == (None, None, None, None)
    assert [layer.output_shape for layer in (first, pool, second, flat, last)] == [
        tuple(net[: i + 1](torch.zeros(1, 3, 32, 32)).shape[1:]) for i in range(5)
    ]
    assert (first.parameters, first.multiply_adds) == (6 * 15 + 6, (6 * 15 + 6) * 14 * 24)
    assert (last.parameters, last.multiply_adds) == (672 + 2, 672 + 2)
    assert [layer.memory for layer in (first, last)] == [4 * 6 * 14 * 24, 4 * 2]


def test_a_signal_has_one_number_for_a_window() -> None:
    layers = summarize(ca.Classifier(ARCHITECTURES["mnist1d-cnn"](), input_size=(1, 40), channels=1)).layers
    window = next(layer for layer in layers if layer.kind == "Conv1d")
    assert (window.kernel, window.stride, window.padding, window.dilation) == ((3,), (2,), (0,), (1,))
    assert window.receptive_field is not None and window.receptive_field.size == (1, 3)


def test_a_module_called_again_has_a_row_for_each_call_and_counts_its_parameters_once() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    twice = nn.Sequential(net[0], net[1], net[0], net[1], net[2], net[3])
    layers = summarize(ca.Classifier(twice, input_size=16)).layers
    assert [layer.name for layer in layers] == ["0", "1", "0", "1", "4", "5"]
    assert [layer.parameters for layer in layers] == [81, 0, 0, 0, 0, 0]
    assert [layer.multiply_adds for layer in layers[:3:2]] == [81 * 14 * 14, 81 * 12 * 12]
    fields = [layer.receptive_field for layer in layers]
    assert [field.size[0] for field in fields if field] == [3, 3, 5, 5, 16, 16]


def test_parameters_that_no_leaf_holds_have_a_row() -> None:
    by_name = {layer.name: layer for layer in summarize(classifier("vit")).layers}
    assert by_name[""].parameters == 32  # the class token
    assert by_name["encoder"].parameters == (16 + 1) * 32  # of 4 x 4 patches and the class token
    assert by_name["encoder.layers.encoder_layer_0.self_attention"].parameters == 4 * (32 * 32 + 32)


def test_frozen_and_idle_parameters_are_counted() -> None:
    net = InPlace()
    net.idle = nn.Linear(7, 7)
    net.stem.requires_grad_(False)
    facts = summarize(ca.Classifier(net, input_size=(32, 40)))
    assert facts.parameters == sum(p.numel() for p in net.parameters())
    assert facts.parameters - facts.trainable == 3 * 8 * 9 + 8
    assert facts.parameters - sum(layer.parameters for layer in facts.layers) == 7 * 7 + 7


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_a_layer_whose_weight_is_computed_is_one_row(norm: Callable[[nn.Module], nn.Module]) -> None:
    net = nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = model_state(net)
    facts = summarize(ca.Classifier(net, input_size=12))
    assert differences(before, model_state(net)) == []
    assert len(facts.layers) == 3
    assert facts.layers[0].multiply_adds == (4 * 27 + 4) * 10 * 10
    assert facts.layers[0].parameters == facts.parameters


def test_the_first_of_the_pictures_given_counts() -> None:
    clf = classifier("in_place")
    given = summarize(clf, pixels=torch.rand(3, 3, 64, 48))
    assert given.layers[0].output_shape == (8, 64, 48)
    assert summarize(clf, pixels=torch.rand(1, 3, 32, 40)) == summarize(clf)


@pytest.mark.parametrize("shape", [(0, 3, 32, 40), (3, 32, 40), (1, 4, 32, 40)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="pixels have shape"):
        summarize(classifier("in_place"), pixels=torch.zeros(shape))


@pytest.mark.parametrize("name", SMALL)
def test_the_network_comes_back_as_it_was(name: str) -> None:
    clf = classifier(name)
    clf.network.train()
    before = model_state(clf.network)
    summarize(clf)
    assert differences(before, model_state(clf.network)) == []


def test_the_network_comes_back_as_it_was_when_it_fails() -> None:
    clf = classifier("mlp")
    before = model_state(clf.network)
    with pytest.raises(ModelError, match=r"Sequential fails on a picture of shape \(1, 3, 16, 16\)"):
        summarize(clf, pixels=torch.zeros(1, 3, 16, 16))
    assert differences(before, model_state(clf.network)) == []


def test_the_package_lends_it_by_name() -> None:
    clf = ca.load("husky-wolf")
    assert ca.inspection.receptive_field(clf, "3.0").size == (51, 51)  # 5 + 2 + 8 + 4 + 16 + 16, in pixels
    assert math.prod(ca.inspection.summarize(clf).layers[0].output_shape) == 16 * 64 * 64


def test_memory_is_the_sum_of_the_outputs() -> None:
    facts = summarize(classifier("resnet"))
    assert facts.memory == sum(4 * math.prod(layer.output_shape) for layer in facts.layers)
