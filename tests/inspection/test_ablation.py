"""What changes without a unit, against hooks of torch's own and autograd."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.data import huskies
from cnnaudit.data.regions import Regions
from cnnaudit.data.splits import Split
from cnnaudit.errors import LayerError, ModelError, OptionError
from cnnaudit.inspection import ablation
from cnnaudit.inspection.groups import others
from cnnaudit.results import Ablation, Loss
from tests import networks
from tests.inspection.plain_loops import changed, outputs, pictures, scores
from tests.model_state import differences, model_state


def small() -> ca.Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        tail = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
        network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), *tail)
        nn.init.normal_(dict(network.named_parameters())["4.weight"], std=8)
    return ca.Classifier(network.eval(), input_size=(6, 6), channels=1, labels=["a", "b", "c"])


def asked(found: Ablation, unit: int) -> tuple[Loss, dict[str | None, Loss]]:
    each = next(each for each in found.units if each.unit == unit)
    return each.whole, {loss.label: loss for loss in each.classes}


@pytest.mark.parametrize(
    ("name", "layer"),
    [("in_place", "norm"), ("resnet", "layer2.0.conv1"), ("functional", "first")],
)
def test_equal_to_silencing_a_unit_by_hand(name: str, layer: str) -> None:
    classifier = networks.classifier(name)
    pixels = pictures(11, classifier)
    truth = scores(classifier, pixels).argmax(1)
    truth[::3] = (truth[::3] + 1) % classifier.classes
    before = model_state(classifier.network)
    found = ablation(classifier, pixels, layer=layer, units=[1, 3], classes=truth.tolist(), batch_size=4)
    assert differences(before, model_state(classifier.network)) == []
    assert (found.pictures, found.labelled, found.chosen) == (11, True, False)
    means = outputs_of_all_calls(classifier, pixels, layer)
    for unit in (1, 3):

        def silenced(maps: Tensor, unit: int = unit) -> Tensor:
            maps = maps.clone()
            maps[:, unit] = means[unit]
            return maps

        logits, without = scores(classifier, pixels), changed(classifier, pixels, layer, silenced)
        whole, classes = asked(found, unit)
        right, still = logits.argmax(1) == truth, without.argmax(1) == truth
        assert (whole.before.right, whole.after.right) == (int(right.sum()), int(still.sum()))
        assert (whole.lost, whole.won) == (int((right & ~still).sum()), int((still & ~right).sum()))
        for k in truth.unique().tolist():
            loss, own = classes[classifier.labels[k]], truth == k
            assert (loss.before.right, loss.before.n) == (int(right[own].sum()), int(own.sum()))
            assert loss.after.right == int(still[own].sum())
            if loss.logit:
                expected = float((without - logits)[own, k].mean())
                assert loss.logit.value == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_a_layer_that_is_called_twice_goes_without_the_unit_both_times() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = ca.Classifier(Twice().eval(), input_size=(6, 6), channels=1)
    pixels = pictures(7, classifier)
    mean = outputs_of_all_calls(classifier, pixels, "conv")[1]

    def silenced(maps: Tensor) -> Tensor:
        return torch.cat([maps[:, :1], mean.expand_as(maps[:, 1:2]), maps[:, 2:]], 1)

    logits, without = scores(classifier, pixels), changed(classifier, pixels, "conv", silenced)
    _, classes = asked(ablation(classifier, pixels, layer="conv", units=[1], classes=[0] * 7), 1)
    logit = classes["class 0"].logit
    assert logit is not None
    assert logit.value == pytest.approx(float((without - logits)[:, 0].mean()), rel=1e-4)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.head = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.conv(self.first(x)).relu()).mean((2, 3)))


def outputs_of_all_calls(classifier: ca.Classifier, pixels: Tensor, layer: str) -> Tensor:
    """The mean of each channel over positions, pictures and calls."""
    kept: list[Tensor] = []
    module = classifier.network.get_submodule(layer)
    hook = module.register_forward_hook(lambda *a: kept.append(a[2].transpose(0, 1).flatten(1).clone()))
    scores(classifier, pixels)
    hook.remove()
    return torch.cat(kept, 1).mean(1)


def test_the_units_that_matter_are_found_to_first_order() -> None:
    """Of each class in turn, by autograd on log(p / (1 - p)); units that its pictures excite less do not count."""
    classifier = small()
    images = (pictures(24, classifier) * 255).byte()
    truth = torch.arange(24) % 3
    found = ablation(classifier, Split(images, truth), layer="1", units=3)
    maps = outputs(classifier, images.float() / 255, "1").requires_grad_()
    logits = nn.Sequential(*list(classifier.network.children())[2:])(maps)
    probabilities = logits.softmax(1).gather(1, truth[:, None])
    (slopes,) = torch.autograd.grad((probabilities / (1 - probabilities)).log().sum(), maps)
    maps, mean = maps.detach(), maps.detach().mean((0, 2, 3))
    steps = ((mean[:, None, None] - maps) * slopes).sum((2, 3))
    falls = {}
    for k in range(3):
        active = maps[truth == k].mean((0, 2, 3)) > mean
        falls[k] = torch.where(active, steps[truth == k].mean(0), 0).clamp(max=0)
    chosen = {each.unit: each.estimate for each in found.units}
    assert set(chosen) <= {unit for fall in falls.values() for unit in fall.nonzero().flatten().tolist()}
    assert min(float(fall.min()) for fall in falls.values()) == pytest.approx(min(chosen.values()), rel=1e-3)
    for unit, estimate in chosen.items():
        assert any(float(fall[unit]) == pytest.approx(estimate, rel=1e-3) for fall in falls.values())
    assert found.chosen


def test_without_classes_the_networks_own_answers_count() -> None:
    classifier = small()
    found = ablation(classifier, pictures(30, classifier), layer="1", units=3)
    assert not found.labelled
    assert all(each.whole.before.value == 1 for each in found.units)
    assert all(each.whole.won == 0 for each in found.units)


def test_a_change_by_chance_is_not_claimed() -> None:
    classifier = small()
    images = (pictures(6, classifier) * 255).byte()
    found = ablation(classifier, Split(images, torch.arange(6) % 3), layer="1", units=2)
    assert all(each.hurt is None for each in found.units)
    assert all("no recall and no log-odds change much by more than chance" in each.claim for each in found.units)


# Groups


def test_equal_to_silencing_a_group_by_hand() -> None:
    classifier = networks.classifier("resnet")
    pixels = pictures(11, classifier)
    truth = scores(classifier, pixels).argmax(1)
    truth[::3] = (truth[::3] + 1) % classifier.classes
    layer, groups = "layer2.0.conv1", [[0, 2], [1, 3, 4]]
    found = ablation(classifier, pixels, layer=layer, units=[1], groups=groups, classes=truth.tolist(), batch_size=4)
    assert sorted(each.units for each in found.groups) == [(0, 2), (1, 3, 4)]
    means = outputs_of_all_calls(classifier, pixels, layer)
    logits = scores(classifier, pixels)
    for each in found.groups:
        units = list(each.units)

        def silenced(maps: Tensor, units: list[int] = units) -> Tensor:
            return maps.index_copy(1, torch.tensor(units), means[units][:, None, None].expand_as(maps[:, units]))

        without = changed(classifier, pixels, layer, silenced)
        still = without.argmax(1) == truth
        assert each.whole.after.right == int(still.sum())
        for loss in each.classes:
            k = classifier.labels.index(str(loss.label))
            assert loss.after.right == int(still[truth == k].sum())
            if loss.logit:
                expected = float((without - logits)[truth == k, k].mean())
                assert loss.logit.value == pytest.approx(expected, rel=1e-3, abs=1e-5)


BLUE, GREEN, RED = (0, 1), (2, 3), (4, 5, 6, 7, 8, 9)


def animals(n: int = 80) -> Split:
    """Red squares on blue (the birds) and on green (the cows)."""
    rng = np.random.default_rng(0)
    images, masks = rng.integers(0, 60, (n, 3, 12, 12), dtype=np.uint8), np.zeros((n, 12, 12), bool)
    for place, (top, left) in enumerate(rng.integers(0, 8, (n, 2)).tolist()):
        masks[place, top : top + 4, left : left + 4] = True
        strength = rng.integers(120, 250, (12, 12), dtype=np.uint8)
        images[place, 2 if place % 2 == 0 else 1][~masks[place]] = strength[~masks[place]]
        images[place, 0][masks[place]] = strength[masks[place]]
    subjects, backgrounds = ("bird", "cow") * (n // 2), ("sky", "field") * (n // 2)
    regions = Regions.of(list(masks), subjects, backgrounds, "animal")
    return Split(torch.from_numpy(images), torch.arange(n) % 2, regions)


def misled() -> ca.Classifier:
    """Its first layer sees colours, in several channels each; blue means bird, green means cow, red means nothing."""
    network = nn.Sequential(
        nn.Conv2d(3, 10, 1), nn.ReLU(), nn.Conv2d(10, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2, 2),
    )  # fmt: skip
    weights = {name: each.data.zero_() for name, each in network.named_parameters()}
    for channels, colour in ((BLUE, 2), (GREEN, 1), (RED, 0)):
        for channel in channels:
            weights["0.weight"][channel, colour] = 1 + channel / 10
            weights["0.weight"][channel, [other for other in range(3) if other != colour]] = -1
    weights["2.weight"][0, list(BLUE)] = weights["2.weight"][1, list(GREEN)] = 1
    weights["6.weight"].copy_(torch.tensor([[4.0, -4.0], [-4.0, 4.0]]))
    return ca.Classifier(network.eval(), input_size=(12, 12), labels=["bird", "cow"])


def test_units_that_fire_on_the_same_are_silenced_together() -> None:
    """All that tell the background, where one of them would be replaced by the next."""
    classifier, data = misled(), animals()
    found = ablation(classifier, data)
    groups = {each.parts: each for each in found.groups if each.layer == "1"}
    assert {parts: each.units for parts, each in groups.items()} == {
        ("sky",): BLUE,
        ("field",): GREEN,
        ("animal",): RED,
        ("field", "sky"): BLUE + GREEN,
    }
    pixels, truth = data.images / 255, data.labels
    means = outputs_of_all_calls(classifier, pixels, "1")[:4]
    without = changed(
        classifier, pixels, "1", lambda maps: torch.cat([means[:, None, None].expand_as(maps[:, :4]), maps[:, 4:]], 1)
    )
    both = groups["field", "sky"]
    rights = [int((without.argmax(1) == k)[truth == k].sum()) for k in (0, 1)]
    assert [loss.after.right for loss in both.classes] == rights
    assert min(rights) == 0
    assert both.others is not None and set(both.others) < set(RED)
    assert [share.value for share in both.without_others] == [1, 1]
    assert both.stands_out
    lost = "cow" if rights[1] == 0 else "bird"
    fire = "4 of 10 channels of 1 fire on field or sky"
    assert both.claim == f"{fire}; without them, the recall of {lost} falls from 100\u202f% to 0\u202f%."
    assert (groups["animal",].hurt, groups["animal",].others) == ((), None)
    assert "no recall and no log-odds change" in groups["animal",].claim
    assert found.groups[0] is both
    assert {each.layer for each in found.groups} == {"1"}  # all of the other layer's units are no group


def test_where_no_parts_are_marked_groups_are_of_the_units_that_help_a_class() -> None:
    classifier, data = misled(), animals()
    found = ablation(classifier, Split(data.images, data.labels), layer="1")
    groups = {each.helped: each for each in found.groups}
    assert {helped: each.units for helped, each in groups.items()} == {"bird": (1, 0), "cow": (3, 2)}
    assert groups["cow"].claim.startswith("Without the 2 channels of 1 that help cow most, ")


def test_named_units_have_no_groups_of_their_own() -> None:
    assert ablation(misled(), animals(), layer="1", units=[0]).groups == ()
    with pytest.raises(OptionError, match="0 to 9"):
        ablation(misled(), animals(), layer="1", groups=[[0, 10]])


def test_others_are_as_many_and_none_of_the_same() -> None:
    assert others((0, 1), 4, place=3) == (2, 3)
    assert others((0, 1), 3, place=0) is None
    drawn = {others(range(5), 50, place) for place in range(9)}
    assert len(drawn) == 9
    assert all(each and len(set(each)) == 5 and min(each) > 4 for each in drawn)


def test_progress_reaches_its_end() -> None:
    told: list[tuple[int, int]] = []
    ablation(small(), pictures(6, small()), progress=lambda *seen: told.append(seen))
    assert told[-1] == (18, 18)
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"units": 0}, OptionError, "at least 1"),
        ({"units": [6]}, OptionError, "0 to 5"),
        ({"layer": "9"}, LayerError, "no layer '9'"),
        ({"batch_size": 0}, OptionError, "at least 1"),
    ],
)
def test_wrong_options(options: dict, error: type[Exception], says: str) -> None:
    classifier = small()
    with pytest.raises(error, match=says):
        ablation(classifier, pictures(3, classifier), **options)


def test_a_layer_whose_channels_are_not_always_the_same_is_refused() -> None:
    classifier = networks.classifier("in_place")
    with pytest.raises(LayerError, match="called several times"):
        ablation(classifier, pictures(2, classifier), layer="relu")


def test_networks_that_cut_their_graph_need_named_units() -> None:
    classifier = ca.Classifier(networks.Detached().eval(), input_size=(8, 8))
    pixels = pictures(4, classifier)
    with pytest.raises(LayerError, match="Name them with units"):
        ablation(classifier, pixels, layer="body.1")
    assert ablation(classifier, pixels, layer="body.1", units=[0]).units[0].unit == 0
    with pytest.raises(ModelError, match="fails on pictures"):
        ablation(classifier, torch.rand(2, 3, 2, 2), layer="body.1")


@pytest.mark.slow
def test_the_snow_channel_of_the_bundled_network_is_found_by_itself() -> None:
    """No single channel of so many is needed for an answer, but without one that fires on snow wolves are doubted."""
    data = huskies.husky_wolf(correlation=0.95, samples=2, test_samples=200, seed=11)
    found = ablation(ca.load("husky-wolf"), data)
    said = [each.claim for each in found.units]
    snowy = [each for each in found.units if "fires on snow; without it, the mean log-odds of wolf" in each.claim]
    assert snowy, said
    wolf = snowy[0].classes[1]
    assert (snowy[0].doubted, wolf.label) == (1, "wolf")
    assert wolf.odds is not None
    assert wolf.odds.high < 0
    assert not any("fires on snow" in claim and "log-odds of husky" in claim for claim in said)
    lost = next(each for each in found.groups if each.stands_out)
    assert {"grass", "snow"} <= set(lost.parts), lost.claim
    assert lost.classes[lost.hurt[0]].after.high < 0.5 < lost.without_others[lost.hurt[0]].low
    animal = [each for each in found.groups if not {"grass", "snow", "forest"} & set(each.parts)]
    assert animal and not any(each.hurt for each in animal)


def test_one_picture_is_enough_to_be_asked_about() -> None:
    """No unit is then more active than on average."""
    classifier = small()
    found = ablation(classifier, pictures(1, classifier), layer="1")
    assert len(found.units) == 1
    assert found.units[0].classes[0].odds is None
