"""Real files of weights load as they are, or the error says what would fit."""

from collections import OrderedDict
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from cnnaudit.errors import WeightsError
from cnnaudit.loading import catalog
from cnnaudit.loading.fitting import Fitted, fit, load_exactly

State = dict[str, Tensor]


def small(classes: int | None = None) -> nn.Sequential:
    """A network with every kind of key: convolution, BatchNorm, two linear layers."""
    body = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4)))
    return nn.Sequential(
        OrderedDict(
            body=body,
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            mid=nn.Linear(4, 5),
            head=nn.Linear(5, classes or 10),
        )
    )


def weights(classes: int | None = None) -> State:
    return {key: value + 1 for key, value in small(classes).state_dict().items()}


def fitted(state: Mapping[str, Tensor]) -> Fitted:
    return fit(small, state, what="small", origin="net.pth")


def check(state: Mapping[str, Tensor], expected: State) -> Fitted:
    found = fitted(state)
    loaded = found.network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in expected.items())
    return found


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "net.", "backbone.", "_orig_mod.", "module._orig_mod.", "student.model.", "body."],
)
def test_a_prefix_is_stripped(prefix: str) -> None:
    expected = weights()
    assert check({prefix + key: value for key, value in expected.items()}, expected).notes == ()


def test_wrappers_inside_are_stripped() -> None:
    expected = weights()
    wrapped = {key.replace("body.", "body._orig_mod."): value for key, value in expected.items()}
    check(wrapped, expected)
    check({key.replace("body.", "_fsdp_wrapped_module.body."): v for key, v in expected.items()}, expected)


def test_what_lies_beside_the_network_is_left_out_and_named() -> None:
    expected = weights()
    state = {f"model.{key}": value for key, value in expected.items()} | {"criterion.weight": torch.ones(10)}
    assert check(state, expected).notes == ("of the file, only model.* was used; not criterion.weight",)


def test_averaged_weights_in_the_same_dictionary_are_second() -> None:
    expected = weights()
    state = {f"ema.{key}": value + 5 for key, value in expected.items()}
    check(state | {f"module.{key}": value for key, value in expected.items()}, expected)


def test_counters_that_older_files_lack_are_filled_in() -> None:
    expected = {key: value for key, value in weights().items() if not key.endswith("num_batches_tracked")}
    assert check(expected, expected).notes == ()


def test_counters_of_profilers_are_ignored() -> None:
    expected = weights()
    check(expected | {"total_ops": torch.zeros(1), "body.conv.total_params": torch.zeros(1)}, expected)


def test_any_precision_becomes_the_networks_own() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        expected = weights()
        state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in expected.items()}
        loaded = fitted(state).network.state_dict()
        assert loaded["mid.weight"].dtype == torch.float32
        assert torch.equal(loaded["mid.weight"], state["mid.weight"].float())


def test_another_number_of_classes_is_met() -> None:
    expected = weights(7)
    found = check(expected, expected)
    assert found.classes == 7
    assert "7 classes" in found.notes[0]
    assert fitted(weights()).classes is None


def test_another_number_of_channels_is_met() -> None:
    for classes in (None, 7):
        expected = weights(classes)
        expected["body.conv.weight"] = torch.ones(4, 1, 3, 3)
        found = check(expected, expected)
        assert (found.channels, found.classes) == (1, classes)


@pytest.mark.parametrize("name", ["head.1", "classifier", "fc.last"])
def test_a_renamed_head_is_met(name: str) -> None:
    expected = weights(7)
    state = {key.replace("head.", f"{name}."): value for key, value in expected.items()}
    found = check(state, expected)
    assert any(f"last layer is {name}" in note for note in found.notes)


def test_old_names_of_torchvision_are_met() -> None:
    densenet = models.densenet121(weights=None).state_dict()
    old = {key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value for key, value in densenet.items()}
    assert old.keys() != densenet.keys()
    found = fit(lambda _n: models.densenet121(weights=None), old, what="densenet121", origin="old.pth")
    assert all(torch.equal(found.network.state_dict()[key], value) for key, value in densenet.items())


