"""Feature maps against what plain forward hooks of torch see."""

from collections import defaultdict

import networks
import numpy as np
import pytest
import torch
from model_state import differences, model_state
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.errors import LayerError, ModelError, NotApplicableError, OptionError
from cnnaudit.inspection import activations
from cnnaudit.results import Activations

CONVOLUTIONAL = tuple(name for name in networks.ARCHITECTURES if name != "mlp")


def hooked(asked: Classifier, pixels: Tensor, names: list[str]) -> dict[str, list[Tensor]]:
    """What each module returns, call by call, by torch alone."""
    seen: dict[str, list[Tensor]] = defaultdict(list)
    modules = dict(asked.network.named_modules())
    handles = [
        modules[name].register_forward_hook(lambda _m, _i, output, name=name: seen[name].append(output.clone()))
        for name in names
    ]
    mean, std = (torch.tensor(values)[:, None, None] for values in (asked.mean, asked.std))
    with torch.no_grad():
        asked.network.eval()((pixels - mean) / std)
    for handle in handles:
        handle.remove()
    return seen


def assert_equal(
    found: Activations, expected: dict[str, list[Tensor]], *, renamed: dict[str, str] | None = None
) -> None:
    for maps in found.layers:
        whole = expected[(renamed or {}).get(maps.layer, maps.layer)][maps.call - 1][0]
        whole = whole[:, None] if whole.ndim == 2 else whole
        assert maps.shape == tuple(whole.shape)
        assert np.array_equal(maps.maps, whole[list(maps.channels)].numpy())
        means = whole.abs().double().mean((1, 2))
        assert list(maps.activity) == pytest.approx(means.sort(descending=True).values[: len(maps.activity)].tolist())
        assert (maps.low, maps.high) == (float(whole.min()), float(whole.max()))
        assert maps.silent == int((whole == 0).flatten(1).all(1).sum())


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_maps_are_what_plain_hooks_see(name: str) -> None:
    asked = networks.classifier(name)
    pixels = networks.picture(asked.input_size)
    before = model_state(asked.network)
    found = activations(asked, pixels)
    assert not differences(before, model_state(asked.network))
    names = [each for each, module in asked.network.named_modules() if isinstance(module, nn.Conv2d)]
    assert_equal(found, hooked(asked, pixels, names))
    assert {maps.layer for maps in found.layers} == set(names)
    assert all(not maps.behind for maps in found.layers)
    assert found.predictions == tuple(asked.predict(pixels)[:5])


def test_behind_the_activation_stands_what_the_whole_block_returns() -> None:
    asked = networks.classifier("mobilenet_v2")
    pixels = networks.picture(asked.input_size)
    found = activations(asked, pixels, stage="activation")
    blocks = {
        f"{name}.0": name
        for name, module in asked.network.named_modules()
        if isinstance(module, nn.Sequential)
        and [type(m).__name__ for m in module] == ["Conv2d", "BatchNorm2d", "ReLU6"]
    }
    kept = [maps for maps in found.layers if maps.layer in blocks]
    assert len(kept) == len(blocks) > 30
    assert {maps.behind for maps in kept} == {("batch normalisation", "ReLU6")}
    assert {maps.behind for maps in found.layers} - {kept[0].behind} == {("batch normalisation",)}
    chosen = Activations(found.image, found.pixels, tuple(kept), (), found.predictions)
    assert_equal(chosen, hooked(asked, pixels, list(blocks.values())), renamed=blocks)


def test_a_sum_between_the_layer_and_the_activation_is_not_the_layer_s_own() -> None:
    asked = networks.classifier("resnet")
    pixels = networks.picture(asked.input_size)
    found = activations(asked, pixels, layers=["layer1.0.conv1", "layer1.0.conv2"], stage="activation")
    assert [maps.behind for maps in found.layers] == [("batch normalisation", "ReLU"), ("batch normalisation",)]
    normalised = {"layer1.0.conv2": "layer1.0.bn2"}
    second = Activations(found.image, found.pixels, found.layers[1:], (), found.predictions)
    assert_equal(second, hooked(asked, pixels, ["layer1.0.bn2"]), renamed=normalised)
    assert found.layers[0].low == 0


