"""A walk through a convolution, against torch's own convolutions, poolings and activation functions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_state import differences, model_state
from networks import Functional, InPlace, classifier, picture, seeded
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import LayerError, OptionError
from cnnaudit.inspection import walkthrough
from cnnaudit.models import ARCHITECTURES
from cnnaudit.results import Walkthrough

SIZE = (18, 23)


def single(conv: nn.Module, *behind: nn.Module, channels: int = 4, size: tuple[int, int] = SIZE) -> ca.Classifier:
    """A network that convolves once, and has something behind it."""
    net = nn.Sequential(conv, *behind, nn.Flatten(), nn.LazyLinear(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net(torch.rand(1, channels, *size))
        for parameter in net.parameters():
            nn.init.uniform_(parameter, -1, 1)
    return ca.Classifier(net, input_size=size, channels=channels, mean=0.4, std=0.3)


def shown(size: tuple[int, int] = SIZE, channels: int = 4) -> Tensor:
    return torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(5))


def walked(clf: ca.Classifier, size: tuple[int, int] = SIZE, **options: Any) -> tuple[Walkthrough, Tensor]:
    """The walk, and what torch's own convolution makes of the same picture."""
    pixels = shown(size, clf.channels)
    clf.network.eval()
    with torch.no_grad():
        return walkthrough(clf, pixels, "0", **options), clf.network[0](clf.normalised(pixels))[0]


def places(walk: Walkthrough) -> list[tuple[int, int]]:
    height, width = walk.kernels[0].output.shape
    return [(0, 0), (height - 1, width - 1), (height // 2, width // 3), (0, width - 1)]


GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 5), "stride": (2, 3), "padding": (1, 0)},
    {"kernel_size": 3, "dilation": (2, 1), "padding": 2},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 3, "padding": "valid", "dilation": 3},
    {"kernel_size": 3, "groups": 2, "padding": 1, "stride": 2},
    {"kernel_size": 3, "groups": 4, "bias": False},
    {"kernel_size": 1, "stride": 3},
    *({"kernel_size": (3, 4), "padding": (1, 2), "padding_mode": m} for m in ("reflect", "replicate", "circular")),
    {"kernel_size": 4, "padding": "same", "padding_mode": "reflect", "groups": 2, "dilation": 2},
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
def test_every_step_adds_up_to_torchs_convolution(options: dict[str, Any]) -> None:
    clf = single(nn.Conv2d(4, 8, **options))
    walk, expected = walked(clf, channels=range(8))
    conv = clf.network[0]
    for channel in range(8):
        for row, column in places(walk):
            steps = walk.at(channel, row, column)
            assert np.allclose(steps.products, steps.patch * steps.kernel.astype(float))
            assert np.allclose(steps.sums, steps.products.sum((1, 2)))
            total = steps.sums.sum() + steps.rest + steps.bias
            assert total == pytest.approx(float(expected[channel, row, column]), abs=1e-5)
            assert steps.output == pytest.approx(float(expected[channel, row, column]), abs=1e-6)
            first = channel // (8 // conv.groups) * (4 // conv.groups)
            assert np.array_equal(steps.kernel, conv.weight[channel, np.array(steps.inputs) - first].detach())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
def test_padding_lies_where_torch_puts_it(options: dict[str, Any]) -> None:
    clf = single(nn.Conv2d(4, 8, **options))
    walk, _ = walked(clf, channels=range(8))
    (top, left), (height, width) = walk.sliding.before, walk.shape
    assert (height, width) == SIZE
    inside = walk.maps[:, top : top + height, left : left + width]
    assert np.allclose(inside, clf.normalised(shown())[0, list(walk.inputs)].numpy())
    assert walk.sliding.mode == options.get("padding_mode", "zeros")


