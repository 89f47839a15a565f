"""Where the units of convolutions are read."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.units import activated_layers, before_bounded, some_layers, unit_layers
from tests import networks
from tests.inspection import small_networks


def test_behind_normalisation_and_activation() -> None:
    found = unit_layers(networks.classifier("mobilenet_v2"))
    assert found["features.0.0"] == "features.0.2"
    assert found["features.3.conv.1.0"] == "features.3.conv.1.2"
    assert found["features.3.conv.2"] == "features.3.conv.3"
    assert found["features.18.0"] == "features.18.2"


def test_behind_a_module_that_serves_several_layers() -> None:
    classifier = ca.Classifier(torchvision.models.resnet18(num_classes=4), input_size=(32, 32))
    found = unit_layers(classifier)
    assert found["layer1.0.conv1"] == "layer1.0.bn1:ReLU"
    assert found["layer1.0.conv2"] == "layer1.0.bn2"  # what comes behind is a sum
    assert found["conv1"] == "relu"
    assert activated_layers(classifier)[-2:] == ["layer4.0.bn1:ReLU", "layer4.1.bn1:ReLU"]
    assert unit_layers(networks.classifier("in_place")) == {"stem": "norm:ReLU", "block": "block", "last": "last:ReLU"}


def test_what_goes_two_ways_is_read_before_it_does() -> None:
    """Of `x * sigmoid(x)` the sigmoid is not what the units say; nor is a sum in place the convolution's own."""
    gate = small_networks.Small(lambda net, x: (y := net.one(x)) * torch.sigmoid(y))
    assert unit_layers(small_networks.classifier(gate))["one"] == "one"

    def added(net: small_networks.Small, x: Tensor) -> Tensor:
        y, z = net.act(net.one(x)), net.one(x)
        z += y
        return torch.relu(z)

    assert unit_layers(small_networks.classifier(small_networks.Small(added)))["one"] == "act"


def test_activations_with_an_upper_limit_have_something_before_them() -> None:
    classifier = networks.classifier("mobilenet_v2")
    found = before_bounded(classifier, ["features.0.2", "features.3.conv.1.2", "features.3.conv.3"])
    assert found == {"features.0.2": "features.0.1", "features.3.conv.1.2": "features.3.conv.1.1"}
    shared = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU6())
    network = nn.Sequential(shared[0], shared[0], shared[1], nn.Conv2d(3, 2, 1), nn.Tanh(), nn.Flatten())
    assert before_bounded(ca.Classifier(network, input_size=(2, 2)), ["2", "4", "5"]) == {"4": "3"}


@pytest.mark.parametrize("function", [F.relu6, lambda x: F.hardtanh(x, 0, 6, True), lambda x: x.clamp_(0, 6)])
def test_functions_with_an_upper_limit_have_something_before_them(function: Callable[[Tensor], Tensor]) -> None:
    classifier = small_networks.classifier(small_networks.Small(lambda net, x: function(net.one(x))))
    place = unit_layers(classifier)["one"]
    assert place in ("one:ReLU6", "one:clamp")
    assert before_bounded(classifier, [place]) == {place: "one"}


def test_behind_functions() -> None:
    assert unit_layers(networks.classifier("functional")) == {"first": "first:ReLU", "second": "second:ReLU"}


def test_linear_layers_where_asked_for() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 2))
    classifier = ca.Classifier(network, input_size=(4, 4), channels=1)
    assert unit_layers(classifier) == {"0": "0"}
    assert unit_layers(classifier, linear=True) == {"0": "0", "2": "3", "4": "4"}


def test_layers_that_do_not_run_are_left_out() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x).mean((2, 3))

    assert unit_layers(ca.Classifier(Idle(), input_size=(4, 4), channels=1)) == {"used": "used"}


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (3, 3), (100, 52)])
def test_some_layers_end_with_the_last(most: int, expected: int) -> None:
    found = some_layers(networks.classifier("mobilenet_v2"), most)
    assert found[-1] == "features.18.2"
    assert len(found) == expected
    assert len(set(found)) == len(found)


def test_no_convolution() -> None:
    with pytest.raises(NotApplicableError, match="no convolution"):
        unit_layers(networks.classifier("mlp"))
    assert torch.is_grad_enabled()