class Twice(nn.Module):
    """One convolution called twice, its output changed in place by hand and by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.conv(x))
        x = self.conv(x)
        x += 1
        return self.head(torch.relu_(x).mean((2, 3)))


@pytest.mark.parametrize("stage", ["layer", "activation"])
def test_each_call_of_a_layer_is_a_record(stage: str) -> None:
    torch.manual_seed(0)
    asked = Classifier(Twice(), input_size=(9, 11))
    pixels = networks.picture((9, 11))
    found = activations(asked, pixels, stage=stage)  # type: ignore[arg-type]
    assert [maps.call for maps in found.layers] == [1, 2]
    assert [maps.behind for maps in found.layers] == ([("ReLU",), ()] if stage == "activation" else [(), ()])
    expected = hooked(asked, pixels, ["conv"])
    if stage == "activation":
        expected["conv"][0] = expected["conv"][0].relu()
    assert_equal(found, expected)


def test_signals_have_maps_of_one_row() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 18, 4))
    asked = Classifier(network, input_size=(1, 20), channels=1)
    pixels = torch.rand(1, 1, 1, 20)
    found = activations(asked, pixels)
    assert found.layers[0].shape == (6, 1, 18)
    assert_equal(found, hooked(asked, pixels, ["1"]))


def test_named_layers_may_be_any_that_return_maps() -> None:
    asked = networks.classifier("in_place")
    pixels = networks.picture(asked.input_size)
    found = activations(asked, pixels, layers=["pool", "stem"], channels=3)
    assert [maps.layer for maps in found.layers] == ["stem", "pool"]
    assert all(len(maps.channels) == len(maps.maps) == 3 for maps in found.layers)
    assert_equal(found, hooked(asked, pixels, ["pool", "stem"]))


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("resnet", ["conv1", "layer1", "layer2", "layer3", "layer4"]), ("functional", ["first", "second"])],
)
def test_the_strip_ends_each_block(name: str, blocks: list[str]) -> None:
    asked = networks.classifier(name)
    found = activations(asked, networks.picture(asked.input_size))
    assert [found.layers[place].block for place in found.strip] == blocks
    assert found.strip[-1] == len(found.layers) - 1


def test_what_cannot_be_shown_is_refused_in_words() -> None:
    asked = networks.classifier("in_place")
    pixels = networks.picture(asked.input_size)
    with pytest.raises(LayerError, match="Did you mean 'block'"):
        activations(asked, pixels, layers=["blok"])
    with pytest.raises(LayerError, match=r"'head' returns \(1, 5\), not maps"):
        activations(asked, pixels, layers=["head"])
    with pytest.raises(OptionError, match="channels of at least 1"):
        activations(asked, pixels, channels=0)
    with pytest.raises(OptionError, match="stage"):
        activations(asked, pixels, stage="behind")  # type: ignore[arg-type]
    with pytest.raises(NotApplicableError, match="no convolution"):
        activations(networks.classifier("mlp"), networks.picture((32, 32)))
    asked.network.get_submodule("head").register_module("idle", nn.Conv2d(1, 1, 1))
    with pytest.raises(LayerError, match=r"does not run 'head\.idle'"):
        activations(asked, pixels, layers=["head.idle"])


def test_the_network_is_given_back_whatever_happens() -> None:
    asked = networks.classifier("in_place")
    with torch.no_grad():
        asked.network.get_parameter("last.weight").fill_(torch.inf)
    before = model_state(asked.network)
    with pytest.raises(ModelError, match="'last' returns values that are not finite"):
        activations(asked, networks.picture(asked.input_size), stage="activation")
    assert not differences(before, model_state(asked.network))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_a_scripted_network_cannot_be_watched() -> None:
    scripted = torch.jit.trace(networks.network("in_place"), networks.picture((32, 40)))
    asked = Classifier(scripted, input_size=(32, 40))  # type: ignore[arg-type]
    with pytest.raises(NotApplicableError, match="scripted"):
        activations(asked, networks.picture((32, 40)))