@pytest.mark.parametrize(
    "options", [{"kernel_size": 5, "stride": 2, "padding": 2}, {"kernel_size": 3, "dilation": 2, "groups": 2}]
)
def test_a_signal_is_walked_through_as_a_map_one_place_high(options: dict[str, Any]) -> None:
    net = nn.Sequential(
        nn.Flatten(1, 2), nn.Conv1d(4, 6, **options), nn.Tanh(), nn.MaxPool1d(3, 2), nn.Flatten(), nn.LazyLinear(2)
    )
    net(torch.rand(1, 4, 1, 40))
    clf = ca.Classifier(net, input_size=(1, 40), channels=4)
    pixels = shown((1, 40))
    walk = walkthrough(clf, pixels, "1", channels=[5, 0])
    with torch.no_grad():
        expected = net[1](pixels[:, :, 0])
        behind = net[2](expected)
        pooled = net[3](behind)[0]
    for channel in (5, 0):
        for _, column in places(walk):
            steps = walk.at(channel, 0, column)
            assert steps.sums.sum() + steps.rest + steps.bias == pytest.approx(
                float(expected[0, channel, column]), abs=1e-5
            )
            assert steps.behind == pytest.approx([float(behind[0, channel, column])], abs=1e-6)
            if steps.pooled:
                assert steps.pooled.value == pytest.approx(float(pooled[channel, steps.pooled.at[1]]), abs=1e-6)
                assert steps.pooled.value == steps.pooled.window.max()


def test_the_other_input_channels_are_summed_up() -> None:
    clf = single(nn.Conv2d(4, 8, 3))
    whole, expected = walked(clf, channels=[2])
    for count in (1, 3):
        walk, _ = walked(clf, channels=[2], inputs=count)
        steps = walk.at(2, 4, 7)
        assert steps.inputs == whole.kernels[0].inputs[:count] and len(walk.maps) == count
        assert steps.sums.sum() + steps.rest + steps.bias == pytest.approx(float(expected[2, 4, 7]), abs=1e-5)
        assert steps.rest == pytest.approx(whole.at(2, 4, 7).sums[count:].sum(), abs=1e-9)


def test_the_largest_contributions_come_first() -> None:
    clf = single(nn.Conv2d(4, 8, 3, padding=1, bias=False))
    walk, _ = walked(clf, channels=[3])
    x, weight = clf.normalised(shown()), clf.network[0].weight.detach()
    sizes = [
        float(F.conv2d(x[:, i : i + 1], weight[3:4, i : i + 1], padding=1).abs().mean()) for i in walk.kernels[0].inputs
    ]
    assert sizes == sorted(sizes, reverse=True)


# What follows

BEHIND: dict[str, tuple[nn.Module, ...]] = {
    "max": (nn.ReLU(), nn.MaxPool2d(3, 2)),
    "in place": (nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "padded": (nn.SiLU(), nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)),
    "dilated": (nn.GELU(), nn.MaxPool2d(2, 3, dilation=2)),
    "mean": (nn.Hardswish(), nn.AvgPool2d((2, 3), padding=1)),
    "mean without padding": (nn.ReLU6(), nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)),
    "ceil": (nn.LeakyReLU(), nn.AvgPool2d(4, 3, ceil_mode=True)),
    "divisor": (nn.ELU(), nn.AvgPool2d(2, divisor_override=3)),
    "adaptive": (nn.PReLU(), nn.AdaptiveAvgPool2d((5, 4))),
    "adaptive max": (nn.Sigmoid(), nn.AdaptiveMaxPool2d(7)),
    "global": (nn.BatchNorm2d(8), nn.Mish(), nn.AdaptiveAvgPool2d(1)),
    "at once": (nn.MaxPool2d(2),),
    "dropout": (nn.BatchNorm2d(8), nn.Softplus(), nn.Dropout2d(), nn.MaxPool2d(2)),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_follows_is_what_the_networks_own_modules_return(name: str) -> None:
    clf = single(nn.Conv2d(4, 8, 3, padding=1), *BEHIND[name])
    walk, output = walked(clf, channels=[7, 1])
    behind = [module for module in BEHIND[name] if not isinstance(module, nn.Dropout2d)]
    assert [s.layer for s in walk.stages] == [str(1 + BEHIND[name].index(m)) for m in behind]
    with torch.no_grad():
        maps, before = output[None], output[None]
        clf.network.eval()
        for stage, module in zip(walk.stages, behind, strict=True):
            before, maps = maps.clone(), module(maps.clone())
            assert np.allclose(stage.maps, maps[0, [7, 1]], atol=1e-6)
    pool = walk.pooling
    assert pool is not None and pool.rows and pool.columns
    down, right = pool.rows, pool.columns
    assert (len(down.places), len(right.places)) == maps.shape[2:]
    for u, rows in enumerate(down.places):
        for v, columns in enumerate(right.places):
            window = before[0, 7][list(rows)][:, list(columns)]
            made = window.max() if "max" in pool.name else window.sum() / (down.sizes[u] * right.sizes[v])
            assert float(made) == pytest.approx(float(maps[0, 7, u, v]), abs=1e-5)


