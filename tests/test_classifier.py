"""The classifier: what networks it takes, what pictures become, what it answers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from model_state import differences, model_state
from networks import MEAN, STD, classifier, network, picture, seeded
from PIL import Image as PILImage
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from cnnaudit import Classifier, from_array
from cnnaudit.errors import ModelError, OptionError


class Wrapped(nn.Module):
    """A linear classifier whose output a test shapes."""

    def __init__(self, shape: Any, k: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, k, 1)
        self.shape = shape

    def forward(self, x: Tensor) -> Any:
        return self.shape(self.layer(x).mean((2, 3)))


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    return (picture((height, width), channels)[0].permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.mark.parametrize(
    "shape",
    [
        lambda y: y,
        lambda y: (y, y.sum()),
        lambda y: [None, y],
        lambda y: {"loss": y.sum(), "out": y},
        lambda y: {"features": y[:, :2], "logits": y},
        lambda y: SimpleNamespace(logits=y, hidden_states=None),
        lambda y: y[:, :, None, None],
        lambda y: y.squeeze(),
    ],
    ids=["plain", "tuple", "list", "mapping", "logits key", "object", "n k 1 1", "squeezed"],
)
def test_logits_are_found_in_every_kind_of_output(shape: Any) -> None:
    net = seeded(lambda: Wrapped(shape))
    clf = Classifier(net, input_size=(8, 8))
    assert clf.classes == 4
    for n in (1, 2, 5):
        x = picture((8, 8)).expand(n, -1, -1, -1)
        with torch.no_grad():
            expected = net.layer(x).mean((2, 3))
        torch.testing.assert_close(clf.scores(x), expected)


@pytest.mark.parametrize("shape", [lambda y: y, lambda y: y.squeeze(1), lambda y: y.squeeze()])
def test_one_column_is_the_logit_of_the_second_of_two_classes(shape: Any) -> None:
    net = seeded(lambda: Wrapped(shape, k=1))
    clf = Classifier(net, input_size=(8, 8), labels=["husky", "wolf"])
    x = picture((8, 8))
    logit = net.layer(x).mean().detach()
    by_index = {p.index: p for p in clf.predict(x)}
    assert by_index[1].probability == pytest.approx(float(logit.sigmoid()))
    assert by_index[0].probability == pytest.approx(1 - float(logit.sigmoid()))
    assert by_index[1].logit - by_index[0].logit == pytest.approx(float(logit))


@pytest.mark.parametrize(
    "shape", [lambda y: "text", lambda y: None, lambda y: y[:, :, None, None].expand(-1, -1, 3, 3), lambda y: ()]
)
def test_output_without_logits_is_refused(shape: Any) -> None:
    with pytest.raises(ModelError, match=r"expected logits of shape \(2, classes\)"):
        Classifier(Wrapped(shape), input_size=(8, 8))


@pytest.mark.parametrize("error", [RuntimeError, KeyError, AttributeError, ZeroDivisionError])
def test_a_network_that_fails_is_refused_with_its_message(error: type[Exception]) -> None:
    def fail(_: Tensor) -> Tensor:
        raise error("no such thing")

    net = Wrapped(fail).train()
    before = model_state(net)
    with pytest.raises(ModelError, match=r"no such thing.*input_size"):
        Classifier(net, input_size=(8, 8))
    assert differences(before, model_state(net)) == []


def test_channels_are_found_by_probing() -> None:
    assert Classifier(Wrapped(lambda y: y, channels=1), input_size=(8, 8)).channels == 1
    assert Classifier(Wrapped(lambda y: y, channels=4), input_size=(8, 8), channels=4).channels == 4
    with pytest.raises(ModelError, match=r"with 3 channels.*with 1 channels"):
        Classifier(Wrapped(lambda y: y, channels=4), input_size=(8, 8))


def test_wrong_input_size_names_both() -> None:
    with pytest.raises(ModelError, match=r"16x16"):
        Classifier(network("mlp"), input_size=(16, 16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b"]}, "2 labels.*5 classes"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values.*3 channels"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be finite, and positive"),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean must be finite"),
        ({"resize_size": 0}, "resize_size must be"),
        ({"input_size": (0, 4)}, "two positive numbers"),
        ({"interpolation": "lanczos"}, "one of nearest, bilinear, bicubic"),
    ],
)
def test_contradicting_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Classifier(network("mlp"), **{"input_size": (32, 32), **arguments})
    with pytest.raises(OptionError, match=r"torch.nn.Module; got function"):
        Classifier(lambda x: x)  # type: ignore[arg-type]


SIZES = [(40, 40), (64, 48), (48, 64), (33, 100), (101, 37), (20, 30), (7, 5), (32, 31)]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", [32, 37, 45])
def test_geometry_is_torchvisions(size: tuple[int, int], resize: int, interpolation: Any) -> None:
    pixels = photo(*size)
    clf = Classifier(network("mlp"), input_size=(32, 32), resize_size=resize, interpolation=interpolation)
    transform = v2.Compose(
        [
            v2.Resize(resize, InterpolationMode(interpolation)),
            v2.CenterCrop(32),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    expected = transform(PILImage.fromarray(pixels))
    torch.testing.assert_close(clf.prepare(from_array(pixels, name="p"))[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("resize", [20, 31])
def test_a_resize_below_the_crop_is_padded_as_torchvision_does(resize: int) -> None:
    clf = Classifier(network("mlp"), input_size=(32, 32), resize_size=resize)
    transform = v2.Compose(
        [v2.Resize(resize), v2.CenterCrop(32), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    )
    pixels = photo(50, 41)
    expected = transform(PILImage.fromarray(pixels))
    torch.testing.assert_close(clf.prepare(from_array(pixels, name="p"))[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_without_a_resize_size_the_picture_just_covers_the_input(size: tuple[int, int]) -> None:
    clf = Classifier(Wrapped(lambda y: y), input_size=(24, 40))
    prepared = clf.prepare(from_array(np.full((*size, 3), 200, np.uint8), name="p"))
    assert prepared.shape == (1, 3, 24, 40)
    assert bool((prepared == 200 / 255).all())  # no black border anywhere


def test_grey_and_colour_are_converted() -> None:
    grey, colour = photo(32, 32, 1), photo(32, 32)
    to_colour = classifier("mlp").prepare(from_array(grey, name="g"))
    assert torch.equal(to_colour[0, 0], to_colour[0, 2])
    assert torch.equal((to_colour[0, 0] * 255).round().byte(), torch.from_numpy(grey[..., 0]))
    to_grey = Classifier(Wrapped(lambda y: y, channels=1), input_size=(32, 32)).prepare(from_array(colour, name="c"))
    luma = np.asarray(PILImage.fromarray(colour).convert("L"))
    assert torch.equal((to_grey[0, 0] * 255).round().byte(), torch.from_numpy(luma.copy()))


def test_normalisation_is_torchvisions() -> None:
    net, x = network("in_place"), picture((32, 40))
    own = net(v2.Normalize(MEAN, STD)(x))
    torch.testing.assert_close(classifier("in_place").scores(x), own.detach())


def test_predictions_are_ordered_and_sum_to_one() -> None:
    clf = classifier("in_place")
    predictions = clf.predict(picture((32, 40)))
    assert [p.logit for p in predictions] == sorted((p.logit for p in predictions), reverse=True)
    assert sum(p.probability for p in predictions) == pytest.approx(1)
    assert {p.index for p in predictions} == set(range(5))


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    clf = Classifier(Wrapped(torch.zeros_like), input_size=(8, 8))
    assert [p.index for p in clf.predict(picture((8, 8)))] == [0, 1, 2, 3]


def test_scores_that_are_not_finite_are_an_error() -> None:
    clf = Classifier(Wrapped(lambda y: y / 0), input_size=(8, 8))
    with pytest.raises(ModelError, match=r"not finite"):
        clf.predict(picture((8, 8)))


def test_wrong_pixels_are_refused() -> None:
    clf = classifier("in_place")
    with pytest.raises(OptionError, match=r"n x 3 x h x w"):
        clf.scores(torch.zeros(1, 1, 32, 40))
    with pytest.raises(OptionError, match=r"one picture"):
        clf.predict(torch.zeros(2, 3, 32, 40))


def labelled(*labels: str) -> Classifier:
    return Classifier(Wrapped(lambda y: y), input_size=(8, 8), labels=labels)


def test_labels_are_found_by_name_or_index() -> None:
    clf = labelled("Siberian husky", "timber wolf", "3", "snow")
    assert [clf.index(x) for x in ("timber wolf", "SIBERIAN HUSKY", 3, "1", np.int64(2))] == [1, 0, 3, 1, 2]
    assert clf.index("3") == 2  # a label comes before an index


def test_case_counts_where_it_decides() -> None:
    """ImageNet has Cardigan, a dog, and cardigan, a garment."""
    clf = labelled("Cardigan", "cardigan", "crane", "crane")
    assert clf.index("Cardigan") == 0
    assert clf.index("cardigan") == 1
    with pytest.raises(OptionError, match=r"several classes.*: 2, .*: 3"):
        clf.index("crane")
    with pytest.raises(OptionError, match=r"several classes.*: 0, .*: 1"):
        clf.index("CARDIGAN")


@pytest.mark.parametrize("given", ["husk", "hskuy"])
def test_a_wrong_label_gets_near_matches(given: str) -> None:
    with pytest.raises(OptionError, match=rf"no class '{given}'.*Did you mean 'husky'.*0 to 3"):
        labelled("husky", "wolf", "snow", "grass").index(given)


@pytest.mark.parametrize("given", [4, -1, "17", 1.5, None])
def test_an_index_out_of_range_or_no_index_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match=r"0 to 3"):
        labelled("husky", "wolf", "snow", "grass").index(given)


def test_contrast_with_itself_is_refused() -> None:
    clf = labelled("husky", "wolf", "snow", "grass")
    assert clf.target("wolf", "husky").name == "wolf − husky"
    with pytest.raises(OptionError, match=r"same class"):
        clf.target("wolf", 1)


def test_wrappers_are_taken_off() -> None:
    net = network("in_place")
    for wrapped in (
        nn.DataParallel(net),
        torch.compile(net),
        nn.DataParallel(torch.compile(net)),
    ):  # nothing is compiled
        clf = Classifier(wrapped, input_size=(32, 40))
        assert clf.network is net
        assert clf.name == clf.architecture == "InPlace"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_of_other_precision(dtype: torch.dtype) -> None:
    net = network("in_place").to(dtype)
    clf = Classifier(net, input_size=(32, 40), mean=MEAN, std=STD)
    scores = clf.scores(picture((32, 40)))
    assert clf.dtype == dtype
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, classifier("in_place").scores(picture((32, 40))), atol=0.05, rtol=0.05)


def test_a_network_without_parameters() -> None:
    clf = Classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=(8, 8))
    torch.testing.assert_close(clf.scores(picture((8, 8))), picture((8, 8)).mean((2, 3)))
    assert clf.facts().parameters == 0


def test_construction_leaves_the_network_as_it_was() -> None:
    net = network("in_place").train()
    before = model_state(net)
    Classifier(net, input_size=(32, 40))
    assert differences(before, model_state(net)) == []


class Stateful(nn.Linear):
    """A layer with state that is no tensor."""

    def get_extra_state(self) -> Any:
        return {"version": 3}

    def set_extra_state(self, state: Any) -> None: ...


def test_weights_hash_follows_the_weights() -> None:
    clf = classifier("in_place")
    first = clf.facts().sha256
    assert first == clf.facts().sha256 == classifier("in_place").facts().sha256
    clf.network.stem.weight.data.mul_(2)  # .data leaves no trace in the version counter
    second = clf.facts().sha256
    with torch.no_grad():
        clf.network.stem.weight.mul_(2)
    assert len({first, second, clf.facts().sha256}) == 3
    clf.network.stem.weight.data.div_(4)
    assert clf.facts().sha256 == first


def test_facts_of_networks_with_other_state() -> None:
    stateful = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Stateful(3, 2))
    assert len(Classifier(stateful, input_size=(8, 8)).facts().sha256) == 64
    with torch.inference_mode():
        born = Classifier(network("mlp"), input_size=(32, 32))
    assert born.facts().sha256 == classifier("mlp").facts().sha256
