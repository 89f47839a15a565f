"""Units behind activation functions, however these are spelt: against torch alone."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import LayerError
from cnnaudit.inspection import ablation, channel, dead_units, exemplars, visualize_feature
from cnnaudit.inspection.units import unit_layers
from cnnaudit.results import Ablation
from tests.inspection.plain_loops import pictures
from tests.model_state import differences, model_state

DEAD = (1, 4)


class Spelt(nn.Module):
    """Two convolutions, each with a ReLU behind it: modules of their own, functions, or one module for both."""

    def __init__(self, first: Callable[["Spelt", Tensor], Tensor], second: Callable[["Spelt", Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.one, self.two, self.head = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 3)
        self.act, self.last = nn.ReLU(), nn.ReLU(inplace=True)
        dict(self.named_parameters())["one.bias"].data.fill_(0.5)[list(DEAD)] = -100
        self.functions = first, second

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.functions
        return self.head(second(self, self.two(first(self, self.one(x)))).mean((2, 3)))


def ignored(net: Spelt, x: Tensor) -> Tensor:
    """Nobody looks at what comes back of an operation in place."""
    torch.relu_(x)
    return x


SPELLINGS = {
    "modules": Spelt(lambda net, x: net.act(x), lambda net, x: net.last(x)),
    "functions": Spelt(lambda net, x: F.relu(x), lambda net, x: x.relu()),
    "in place": Spelt(lambda net, x: F.relu(x, inplace=True), lambda net, x: x.relu_()),
    "one module": Spelt(lambda net, x: net.act(x), lambda net, x: net.act(x)),
    "one module in place": Spelt(lambda net, x: net.last(x), lambda net, x: net.last(x)),
    "ignored": Spelt(ignored, ignored),
}


@pytest.fixture(params=SPELLINGS)
def classifier(request: pytest.FixtureRequest) -> ca.Classifier:
    return ca.Classifier(SPELLINGS[request.param].eval(), input_size=(9, 9), channels=1)


def test_the_same_units_are_dead(classifier: ca.Classifier) -> None:
    found = dead_units(classifier, pictures(9, classifier), batch_size=4)
    assert found["one"].dead == DEAD
    assert found["one"].behind in ("act", "one:ReLU")
    best = exemplars(classifier, pictures(9, classifier), layers=[found["one"].behind], k=2)
    assert best.layers[0].silent == DEAD
    assert best.layers[0].units[0].patches[0].pixels.shape == (3, 3, 1)


def test_units_are_set_to_their_means_behind_the_function(classifier: ca.Classifier) -> None:
    pixels, net = pictures(12, classifier), SPELLINGS["functions"]
    truth = (torch.arange(12) % 3).tolist()
    before = model_state(classifier.network)
    found = ablation(classifier, pixels, layer=unit_layers(classifier)["one"], units=[0, 3], classes=truth)
    assert differences(before, model_state(classifier.network)) == []
    with torch.no_grad():
        maps = F.relu(net.one(pixels))
        logits = net(pixels)
    for each in found.units:
        assert each.mean == pytest.approx(float(maps[:, each.unit].mean()), rel=1e-4)
        with torch.no_grad():
            changed = maps.clone()
            changed[:, each.unit] = maps[:, each.unit].mean()
            without = net.head(F.relu(net.two(changed)).mean((2, 3)))
        expect(found, each.unit, (without - logits)[torch.arange(12), truth], truth)


def expect(found: Ablation, unit: int, changes: Tensor, truth: list[int]) -> None:
    classes = next(each for each in found.units if each.unit == unit).classes
    for k, loss in enumerate(classes):
        expected = float(changes[torch.tensor(truth) == k].mean())
        assert loss.logit is not None
        assert loss.logit.value == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_units_are_chosen_and_pictures_made_for_them_alike() -> None:
    asked = {
        name: ca.Classifier(net.eval(), input_size=(9, 9), channels=1)
        for name, net in SPELLINGS.items()
        if name != "ignored"  # no gradient goes through what is put there
    }
    photos = pictures(12, asked["modules"])
    layers = {name: unit_layers(each)["one"] for name, each in asked.items()}
    found = {name: ablation(each, photos, layer=layers[name], units=2) for name, each in asked.items()}
    expected = [(each.unit, pytest.approx(each.estimate, rel=1e-3)) for each in found["modules"].units]
    for name in asked:
        assert [(each.unit, each.estimate) for each in found[name].units] == expected
        made = visualize_feature(asked[name], channel(layers[name], 2), steps=3, size=9).pictures[0]
        with torch.no_grad():
            maps = F.relu(SPELLINGS["functions"].one(asked[name].normalised(torch.from_numpy(made.pixels)[None])))
        assert made.activation == pytest.approx(float(maps[0, 2].amax()), rel=1e-3)


def test_dead_units_of_a_residual_block() -> None:
    network = torchvision.models.resnet18(num_classes=4)
    dict(network.named_parameters())["layer1.0.bn1.bias"].data.fill_(-100)
    classifier = ca.Classifier(network.eval(), input_size=(32, 32))
    found = dead_units(classifier, pictures(3, classifier))
    assert len(found["layer1.0.conv1"].dead) == found["layer1.0.conv1"].units == 64


class Series(nn.Module):
    """A convolution that is called twice, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.one, self.both, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.both(F.relu(self.both(self.one(x))))).mean((2, 3)))


def test_a_layer_in_series_goes_without_its_unit_at_each_call() -> None:
    net = Series().eval()
    classifier = ca.Classifier(net, input_size=(7, 7), channels=1)
    assert unit_layers(classifier)["both"] == "both:ReLU"
    pixels, truth = pictures(9, classifier), [0, 1, 2] * 3
    assert len(ablation(classifier, pixels, layer="both", units=2).units) > 0
    found = ablation(classifier, pixels, layer="both:ReLU", units=[1, 2], classes=truth)
    with torch.no_grad():
        first = F.relu(net.both(net.one(pixels)))
        mean = torch.cat([first, F.relu(net.both(first))]).mean((0, 2, 3))
        for unit in (1, 2):
            maps = net.one(pixels)
            for _ in range(2):
                maps = F.relu(net.both(maps)).clone()
                maps[:, unit] = mean[unit]
            changes = net.head(maps.mean((2, 3))) - net(pixels)
            expect(found, unit, changes[torch.arange(9), truth], truth)


@pytest.mark.parametrize("name", ["one:ReLu", "one:tanh", "on:ReLU"])
def test_no_such_place(name: str) -> None:
    classifier = ca.Classifier(SPELLINGS["functions"].eval(), input_size=(9, 9), channels=1)
    with pytest.raises(LayerError, match="does not run" if name == "one:tanh" else "no layer"):
        exemplars(classifier, pictures(2, classifier), layers=[name])