def test_vision_transformers_before_version_2_are_met() -> None:
    def build(classes: int | None) -> nn.Module:
        return models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=classes or 10)

    now = build(None).state_dict()
    old = {key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v for key, v in now.items()}
    assert old.keys() != now.keys()
    loaded = fit(build, old, what="vit", origin="old.pth").network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in now.items())


def test_mnasnet_loads_without_its_version() -> None:
    state = dict(models.mnasnet0_5(weights=None).state_dict())  # a plain dict has no versions
    assert fit(lambda _n: models.mnasnet0_5(weights=None), state, what="mnasnet0_5", origin="m.safetensors").notes == ()


@pytest.mark.parametrize(
    ("name", "classes"),
    [("googlenet", 1000), ("googlenet", 5), pytest.param("inception_v3", 5, marks=pytest.mark.slow)],
)
def test_auxiliary_heads_in_the_file_are_left_out(name: str, classes: int) -> None:
    state = models.get_model(name, weights=None, init_weights=False, num_classes=classes).state_dict()
    assert any(key.startswith(("aux1.", "AuxLogits.")) for key in state)
    found = fit(lambda n: catalog.build_torchvision(name, classes=n), state, what=name, origin="aux.pth")
    assert all(torch.equal(value, state[key]) for key, value in found.network.state_dict().items())
    assert found.classes == (None if classes == 1000 else 5)


def test_the_error_lists_ten_of_each_and_counts_the_rest() -> None:
    state = models.resnet18(weights=None).state_dict()
    with pytest.raises(WeightsError) as caught:
        fit(lambda _n: models.resnet34(weights=None), state, what="resnet34", origin="net.pth")
    message = str(caught.value)
    assert message.startswith("net.pth does not fit resnet34: 122 of its 218 tensors do.")
    assert "Missing (96): layer1.2.conv1.weight, " in message
    assert "layer2.2.bn1.running_mean" not in message
    assert "and 86 more" in message
    assert message.endswith("Its sizes are those of resnet18: give --model resnet18.")


def test_the_error_says_which_shape_was_expected() -> None:
    state = weights() | {"mid.weight": torch.zeros(6, 4), "mid.bias": torch.zeros(5, dtype=torch.int8)}
    with pytest.raises(WeightsError) as caught:
        fitted(state)
    assert "Misshapen (2): mid.weight is 6x4, expected 5x4, mid.bias is 5 (int8), expected 5." in str(caught.value)


def test_a_network_that_cannot_be_rebuilt_says_how_many_classes_it_needs() -> None:
    with pytest.raises(WeightsError, match="The file has 7 classes, the network 10: make the network with 7"):
        load_exactly(small(), weights(7), what="mine:net", origin="net.pth")
    assert load_exactly(small(), weights(), what="mine:net", origin="net.pth").notes == ()


def test_a_head_of_two_layers_is_named_as_the_cause() -> None:
    state = weights()
    state |= {"head.0.weight": state.pop("head.weight"), "head.0.bias": state.pop("head.bias")}
    state |= {"head.2.weight": torch.zeros(2, 10), "head.2.bias": torch.zeros(2)}
    with pytest.raises(WeightsError, match="the head was changed"):
        fitted(state)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("resnet18", 1000), ("resnet50", 7), ("vgg11_bn", 3), ("squeezenet1_1", 12), ("mobilenet_v3_small", 2)],
)
def test_an_architecture_is_known_by_its_sizes(name: str, classes: int) -> None:
    with torch.device("meta"):
        state = models.get_model(name, weights=None, num_classes=classes).state_dict()
    assert catalog.architecture_of({f"module.{key}": value for key, value in state.items()}) == name


def test_sizes_of_no_known_architecture() -> None:
    assert catalog.architecture_of(weights()) is None
    assert catalog.architecture_of({}) is None
