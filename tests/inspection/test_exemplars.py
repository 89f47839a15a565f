"""The best patches, against a plain loop with hooks of its own over all pictures."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.data.regions import Regions
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import LayerError, ModelError, NotApplicableError, OptionError
from cnnaudit.inspection import exemplars, receptive_field
from cnnaudit.results import ReceptiveField
from tests import networks
from tests.inspection.plain_loops import outputs, pictures
from tests.model_state import differences, model_state


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mobilenet_v2", ["features.3.conv.1.2", "features.18"]),
        ("functional", ["first", "second"]),
        ("in_place", ["norm", "last"]),
    ],
)
def test_equal_to_looking_at_every_picture(name: str, layers: list[str]) -> None:
    classifier = networks.classifier(name)
    pixels = pictures(13, classifier)
    before = model_state(classifier.network)
    found = exemplars(classifier, pixels, layers=layers, k=4, batch_size=5)
    assert differences(before, model_state(classifier.network)) == []
    for layer in found.layers:
        maps = outputs(classifier, pixels, layer.layer)
        field = receptive_field(classifier, layer.layer)
        assert [unit.unit for unit in layer.units] == [c for c in range(maps.shape[1]) if c not in layer.silent]
        for unit in layer.units:
            peaks = maps[:, unit.unit].flatten(1).max(1)
            values, places = peaks.values.sort(dim=0, descending=True, stable=True)
            assert [patch.index for patch in unit.patches] == places[:4].tolist()
            activations = [patch.activation for patch in unit.patches]
            assert activations == pytest.approx(values[:4].tolist(), rel=1e-4, abs=1e-4)
            assert unit.mean == pytest.approx(float(values.mean()), rel=1e-4, abs=1e-5)
            assert unit.deviation == pytest.approx(float(values.std(correction=0)), rel=1e-3, abs=1e-5)
            for patch in unit.patches:
                place = divmod(int(peaks.indices[patch.index]), maps.shape[3])
                assert patch.position == place
                np.testing.assert_array_equal(patch.pixels, seen(pixels[patch.index], field, place))


def seen(picture: Tensor, field: ReceptiveField, place: tuple[int, int]) -> np.ndarray:
    """The pixels under a field, cut off at the edges."""
    corners = [
        round(offset + at * jump - (size - 1) / 2)
        for offset, at, jump, size in zip(field.offset, place, field.jump, field.size, strict=True)
    ]
    rows, columns = (slice(max(0, at), at + size) for at, size in zip(corners, field.size, strict=True))
    return (picture[:, rows, columns] * 255).round().byte().permute(1, 2, 0).numpy()


def small(*layers: nn.Module) -> ca.Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tail = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), *layers, *tail)
    return ca.Classifier(network.eval(), input_size=(8, 8), channels=1, labels=["a", "b", "c"])


def test_of_equal_values_the_first_picture_counts() -> None:
    classifier = small(nn.ReLU())
    pixels = pictures(1, classifier).expand(7, -1, -1, -1)
    found = exemplars(classifier, pixels, layers=["0"], k=3, batch_size=2)
    assert [patch.index for patch in found.layers[0].units[0].patches] == [0, 1, 2]
    assert found.layers[0].units[0].prominence == pytest.approx(0, abs=1e-3)


def test_fewer_pictures_than_patches() -> None:
    classifier = small()
    found = exemplars(classifier, pictures(2, classifier), layers=["0"], k=9)
    assert len(found.layers[0].units[0].patches) == 2


def test_a_layer_that_is_called_twice_counts_with_its_largest_value() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.head = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(self.conv(x)).mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Twice().eval()
    classifier = ca.Classifier(network, input_size=(6, 6), channels=1)
    pixels = pictures(5, classifier)
    found = exemplars(classifier, pixels, layers=["conv"], k=2, batch_size=3)
    with torch.no_grad():
        once = network.conv(pixels)
        both = torch.cat([once, network.conv(once)], 1).flatten(1).amax(1)
    patches = found.layers[0].units[0].patches
    assert [patch.activation for patch in patches] == pytest.approx(both.sort(descending=True).values[:2].tolist())
    assert found.layers[0].field is None
    assert patches[0].pixels.shape == (6, 6, 1)


def test_signals_and_vectors() -> None:
    classifier = ca.Classifier(_Signal().eval(), input_size=(1, 12), channels=1)
    pixels = pictures(6, classifier)
    conv, head = exemplars(classifier, pixels, layers=["conv", "head"], k=2).layers
    maps = outputs(classifier, pixels, "conv")
    best = conv.units[0].patches[0]
    assert best.activation == pytest.approx(float(maps[:, 0].max()))
    start = best.position[-1]
    assert best.box == (0, start, 0, start + 4)
    largest = float(outputs(classifier, pixels, "head")[:, 1].max())
    assert head.units[1].patches[0].activation == pytest.approx(largest, rel=1e-4)
    assert head.units[1].patches[0].pixels.shape == (1, 12, 1)


class _Signal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv, self.head = nn.Conv1d(1, 3, 5), nn.Linear(24, 2)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x[:, :, 0]).relu().flatten(1))


def test_units_that_are_the_same_everywhere_are_named_and_have_no_patches() -> None:
    classifier = small(nn.ReLU())
    dict(classifier.network.named_parameters())["0.bias"].data[2] = -100
    layer = exemplars(classifier, pictures(4, classifier), layers=["1"]).layers[0]
    assert layer.silent == (2,)
    assert [unit.unit for unit in layer.units] == [0, 1, 3]
    asked = exemplars(classifier, pictures(4, classifier), layers=["1"], units=[2, 0]).layers[0]
    assert [(unit.unit, len(unit.patches)) for unit in asked.units] == [(2, 0), (0, 4)]


def test_a_number_of_units_takes_the_most_prominent() -> None:
    classifier = small(nn.ReLU())
    pixels = pictures(20, classifier)
    every = exemplars(classifier, pixels, layers=["1"], k=3).layers[0].units
    expected = sorted(every, key=lambda unit: -unit.prominence)[:2]
    found = exemplars(classifier, pixels, layers=["1"], k=3, units=2).layers[0].units
    assert [unit.unit for unit in found] == [unit.unit for unit in expected]
    peaks = [patch.activation for patch in found[0].patches]
    assert found[0].prominence == pytest.approx((np.mean(peaks) - found[0].mean) / found[0].deviation, rel=1e-4)


def test_what_comes_behind_the_last_layer_does_not_run() -> None:
    class Fails(nn.Module):
        asked = 0

        def forward(self, x: Tensor) -> Tensor:
            self.asked += len(x)
            return x

    classifier = small(Fails())
    tail: Fails = classifier.network.get_submodule("1")  # pyright: ignore[reportAssignmentType]
    exemplars(classifier, pictures(4, classifier), layers=["0"])
    tail.asked = 0
    exemplars(classifier, pictures(400, classifier), layers=["0"], k=1, units=[0])
    assert tail.asked < 50


def test_classes_are_the_true_ones_or_the_networks_answers() -> None:
    classifier = small()
    images = (pictures(6, classifier) * 255).byte()
    truth = torch.tensor([0, 1, 2, 0, 1, 2])
    labelled = exemplars(classifier, Split(images, truth), layers=["0"], k=6)
    assert labelled.labelled
    assert dict(labelled.whole) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    assert all(p.label == "abc"[p.index % 3] for unit in labelled.layers[0].units for p in unit.patches)
    bare = exemplars(classifier, images.float() / 255, layers=["0"], k=6)
    answers = classifier.scores(images.float() / 255).argmax(1).tolist()
    assert not bare.labelled
    assert all(p.label == "abc"[answers[p.index]] for p in bare.layers[0].units[0].patches)


def test_pictures_in_files_are_read_again_for_the_patches() -> None:
    classifier = small()
    images = (pictures(9, classifier) * 255).byte()
    files = Files(torch.zeros(9, dtype=torch.long), (1, 8, 8), images.__getitem__)
    one = exemplars(classifier, files, layers=["0"], k=2).layers[0].units[3].patches
    two = exemplars(classifier, Split(images, files.labels), layers=["0"], k=2).layers[0].units[3].patches
    assert [patch.index for patch in one] == [patch.index for patch in two]
    np.testing.assert_array_equal(one[0].pixels, two[0].pixels)


def test_what_patches_show_where_parts_are_marked() -> None:
    """A unit that answers to brightness, in pictures whose left half is dark and whose right half is bright."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    network[0].weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    classifier = ca.Classifier(network.eval(), input_size=(8, 8), channels=1, labels=["cat", "dog"])
    images = (pictures(40, classifier) * 100).byte()
    images[..., 4:] += 150
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    names = ["cat", "dog"] * 20
    regions = Regions.of([mask] * 40, names, ["sand"] * 40, "pet")
    split = Split(images, torch.tensor([0, 1] * 20), regions)
    data = Dataset("pets", ("cat", "dog"), split, split, {"test": split}, (0.5,), (0.5,), ())
    for photos in (split, data):
        bright, dark = exemplars(classifier, photos, layers=["0"], k=9).layers[0].units
        assert bright.meaning is not None
        assert dark.meaning is not None
        assert (bright.meaning.part, bright.meaning.patches.right, bright.meaning.is_sure) == ("sand", 9, True)
        assert bright.meaning.chance == pytest.approx(0.5, abs=0.05)
        assert dark.meaning.part in ("pet", "cat", "dog")
        assert dark.meaning.is_sure


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"k": 0}, OptionError, "at least 1"),
        ({"batch_size": 0}, OptionError, "at least 1"),
        ({"units": [9], "layers": ["0"]}, OptionError, "0 to 3"),
        ({"units": [], "layers": ["0"]}, OptionError, "0 to 3"),
        ({"layers": ["1x"]}, LayerError, "no layer '1x'"),
        ({"layers": []}, OptionError, "empty"),
    ],
)
def test_wrong_options(options: dict, error: type[Exception], says: str) -> None:
    classifier = small()
    with pytest.raises(error, match=says):
        exemplars(classifier, pictures(2, classifier), **options)


def test_networks_that_have_no_units() -> None:
    flat = ca.Classifier(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), input_size=(4, 4), channels=1)
    with pytest.raises(NotApplicableError, match="no convolution"):
        exemplars(flat, pictures(2, flat))
    broken = small()
    dict(broken.network.named_parameters())["0.bias"].data[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        exemplars(broken, pictures(2, broken), layers=["0"])


def test_a_network_that_fails_is_handed_back() -> None:
    classifier, pixels = small(), torch.rand(2, 1, 2, 2)
    before = model_state(classifier.network)
    with pytest.raises(ModelError, match="fails on pictures"):
        exemplars(classifier, pixels, layers=["0"])
    assert differences(before, model_state(classifier.network)) == []