def test_a_norm_says_how_it_scales_and_shifts() -> None:
    clf = single(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    clf.network[1].running_mean.uniform_(-1, 1)
    walk, output = walked(clf, channels=[4, 6])
    norm = walk.stages[0]
    assert norm.kind == "norm" and norm.scale and norm.shift
    for place, channel in enumerate((4, 6)):
        assert np.allclose(output[channel] * norm.scale[place] + norm.shift[place], norm.maps[place], atol=1e-5)


def test_a_residual_sum_names_the_other_summand() -> None:
    clf = ca.Classifier(seeded(InPlace), input_size=(32, 40))
    walk = walkthrough(clf, picture((32, 40)), "block")
    assert [(s.kind, s.layer) for s in walk.stages] == [("sum", ""), ("activation", "relu")]
    total, own = walk.stages[0], walk.kernels[0].output
    assert total.added is not None
    assert np.allclose(own + total.added[0], total.maps[0], atol=1e-6)
    assert np.allclose(np.maximum(total.maps, 0), walk.stages[1].maps)


def test_functions_are_followed_as_modules_are() -> None:
    clf = ca.Classifier(seeded(Functional), input_size=(32, 32))
    first, second = (walkthrough(clf, picture((32, 32)), name) for name in ("first", "second"))
    assert [(s.kind, s.name, s.layer) for s in first.stages] == [("activation", "ReLU", "")]
    assert [s.kind for s in second.stages] == ["activation", "pooling"]


def test_maps_that_go_two_ways_are_not_followed() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.head((x * torch.sigmoid(x)).mean((2, 3)))

    assert walkthrough(ca.Classifier(Gated(), input_size=12), picture((12, 12))).stages == ()


def test_a_resnet_ends_in_a_mean() -> None:
    clf = classifier("resnet")
    walk = walkthrough(clf, picture((64, 64)), "layer4.0.conv2")
    assert [s.kind for s in walk.stages] == ["norm", "sum", "activation", "pooling"]
    maps: list[Tensor] = []
    handle = clf.network.avgpool.register_forward_hook(lambda _m, _i, output: maps.append(output))
    clf.scores(picture((64, 64)))
    handle.remove()
    assert np.allclose(walk.stages[-1].maps, maps[0][0, list(walk.channels)], atol=1e-6)


# Where it looks


def test_the_field_is_where_a_change_of_the_picture_counts() -> None:
    clf = classifier("in_place")
    pixels = picture((32, 40))
    for layer in ("block", "stem"):
        walk = walkthrough(clf, pixels, layer)
        row, column = 3, 5
        seen = walk.at(walk.channels[0], row, column).field
        assert seen is not None
        top, left, bottom, right = seen
        changed = pixels.clone()
        changed[..., top:bottom, left:right] = 1 - changed[..., top:bottom, left:right]
        outside = 1 - pixels
        outside[..., top:bottom, left:right] = pixels[..., top:bottom, left:right]
        values = [
            walkthrough(clf, p, layer, channels=walk.channels[:1]).at(walk.channels[0], row, column).output
            for p in (changed, outside)
        ]
        own = walk.at(walk.channels[0], row, column).output
        assert values[0] != own and values[1] == pytest.approx(own, abs=1e-6)


def test_at_an_edge_the_field_ends_with_the_photo() -> None:
    walk = walkthrough(classifier("in_place"), picture((32, 40)), "stem")
    assert walk.field(0, 0) == (0, 0, 2, 2)
    assert walk.field(31, 39) == (30, 38, 32, 40)


# Choices and refusals


def test_by_default_the_first_convolution_and_its_most_active_channels() -> None:
    clf = classifier("mobilenet_v2")
    walk = walkthrough(clf, picture((64, 64)))
    assert walk.layer == "features.0.0" and len(walk.channels) == 4
    maps = clf.network.features[0].eval()(clf.normalised(picture((64, 64))))[0].mean((1, 2))
    assert list(walk.channels) == maps.argsort(descending=True)[:4].tolist()


def test_a_large_layer_carries_what_a_page_has_room_for() -> None:
    layers = (nn.Conv2d(3, 32, 1), nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    clf = ca.Classifier(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=224)
    walk = walkthrough(clf, picture((224, 224)), "1")
    carried = walk.maps.size + sum(2 * k.output.size for k in walk.kernels) + sum(s.maps.size for s in walk.stages)
    assert carried < 800_000 and len(walk.channels) >= 2 and 1 < len(walk.inputs) < 32
    steps = walk.at(walk.channels[1], 50, 60)
    assert steps.sums.sum() + steps.rest + steps.bias == pytest.approx(steps.output, abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "options", "error", "message"),
    [
        ("stam", {}, LayerError, "Did you mean 'stem'"),
        ("relu", {}, LayerError, "is a ReLU; a walk takes a Conv1d or Conv2d"),
        ("stem", {"channels": [8]}, OptionError, "from 0 to 7"),
        ("stem", {"channels": []}, OptionError, "at least one"),
        ("stem", {"channels": [1.5]}, OptionError, "whole numbers"),
        ("stem", {"inputs": 0}, OptionError, "at least 1; got 0"),
    ],
)
def test_what_there_is_not_is_refused(
    layer: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    clf = classifier("in_place")
    before = model_state(clf.network)
    with pytest.raises(error, match=message):
        walkthrough(clf, picture((32, 40)), layer, **options)
    assert differences(before, model_state(clf.network)) == []


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(LayerError, match="runs no Conv1d or Conv2d"):
        walkthrough(classifier("mlp"), picture((32, 32)))


def test_a_layer_that_does_not_run_is_refused() -> None:
    net = InPlace()
    net.idle = nn.Conv2d(3, 3, 3)
    with pytest.raises(LayerError, match="does not run 'idle'"):
        walkthrough(ca.Classifier(net, input_size=(32, 40)), picture((32, 40)), "idle")


@pytest.mark.parametrize(("channel", "row", "column"), [(99, 0, 0), (None, 32, 0), (None, 0, -1)])
def test_a_place_that_there_is_not_is_refused(channel: int | None, row: int, column: int) -> None:
    walk = walkthrough(classifier("in_place"), picture((32, 40)), "stem")
    with pytest.raises(OptionError):
        walk.at(walk.channels[0] if channel is None else channel, row, column)


def test_a_layer_called_twice_is_shown_as_it_is_called_first() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(conv, nn.ReLU(), conv, nn.Flatten(), nn.LazyLinear(2))
    net(torch.rand(1, 3, 9, 9))
    walk = walkthrough(ca.Classifier(net, input_size=9), picture((9, 9)), "0")
    assert walk.calls == 2
    assert np.allclose(walk.kernels[0].output, conv(picture((9, 9)))[0, walk.channels[0]].detach(), atol=1e-6)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_computed_weights_are_those_that_ran(norm: Callable[[nn.Module], nn.Module]) -> None:
    walk, expected = walked(single(norm(nn.Conv2d(4, 8, 3))), channels=[2])
    steps = walk.at(2, 1, 1)
    assert steps.sums.sum() + steps.rest + steps.bias == pytest.approx(float(expected[2, 1, 1]), rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("name", ["in_place", "functional", "resnet", "densenet", "efficientnet", "convnext"])
def test_the_network_comes_back_as_it_was(name: str) -> None:
    clf = classifier(name)
    clf.network.train()
    before = model_state(clf.network)
    walkthrough(clf, picture(clf.input_size))
    assert differences(before, model_state(clf.network)) == []


def test_mnist1d() -> None:
    net = ARCHITECTURES["mnist1d-cnn"]()
    walk = walkthrough(ca.Classifier(net, input_size=(1, 40), channels=1), shown((1, 40), 1), "conv2")
    assert (walk.kind, walk.sliding.kernel, walk.sliding.stride) == ("Conv1d", (1, 3), (1, 2))
    assert walk.field(0, 1) == (0, 4, 1, 11)
