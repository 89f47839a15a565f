"""Dead units: made so on purpose, found where a plain look at all values finds them."""

import pytest
import torch
from torch import nn

import cnnaudit as ca
from cnnaudit.inspection import dead_units
from tests import networks
from tests.inspection.plain_loops import outputs, pictures


@pytest.mark.parametrize("seed", range(4))
def test_a_relu_that_is_never_passed(seed: int) -> None:
    """Whatever the weights: what is not shut varies by thousands of times its rounding."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(144, 5),
        nn.ReLU(),
        nn.Linear(5, 2),
    ).eval()
    biases = dict(network.named_parameters())
    biases["1.bias"].data.copy_(torch.tensor([9.0, 9, 9, -100]))
    biases["4.bias"].data.copy_(torch.tensor([-100.0, 100, -100, 100, 100]))
    classifier = ca.Classifier(network, input_size=(8, 8), channels=1)
    found = dead_units(classifier, pictures(9, classifier), batch_size=4)
    assert {name: (each.behind, each.units, each.dead) for name, each in found.items()} == {
        "0": ("2", 4, (3,)),
        "4": ("5", 5, (0, 2)),
        "6": ("6", 2, ()),
    }
    assert found["4"].share == 0.4
    assert found["0"].pictures == 9


def test_equal_to_looking_at_all_values() -> None:
    classifier = networks.classifier("mobilenet_v2")
    pixels = pictures(3, classifier)
    for each in dead_units(classifier, pixels, batch_size=2).values():
        maps = outputs(classifier, pixels, each.behind)
        flat = maps.transpose(0, 1).flatten(1)
        dead = (flat.amax(1) == flat.amin(1)).nonzero().flatten().tolist()
        assert list(each.dead) == dead
        assert each.units == maps.shape[1]


def test_named_layers_are_watched_themselves() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dict(network.named_parameters())["0.bias"].data[:] = torch.tensor([-100.0, 100.0])
    classifier = ca.Classifier(network.eval(), input_size=(4, 4), channels=1)
    pixels = pictures(3, classifier)
    assert dead_units(classifier, pixels, layers=["0"])["0"].dead == ()
    assert dead_units(classifier, pixels)["0"].dead == (0,)


def test_linear_layers_that_run_at_many_places_have_no_channels_here() -> None:
    classifier = networks.classifier("vit")
    found = dead_units(classifier, pictures(2, classifier))
    assert "conv_proj" in found
    assert not any("mlp" in name for name in found)
    assert found["heads.head"].units == 5
