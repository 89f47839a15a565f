"""Pictures made for units: what they reach, against hooks of the test's own; and that nothing else happens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from model_state import differences, model_state
from networks import ARCHITECTURES, Alternating, Detached, InPlace, classifier, seeded
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import hooks
from cnnaudit.errors import (
    LayerError,
    MethodError,
    ModelError,
    NotApplicableError,
    NotFiniteError,
    OptionError,
)
from cnnaudit.inspection import (
    channel,
    class_logit,
    default_objectives,
    direction,
    neuron,
    settle_ties,
    visualize_feature,
)
from cnnaudit.inspection.visualizing import grouping
from cnnaudit.inspection.visualizing.batching import AT_ONCE
from cnnaudit.inspection.visualizing.forms import faster
from cnnaudit.inspection.visualizing.watching import Form
from cnnaudit.models import mnist1d_cnn
from cnnaudit.results import Visualizations

LAYERS = {
    "in_place": "last",
    "functional": "second",
    "resnet": "layer2",
    "mobilenet_v2": "features.3",
    "densenet": "features.denseblock2",
    "efficientnet": "features.2",
    "convnext": "features.1",
    "vit": "conv_proj",
}


def small(relu: Callable[[], nn.Module] = nn.ReLU, mean: float = 0.4, std: float = 0.25) -> ca.Classifier:
    return ca.Classifier(seeded(lambda: Alternating(relu=relu)), input_size=(32, 32), mean=mean, std=std)


def output(clf: ca.Classifier, layer: str, pixels: Tensor) -> Tensor:
    """What the network's layer returns first, by a hook of the test's own."""
    kept: list[Tensor] = []
    hook = clf.network.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2].clone()))
    with torch.no_grad():
        clf.network((pixels - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1))
    hook.remove()
    return kept[0]


def pixels(found: Visualizations) -> Tensor:
    return torch.stack([torch.from_numpy(picture.pixels) for picture in found.pictures])


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "mlp"])
def test_activations_are_those_of_the_network_on_the_pictures(name: str) -> None:
    clf = classifier(name)
    before = model_state(clf.network)
    found = visualize_feature(clf, (LAYERS[name], [0, 3, 5]), steps=6)
    assert differences(before, model_state(clf.network)) == []
    made = pixels(found)
    assert made.shape == (3, 3, *clf.input_size)
    assert 0 <= float(made.min()) < float(made.max()) <= 1
    answers = output(clf, LAYERS[name], made)
    for row, unit, picture in zip(answers, (0, 3, 5), found.pictures, strict=True):
        assert (picture.layer, picture.channel) == (LAYERS[name], unit)
        assert picture.activation == pytest.approx(float(row[unit].max()), rel=1e-4, abs=1e-5)


def test_every_objective_reaches_what_hooks_say() -> None:
    clf = small()
    vector = torch.tensor([3.0, 0, -4, *[0.0] * 9])
    parts = [
        channel("features.3", 2), neuron("features.3", 1), neuron("features.0", 4, (3, 30)),
        direction("features.3", vector, name="features.3, direction"), class_logit(clf, 3), channel("head.1", 7),
    ]  # fmt: skip
    mixed = parts[0] + 2 * parts[3] - parts[4] / 4
    found = visualize_feature(clf, [*parts, mixed, -parts[1]], steps=4)
    made = pixels(found)
    deep, first, hidden = output(clf, "features.3", made), output(clf, "features.0", made), output(clf, "head.1", made)
    logits = clf.scores(made)
    along = torch.tensordot(deep, vector / 5, ([1], [0]))
    expected = [
        deep[0, 2].max(), deep[1, 1, 8, 8], first[2, 4, 3, 30], along[3].max(), logits[4, 3], hidden[5, 7],
        deep[6, 2].max() + 2 * along[6].max() - logits[6, 3] / 4, -deep[7, 1, 8, 8],
    ]  # fmt: skip
    reached = torch.tensor([picture.activation for picture in found.pictures])
    torch.testing.assert_close(reached, torch.stack(expected), atol=1e-4, rtol=1e-4)
    assert all(picture.activation > picture.start for picture in found.pictures)
    assert found.pictures[6].objective == ("features.3, channel 2 + 2 × (features.3, direction) − 0.25 × (class 3)")


def test_what_is_climbed_is_half_the_mean_and_half_the_largest_of_all_places() -> None:
    outputs: dict[str | None, Tensor] = {
        "a": torch.randn(4, 5, 6).requires_grad_(),
        None: torch.randn(3).requires_grad_(),
    }
    clf = small()
    objective = channel("a", 1) - 3 * class_logit(clf, 2) + neuron("a", 0)
    climbed = objective.climbed(outputs)
    row = outputs["a"][1]
    expected = (row.mean() + row.max()) / 2 - 3 * outputs[None][2] + outputs["a"][0, 2, 3]
    torch.testing.assert_close(climbed, expected)


def test_many_at_once_are_as_one_by_one() -> None:
    clf = small()
    units = list(range(12)) * 3
    objectives = [channel("features.3", unit) for unit in units[: AT_ONCE + 2]]
    together = pixels(visualize_feature(clf, objectives, steps=5))
    alone = torch.cat([pixels(visualize_feature(clf, ("features.3", unit), steps=5)) for unit in units[:4]])
    torch.testing.assert_close(together[:4], alone, atol=2e-3, rtol=0)
    torch.testing.assert_close(together[AT_ONCE], together[AT_ONCE % 12], atol=2e-3, rtol=0)
    assert float((together[0] - together[1]).abs().max()) > 0.05


@pytest.mark.parametrize("name", ["resnet", "mobilenet_v2", "in_place", "densenet"])
def test_folding_changes_nothing_but_the_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clf = classifier(name)
    layers: frozenset[str | None] = frozenset({LAYERS[name], None})
    noise = torch.rand(2, 3, *clf.input_size, generator=torch.Generator().manual_seed(3))
    with hooks.borrowed(clf.network):
        form = faster(clf, layers, noise)
        network = form.network
        assert network is not clf.network
        assert form.layout == torch.channels_last
        assert len([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]) < len(
            [m for m in clf.network.modules() if isinstance(m, nn.BatchNorm2d)]
        )
    fast = visualize_feature(clf, (LAYERS[name], [1, 2]), steps=4)
    monkeypatch.setattr(grouping, "faster", lambda clf, _layers, _pixels: Form(clf.network))
    plain = visualize_feature(clf, (LAYERS[name], [1, 2]), steps=4)
    torch.testing.assert_close(pixels(fast), pixels(plain), atol=0.02, rtol=0)


class Viewing(nn.Module):
    """Takes its maps for contiguous, which they are not when laid out place by place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.head = nn.Linear(6 * 14 * 14, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.head(x.view(len(x), -1))


def test_networks_that_rely_on_their_layout_keep_it() -> None:
    clf = ca.Classifier(seeded(Viewing, size=16), input_size=(16, 16))
    layers: frozenset[str | None] = frozenset({None})
    with hooks.borrowed(clf.network):
        form = faster(clf, layers, torch.rand(2, 3, 16, 16))
    assert form.layout == torch.contiguous_format
    assert isinstance(form.network.get_submodule("body.1"), nn.Identity)
    found = visualize_feature(clf, class_logit(clf, 2), steps=4)
    assert found.pictures[0].activation == pytest.approx(float(clf.scores(pixels(found))[0, 2]), rel=1e-4)


def test_a_convolution_that_is_looked_at_is_not_folded() -> None:
    clf = classifier("in_place")
    found = visualize_feature(clf, ("stem", [0, 1]), steps=4)
    reached = output(clf, "stem", pixels(found))
    assert [each.activation for each in found.pictures] == pytest.approx([float(reached[k, k].max()) for k in (0, 1)])


def test_the_seed_decides_and_nothing_else() -> None:
    clf = small()
    torch.manual_seed(1)
    first = pixels(visualize_feature(clf, ("features.3", [1, 2]), steps=5, seed=7))
    torch.manual_seed(2)
    again = pixels(visualize_feature(clf, ("features.3", [1, 2]), steps=5, seed=7))
    other = pixels(visualize_feature(clf, ("features.3", [1, 2]), steps=5, seed=8))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


def test_the_search_ends_behind_the_layer_and_the_rest_runs_once_at_the_end() -> None:
    clf = small()
    ran: list[str] = []
    for name, module in clf.network.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    visualize_feature(clf, ("features.0", 1), steps=3)
    assert ran.count("head") == 1
    assert set(ran[: ran.index("features.1") - 1]) == {"features.0"}


class Stubborn(nn.Module):
    """Goes on whatever happens inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Alternating()

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.inner(x)
        except:  # noqa: E722
            return torch.zeros(len(x), 5)


def test_a_network_that_catches_everything_is_met_too() -> None:
    clf = ca.Classifier(seeded(Stubborn), input_size=(32, 32))
    found = visualize_feature(clf, ("inner.features.3", 1), steps=3)
    assert found.pictures[0].activation == pytest.approx(
        float(output(clf, "inner.features.3", pixels(found))[0, 1].max()), rel=1e-4
    )


def dead(relu: Callable[[], nn.Module]) -> ca.Classifier:
    clf = small(relu)
    convolution = clf.network.get_submodule("features.3")
    with torch.no_grad():
        convolution.get_parameter("bias").sub_(1.0)
    return clf


@pytest.mark.parametrize("relu", [nn.ReLU, nn.ReLU6, lambda: nn.ReLU(inplace=True)])
def test_dead_units_come_alive(relu: Callable[[], nn.Module]) -> None:
    clf = dead(relu)
    found = visualize_feature(clf, ("features.4", [1, 2, 3]), steps=60, rate=0.1)
    assert all(picture.start == 0 for picture in found.pictures)
    assert all(picture.activation > 0 for picture in found.pictures)


def test_a_layer_called_several_times_counts_by_its_first_call() -> None:
    clf = ca.Classifier(seeded(InPlace), input_size=(32, 40))
    found = visualize_feature(clf, ("relu", 2), steps=3)
    assert found.pictures[0].activation == pytest.approx(
        float(output(clf, "relu", pixels(found))[0, 2].max()), rel=1e-4
    )


def apart(found: Visualizations, clf: ca.Classifier) -> float:
    """Mean cosine of the copies' Gram matrices."""
    maps = output(clf, "features.3", pixels(found)).flatten(2)
    grams = (maps @ maps.transpose(1, 2)).flatten(1)
    return float(torch.corrcoef(grams)[0, 1:].mean())


@pytest.mark.parametrize("wanted", ["channel", "class"])
def test_diversity_keeps_copies_apart(wanted: str) -> None:
    clf = small()
    objective = channel("features.3", 2) if wanted == "channel" else class_logit(clf, 1)
    free, kept = (visualize_feature(clf, objective, steps=30, copies=3, diversity=d) for d in (0.0, 3.0))
    assert apart(kept, clf) < apart(free, clf)
    assert [picture.copy for picture in kept.pictures] == [0, 1, 2]
    assert all(picture.activation > picture.start for picture in free.pictures)


def test_signals_are_made_as_pictures_are() -> None:
    clf = ca.Classifier(seeded(mnist1d_cnn), input_size=(1, 40), channels=1)
    found = visualize_feature(clf, [channel("conv2", 3), class_logit(clf, 4)], steps=30)
    assert pixels(found).shape == (2, 1, 1, 40)
    assert found.pictures[0].activation == pytest.approx(
        float(output(clf, "conv2", pixels(found))[0, 3].max()), rel=1e-4
    )
    assert all(picture.activation > picture.start for picture in found.pictures)


def test_large_pictures_are_made_smaller_where_the_network_allows_it() -> None:
    any_size = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    one_size = nn.Sequential(nn.Conv2d(3, 4, 7, 7), nn.Flatten(), nn.Linear(4 * 23 * 34, 2))
    for network, expected in ((any_size, (86, 128)), (one_size, (161, 240))):
        clf = ca.Classifier(network, input_size=(161, 240))
        assert pixels(visualize_feature(clf, class_logit(clf, 0), steps=1)).shape[2:] == expected
    clf = ca.Classifier(any_size, input_size=(161, 240))
    assert pixels(visualize_feature(clf, ("0", 1), steps=1, size=40)).shape[2:] == (40, 40)


def test_progress_is_told_of_every_step() -> None:
    told: list[tuple[int, int]] = []
    objectives = [channel("features.3", 0), channel("features.0", 0), channel("features.3", 1)]
    visualize_feature(small(), objectives, steps=3, copies=2, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == [4, 8, 12, 14, 16, 18]
    assert {total for _, total in told} == {18}


def test_the_share_counts_those_that_exceed_the_best() -> None:
    found = visualize_feature(
        small(), ("features.3", [0, 1, 2]), steps=3, best={("features.3", 0): -1e9, ("features.3", 2): 1e9}
    )
    assert [picture.exceeds for picture in found.pictures] == [True, None, False]
    assert (found.compared, found.exceeding) == (2, 1)


# Upper limits


def saturating() -> ca.Classifier:
    """Its two units reach 6 on much that is red or green."""
    network = nn.Sequential(
        nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    weights = dict(network.named_parameters())
    weights["0.weight"].data[:] = 40 * torch.tensor([[1.0, -1, -1], [-1.0, 1, -1]])[..., None, None]
    weights["0.bias"].data[:] = 0
    return ca.Classifier(network.eval(), input_size=(16, 16))


def test_what_is_lost_at_an_upper_limit_is_compared_before_it() -> None:
    """Of red there is some in the photos, of green all that there can be."""
    clf, photos = saturating(), torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.7
    photos[3, :, 2, 5] = torch.tensor([0.0, 1.0, 0.0])
    found = visualize_feature(clf, ("2", [0, 1]), steps=40, best={("2", 0): 6.0, ("2", 1): 6.0})
    assert [each.activation for each in found.pictures] == [6, 6]
    assert [each.exceeds for each in found.pictures] == [False, False]
    given = output(clf, "1", pixels(found)).amax((2, 3)).diagonal()
    assert [each.given for each in found.pictures] == pytest.approx(given.tolist(), rel=1e-5)
    settled = settle_ties(clf, found, photos)
    best = output(clf, "1", photos).amax((0, 2, 3))
    assert [each.best_given for each in settled.pictures] == pytest.approx(best.tolist(), rel=1e-5)
    assert [each.exceeds for each in settled.pictures] == [True, False]
    assert (settled.exceeding, settled.settled) == (1, 2)


def test_where_the_activation_itself_tells_nothing_is_compared_before_it() -> None:
    clf = saturating()
    found = visualize_feature(clf, ("2", [0, 1]), steps=3, best={("2", 0): -1.0, ("2", 1): 100.0})
    settled = settle_ties(clf, found, torch.zeros(2, 3, 16, 16))
    assert [each.exceeds for each in settled.pictures] == [True, False]
    assert settled.settled == 0
    without = visualize_feature(small(), ("features.3", [0]), steps=3, best={("features.3", 0): 1e9})
    assert without.pictures[0].given is None
    assert settle_ties(small(), without, torch.zeros(2, 3, 32, 32)).exceeding == 0


def test_before_an_upper_limit_the_climb_goes_on() -> None:
    """At the limit itself there is no gradient."""
    clf = saturating()
    (climbed,) = visualize_feature(clf, channel("2", 0), steps=60).pictures
    (plain,) = visualize_feature(clf, channel("1", 0), steps=60).pictures
    assert climbed.given is not None
    assert climbed.given > 20
    assert climbed.given == pytest.approx(plain.activation, rel=0.3)
    added = visualize_feature(clf, channel("2", 0) + channel("2", 1), steps=3).pictures[0]
    assert added.given is None
    turned = direction("2", torch.tensor([1.0, -1.0])).through({"2": "1"})
    assert turned.layers == {"2"}


def test_the_network_is_handed_back_after_an_exception() -> None:
    clf = small()
    before = model_state(clf.network)

    def stop(done: int, _total: int) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        visualize_feature(clf, ("features.3", [0, 1]), steps=9, progress=stop)
    assert differences(before, model_state(clf.network)) == []


class Short(Alternating):
    """A network whose memory suffices for so many pictures."""

    room = 3

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return super().forward(x)


def test_batches_shrink_to_what_memory_holds() -> None:
    clf = ca.Classifier(seeded(Short), input_size=(32, 32))
    told: list[int] = []
    found = visualize_feature(clf, ("features.3", range(8)), steps=2, progress=lambda done, _: told.append(done))
    roomy = visualize_feature(small(mean=0.0, std=1.0), ("features.3", range(8)), steps=2)
    torch.testing.assert_close(pixels(found), pixels(roomy), atol=2e-3, rtol=0)
    assert [picture.channel for picture in found.pictures] == list(range(8))
    assert told[-1] == 16
    with pytest.raises(MethodError, match="4 pictures of 32 x 32"):
        visualize_feature(clf, ("features.3", 0), steps=2, copies=4)


def test_half_precision_networks_are_met() -> None:
    network = seeded(Alternating).to(torch.bfloat16)
    found = visualize_feature(ca.Classifier(network, input_size=(32, 32)), ("features.3", 0), steps=10)
    assert found.pictures[0].activation > found.pictures[0].start


@pytest.mark.parametrize(
    ("wanted", "options", "error", "says"),
    [
        (("features.33", 0), {}, LayerError, "features.3"),
        (("features.3", 12), {}, LayerError, "channels 0 to 11; got 12"),
        (("features.3", 0.5), {}, LayerError, "whole number"),
        (("features.3", []), {}, OptionError, "a layer and its channels"),
        ("features.3", {}, OptionError, "a layer and its channels"),
        ([], {}, OptionError, "Give an objective"),
        (neuron("features.3", 0, (16, 0)), {}, LayerError, r"up to \(15, 15\)"),
        (neuron("features.3", 0, (1,)), {}, LayerError, r"got \(1,\)"),
        (direction("features.3", torch.ones(5)), {}, LayerError, "12 channels; the direction has 5"),
        (("features.3", 0), {"steps": 0}, OptionError, "at least 1"),
        (("features.3", 0), {"copies": 0}, OptionError, "at least 1"),
        (("features.3", 0), {"rate": float("nan")}, OptionError, "above 0"),
        (("features.3", 0), {"diversity": -1.0}, OptionError, "at least 0"),
        (("head.3", 0), {"size": 48}, ModelError, "48 x 48.*32 x 32"),
        (("features.3", 0), {"size": -3}, OptionError, "-3"),
    ],
)
def test_what_cannot_be_made_is_refused(wanted: Any, options: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        visualize_feature(small(), wanted, **{"steps": 2, **options})


def test_layers_that_cannot_be_watched_say_so() -> None:
    clf = small()
    clf.network.spare = nn.Conv2d(3, 3, 1)  # type: ignore[assignment]
    with pytest.raises(LayerError, match="does not run 'spare'"):
        visualize_feature(clf, ("spare", 0), steps=1)


def test_networks_without_a_gradient_are_told_apart() -> None:
    clf = ca.Classifier(seeded(Detached), input_size=(16, 16))
    with pytest.raises(NotApplicableError, match="No gradient comes from the logits"):
        visualize_feature(clf, class_logit(clf, 0), steps=1)
    assert len(visualize_feature(clf, ("body.0", [0, 1]), steps=1).pictures) == 2


def test_directions_and_factors_must_be_numbers() -> None:
    with pytest.raises(OptionError, match="not all 0"):
        direction("a", torch.zeros(3))
    with pytest.raises(OptionError, match="other than 0"):
        channel("a", 0) * 0
    with pytest.raises(TypeError):
        channel("a", 0) + 3  # type: ignore[operator]


def test_damaged_weights_are_noticed() -> None:
    clf = small()
    with torch.no_grad():
        clf.network.get_submodule("features.0").get_parameter("weight")[0].fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="not finite"):
        visualize_feature(clf, ("features.3", 0), steps=1)


def test_the_default_is_a_few_units_along_the_network_and_few_classes() -> None:
    clf = classifier("resnet")
    found = default_objectives(clf)
    layers = list(dict.fromkeys(each.terms[0].layer for each in found))
    assert (len(layers), layers[-2:]) == (5, ["layer4.0.downsample.0", None])
    assert [each.terms[0].along for each in found[:4]] == [0, 21, 42, 63]
    assert len(found) == 4 * 4 + 5
    visualize_feature(clf, found, steps=1)


def test_the_default_without_convolutions_is_classes() -> None:
    assert [each.name for each in default_objectives(classifier("mlp"))] == [f"class {k}" for k in range(5)]


def test_the_default_of_named_layers_is_of_these() -> None:
    found = default_objectives(small(), layers=["features.4", "head.1"], channels=2)
    assert [each.name for each in found] == [
        "features.4, channel 0", "features.4, channel 11", "head.1, channel 0", "head.1, channel 9",
        *(f"class {k}" for k in range(5)),
    ]  # fmt: skip


def test_pictures_come_with_what_the_whole_network_takes_them_for() -> None:
    clf = small()
    found = visualize_feature(clf, ("features.3", [0, 1, 2]), steps=3)
    made = torch.stack([torch.from_numpy(each.pixels) for each in found.pictures])
    with torch.no_grad():
        scores = clf.network((made - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1))
    for each, row in zip(found.pictures, scores.softmax(1), strict=True):
        assert each.answer is not None
        assert each.answer.label == clf.labels[int(row.argmax())]
        assert each.answer.probability == pytest.approx(float(row.max()), abs=1e-6)


def test_a_network_that_takes_its_own_size_alone_is_not_asked() -> None:
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 2)))
    found = visualize_feature(ca.Classifier(network, input_size=(32, 32)), ("0", 1), steps=2, size=24)
    assert [each.answer for each in found.pictures] == [None]
