"""Networks that are written as users write them: compiled in part, channels last, one picture at a time, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import inspection
from cnnaudit.errors import CnnAuditError, LayerError, ModelError
from tests.inspection.small_networks import SIZE, Small, classifier, noise


class Apart(Small):
    """Takes its batch apart."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super(Apart, self).forward(picture) for picture in x.split(1)])


class Alone(Small):
    """Knows batches of one picture only."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(1, 1, SIZE, SIZE))


class Flat(Small):
    """Refuses pictures that show nothing."""

    def forward(self, x: Tensor) -> Tensor:
        if 0 < float(x.mean()) == float(x.max()):
            raise KeyError("flat")
        return super().forward(x)


class Busy(Small):
    """Refuses pictures that show something."""

    def forward(self, x: Tensor) -> Tensor:
        if float(x.mean()) != float(x.max()):
            raise KeyError("busy")
        return super().forward(x)


def by_place(net: Any, x: Tensor) -> Tensor:
    return net.mix(net.act(net.one(x)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "ask",
    [
        lambda clf, layer: inspection.exemplars(clf, noise(), layers=[layer]),
        lambda clf, layer: inspection.dead_units(clf, noise(), layers=[layer]),
        lambda clf, layer: inspection.ablation(clf, noise(), layer=layer, units=1),
        lambda clf, layer: inspection.activations(clf, noise(1), layers=[layer]),
        lambda clf, layer: inspection.effective_field(clf, layer, noise(1)),
    ],
)
def test_rows_are_not_read_as_channels(ask: Callable[[ca.Classifier, str], object]) -> None:
    clf = classifier(Small(by_place))
    with pytest.raises(LayerError, match="channels last"):
        ask(clf, "mix")
    ask(clf, "act")
    ask(clf, "two")


def test_linear_layers_over_places_keep_their_channels_first() -> None:
    clf = classifier(Small(lambda net, x: net.mix(net.one(x)[..., :4])))
    assert inspection.activations(clf, noise(1), layers=["mix"]).layers[0].shape == (4, 6, 4)


@pytest.mark.parametrize(
    "way", [lambda x: x.max().item(), lambda x: float(x.max()), lambda x: x.amax((2, 3)).tolist()[0][0]]
)
def test_numbers_that_leave_torch_may_come_back(way: Callable[[Tensor], float]) -> None:
    """Dividing by the largest pixel changes every value, as a gradient does not tell."""
    clf = classifier(Small(lambda net, x: net.one(x / way(x))))
    with pytest.raises(LayerError, match="come back from outside torch"):
        inspection.receptive_field(clf, "one")


def test_fields_are_those_of_the_network_as_it_is_now() -> None:
    net = Small()
    clf, pixels = classifier(net), noise(2)
    inspection.exemplars(clf, pixels, layers=["one"], k=1)
    net.one.stride = (2, 2)
    for unit in inspection.exemplars(clf, pixels, layers=["one"], k=1).layers[0].units:
        patch = unit.patches[0]
        assert patch.box == (2 * patch.position[0], 2 * patch.position[1], *(2 * at + 2 for at in patch.position))


def test_a_container_is_no_leaf_whatever_ran_last() -> None:
    class Inner(nn.Module):
        def __init__(self, foreign: nn.Module) -> None:
            super().__init__()
            self.conv, self.foreign = nn.Conv2d(1, 4, 3), [foreign]

        def forward(self, x: Tensor) -> Tensor:
            return self.foreign[0](self.conv(x))

    act = nn.ReLU()
    net = nn.Sequential(Inner(act), act, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    layers = inspection.summarize(classifier(net)).layers
    assert [layer.name for layer in layers] == ["0.conv", "1", "1", "2", "3", "4"]


def test_a_call_that_fails_inside_is_no_part_of_its_caller() -> None:
    class Tries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Conv2d(7, 4, 3), nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.wrong(x)
            except RuntimeError:
                return self.right(x)

    net = nn.Sequential(Tries(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert [layer.name for layer in inspection.summarize(classifier(net)).layers] == ["0.right", "1", "2", "3"]


@pytest.mark.filterwarnings("ignore")
def test_compiled_parts_are_watched_as_they_were_written() -> None:
    net = Small()
    plain = classifier(net)
    expected = [layer.name for layer in inspection.summarize(plain).layers]
    scores = plain.scores(noise())
    compiled = torch.compile(nn.Sequential(net.one, net.act), backend="eager")
    net.first = lambda _, x: compiled(x)
    clf = classifier(net)
    torch.testing.assert_close(clf.scores(noise()), scores)
    assert [layer.name for layer in inspection.summarize(clf).layers] == expected
    assert inspection.receptive_field(clf, "act").size == (3, 3)


@pytest.mark.parametrize("kind", [Apart, Alone])
def test_one_picture_at_a_time(kind: type[Small]) -> None:
    same, clf, pixels = classifier(Small()), classifier(kind()), noise()
    torch.testing.assert_close(clf.scores(pixels), same.scores(pixels))
    answers = [unit.patches[0].activation for unit in inspection.exemplars(clf, pixels, layers=["act"]).layers[0].units]
    expected = [
        unit.patches[0].activation for unit in inspection.exemplars(same, pixels, layers=["act"]).layers[0].units
    ]
    assert answers == pytest.approx(expected, rel=1e-5)
    ours, theirs = (inspection.ablation(each, pixels, layer="act", units=[1]).units[0] for each in (clf, same))
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-5)
    assert inspection.embedding(clf, pixels).points == pytest.approx(
        inspection.embedding(same, pixels).points, abs=1e-4
    )


@pytest.mark.parametrize("function", [lambda x: torch.relu(input=x), lambda x: F.gelu(input=x)])
def test_arguments_by_name(function: Callable[[Tensor], Tensor]) -> None:
    net = Small(lambda net, x: function(net.one(x)))
    shown = inspection.activations(classifier(net), noise(1), layers=["one"], stage="activation").layers[0]
    with torch.no_grad():
        expected = function(net.one(noise(1)))[0, list(shown.channels)]
    np.testing.assert_allclose(shown.maps, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert len(shown.behind) == 1


def test_features_that_the_last_layer_is_given_by_name() -> None:
    class Named(Small):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(input=self.two(self.first(self, x)).mean((2, 3)))

    assert inspection.embedding(classifier(Named()), noise()).features == 5


@pytest.mark.parametrize(("kernel", "expected"), [(3, (3, 3)), ("3x3", None), ((), None), (0.5, None)])
def test_a_window_in_words_of_the_users_own(kernel: object, expected: tuple[int, ...] | None) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel_size, self.padding = kernel, "same"

        def forward(self, x: Tensor) -> Tensor:
            return x

    net = nn.Sequential(Own(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    row = inspection.summarize(classifier(net)).layers[0]
    assert (row.kernel, row.padding) == (expected, expected and (1, 1))


ASKED: dict[str, Callable[[ca.Classifier], object]] = {
    "filters": inspection.filters,
    "activations": lambda clf: inspection.activations(clf, noise(1)),
    "exemplars": lambda clf: inspection.exemplars(clf, noise(), layers=["act"]),
    "dead units": lambda clf: inspection.dead_units(clf, noise(), layers=["act"]),
    "ablation": lambda clf: inspection.ablation(clf, noise(), layer="act"),
    "embedding": lambda clf: inspection.embedding(clf, noise()),
    "effective field": lambda clf: inspection.effective_field(clf, "one", noise(1)),
}


@pytest.mark.parametrize("kind", [Flat, Busy])
@pytest.mark.parametrize("name", ASKED)
def test_what_the_network_raises_comes_out_as_an_error_of_ours(name: str, kind: type[Small]) -> None:
    clf = classifier(kind())
    if (name, kind) == ("filters", Busy):
        ASKED[name](clf)
        return
    with pytest.raises(CnnAuditError):
        ASKED[name](clf)


def test_pixels_of_another_size_than_the_network_s() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(ModelError, match="input size is"):
        inspection.effective_field(classifier(net), "0", torch.rand(1, 1, 12, 12))


@pytest.mark.parametrize("kept", [list, set])
def test_what_a_forward_notes_in_a_list_or_set_is_forgotten(kept: type) -> None:
    net = Small()
    net.kept = kept([1])

    def forward(net: Any, x: Tensor) -> Tensor:
        (net.kept.append if kept is list else net.kept.add)(len(x) + 100)
        return net.one(x)

    net.first = forward
    held = net.kept
    inspection.exemplars(classifier(net), noise(), layers=["one"])
    assert net.kept is held
    assert net.kept == kept([1])
