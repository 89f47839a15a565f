"""A network for a dataset, and the same one again from its card."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.models as zoo
from local_server import Server, serving
from torch import Tensor, nn

from cnnaudit import checkpoints, loading
from cnnaudit.checkpoints import Card
from cnnaudit.errors import DownloadError, ModelError, OptionError, UnknownModelError, WeightsError
from cnnaudit.loading import catalog
from cnnaudit.loading.building import Built, build
from cnnaudit.models import ARCHITECTURES
from cnnaudit.models.heads import freeze_backbone
from cnnaudit.models.pooling import BlurPool2d


def card_of(built: Built, labels: int) -> Card:
    preset = built.preset
    channels = preset.channels or 3
    return Card(
        architecture=built.architecture,
        labels=tuple(f"class {k}" for k in range(labels)),
        input_size=preset.input_size,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        channels=channels,
        arguments=built.arguments,
    )


def answer(network: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(pixels)


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ARCHITECTURES if not name.startswith("mnist1d") and name != "pattern"),
    ("mnist1d-cnn", {"size": (1, 40), "channels": 1}),
    ("mnist1d-fc", {"size": (1, 40), "channels": 1, "dropout": 0.2}),
    ("[[c8 r]*2 p]*2 [f16 r d] f7", {"pool": "average", "dropout": 0.3}),
    ("c8 b r g f7", {"size": (9, 11)}),
    ("vgg8", {"pool": "blur"}),
    ("husky-wolf", {"pool": "stride", "dropout": 0.0, "channels": 1}),
    ("resnet18", {"pool": "blur", "size": (48, 48)}),
    ("squeezenet1_1", {"dropout": 0.1, "pool": "average", "size": (48, 48)}),
    ("googlenet", {"size": (48, 48)}),
    ("vit_b_32", {"size": (64, 64)}),
]
LARGE = ("vit_b_32",)


@pytest.mark.parametrize(
    ("arch", "options"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] in LARGE), id=f"{case[0]} {case[1]}") for case in CASES],
)
def test_a_checkpoint_gives_the_same_network(tmp_path: Path, arch: str, options: dict[str, Any]) -> None:
    wanted = {"labels": 7, "channels": 3, "size": (32, 32), **options}
    built = build(arch, **wanted)
    assert built.preset.input_size == wanted["size"]
    path = tmp_path / "mine.safetensors"
    checkpoints.write(path, built.network.state_dict(), card_of(built, 7))
    clf = loading.load(path, device="cpu")
    assert clf.labels == tuple(f"class {k}" for k in range(7))
    assert repr(clf.network) == repr(built.network)
    pixels = torch.rand(2, clf.channels, *wanted["size"])
    assert torch.equal(clf.scores(pixels), answer(built.network, (pixels - 0.5) / 0.25))
    assert set(built.head) <= set(dict(built.network.named_parameters()))


@pytest.mark.slow
def test_a_large_network_with_another_dropout_is_made_again_from_its_card() -> None:
    built = build("vgg11", labels=5, channels=3, size=(32, 32), dropout=0.2)
    card = Card(**json.loads(json.dumps(asdict(card_of(built, 5)))))
    again = catalog.build_from_card(card)
    again.load_state_dict(built.network.state_dict())
    assert [m.p for m in again.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2]
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(answer(again, pixels), answer(built.network, pixels))


def test_arguments_are_plain_and_say_only_what_was_chosen() -> None:
    built = build("cnn2", labels=10, channels=1, size=(8, 8))
    assert built.arguments == {"labels": 10, "channels": 1, "size": [8, 8]}
    assert json.loads(json.dumps(built.arguments)) == built.arguments
    assert (built.architecture, built.preset.channels, built.preset.mean) == ("cnn2", 1, None)
    assert built.head == ("fc1.weight", "fc1.bias")
    text = "[c8 r p]*2 f10"
    pattern = build(text, labels=10, channels=1, size=(8, 8), pool="blur")
    assert pattern.architecture == "pattern"
    assert pattern.arguments == {"pattern": text, "labels": 10, "channels": 1, "size": [8, 8], "pool": "blur"}


def test_a_torchvision_network_takes_grey_pictures_as_colour() -> None:
    built = build("squeezenet1_1", labels=10, channels=1, size=(32, 32))
    assert (built.preset.channels, built.preset.input_size, built.preset.mean) == (3, (32, 32), None)
    assert answer(built.network, torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_weights_are_drawn_from_the_random_state_of_the_caller() -> None:
    for arch in ("cnn1", "resnet18", "f10"):
        drawn = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            drawn.append(next(build(arch, labels=10, channels=3, size=(32, 32)).network.parameters()))
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])


def test_torchvisions_pooling_and_dropout_are_changed() -> None:
    built = build("alexnet", labels=3, channels=3, size=(64, 64), pool="blur", dropout=0.0)
    assert sum(isinstance(m, BlurPool2d) for m in built.network.modules()) == 3
    assert {m.p for m in built.network.modules() if isinstance(m, nn.Dropout)} == {0.0}


@pytest.mark.parametrize(
    ("arch", "options", "error", "message"),
    [
        ("resnt18", {}, UnknownModelError, "Did you mean 'resnet18'"),
        ("CNN2", {}, UnknownModelError, "Did you mean 'cnn2'"),
        ("nets:build", {}, UnknownModelError, "any pattern, such as"),
        ("", {}, UnknownModelError, "There is: logistic"),
        ("c8 q f10", {}, OptionError, "'q' is no layer"),
        ("c8 r f9", {}, OptionError, "end with f10"),
        ("cnn2", {"size": (3, 3)}, OptionError, "does not fit a side of 1"),
        ("cnn2", {"labels": 0}, OptionError, "labels"),
        ("logistic", {"pool": "blur"}, OptionError, "no pooling layer"),
        ("c8 r f10", {"dropout": 0.1}, OptionError, "no d to be given the dropout 0.1"),
        ("cnn2", {"pretrained": True}, OptionError, "no pretrained weights"),
        ("resnet18", {"dropout": 0.1}, OptionError, "no dropout layer"),
        ("squeezenet1_1", {"dropout": 1.0}, OptionError, "from 0 to below 1"),
        ("squeezenet1_1", {"pool": "mean"}, OptionError, "pool is one of"),
        ("squeezenet1_1", {"channels": 4}, OptionError, "these have 4 channels"),
        ("squeezenet1_1", {"size": (0, 8)}, OptionError, "height is a whole number"),
        ("mobilenet_v2", {"pool": "blur"}, OptionError, "nothing to swap"),
        ("vit_b_32", {"size": (30, 30)}, OptionError, "indivisible by patch size"),
        ("maxvit_t", {"size": (33, 33)}, OptionError, "cannot be built for these pictures"),
    ],
)
def test_what_cannot_be_built_is_said(arch: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(arch, **{"labels": 10, "channels": 3, "size": (32, 32), **options})


def test_a_network_that_memory_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_sizes: Any, **_options: Any) -> None:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(torch.nn.Linear, "__init__", full)
    with pytest.raises(OptionError, match=r"mlp cannot be built for these pictures \(can't allocate memory\)"):
        build("mlp", labels=10, channels=3, size=(32, 32))


@pytest.mark.parametrize(
    "arguments",
    [
        {"pattern": "c8 r f9"},
        {"pattern": "[[[["},
        {"pattern": 3},
        {"labels": "seven"},
        {"pool": "os.system"},
        {"dropout": 2},
        {"size": "28"},
        {"own": 1},
    ],
)
def test_a_card_with_wrong_arguments_is_a_damaged_file(tmp_path: Path, arguments: dict[str, Any]) -> None:
    built = build("c8 r f10", labels=10, channels=1, size=(28, 28))
    card = Card("pattern", tuple("abcdefghij"), (28, 28), (0.5,), (0.5,), 1, {**built.arguments, **arguments})
    checkpoints.write(tmp_path / "mine.safetensors", built.network.state_dict(), card)
    with pytest.raises(WeightsError, match="cannot be made with the arguments in the file"):
        loading.load(tmp_path / "mine.safetensors", device="cpu")


# ours by name, without a checkpoint


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_of_ours_loads_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(loading.BUNDLED, name, raising=False)
    clf = loading.load(name, weights="none", device="cpu")
    assert (clf.input_size, clf.channels) == (
        catalog.preset_of_architecture(name).input_size,
        3 if name in ("vgg8", "husky-wolf") else 1,
    )
    assert clf.scores(torch.rand(2, clf.channels, *clf.input_size)).shape == (2, clf.classes)


def test_weights_without_a_card_find_their_channels_and_say_that_nothing_is_normalised(tmp_path: Path) -> None:
    network = ARCHITECTURES["cnn2"](labels=5)
    torch.save(network.state_dict(), tmp_path / "five.pth")
    clf = loading.load("cnn2", weights=tmp_path / "five.pth", device="cpu")
    assert (clf.classes, clf.channels, clf.input_size) == (5, 1, (28, 28))
    assert "no preprocessing is known" in clf.notes[-1]
    pixels = torch.rand(2, 1, 28, 28)
    assert torch.equal(clf.scores(pixels), answer(network, pixels))


def test_the_list_of_models_counts_parameters_and_disturbs_nothing() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    entries = {entry.name: entry for entry in loading.available_models()}
    assert torch.equal(torch.get_rng_state(), before)
    for name in ARCHITECTURES:
        assert entries[name].parameters == sum(p.numel() for p in ARCHITECTURES[name]().parameters())
    assert entries["conv10-20"].kind == "architecture"
    assert entries["mnist1d-cnn"].summary.startswith("1x40; Three 1-D convolutions")


# torchvision's weights


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving() as running:
        yield running


def publish(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, folder: str = "", **arguments: Any) -> Any:
    """Serve random weights as torchvision's own, with the checksum in the file's name."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        state, stream = zoo.get_model(name, weights=None, **arguments).state_dict(), io.BytesIO()
    torch.save(state, stream)
    file = f"{name}-{hashlib.sha256(stream.getvalue()).hexdigest()[:8]}.pth"
    server.files[file] = stream.getvalue()
    url = f"{server.url}{folder}/{file}"
    monkeypatch.setattr(type(catalog.default_weights(name)), "url", property(lambda _self: url))
    return state


def test_pretrained_weights_and_a_fresh_head(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    state, seen = publish(server, monkeypatch, "squeezenet1_1"), []
    built = build(
        "squeezenet1_1", labels=5, channels=3, size=(64, 64), pretrained=True, pool="blur", dropout=0.1,
        progress=lambda *at: seen.append(at),
    )  # fmt: skip
    ours = built.network.state_dict()
    assert {key for key in ours if not torch.equal(ours[key], state[key])} == set(built.head)
    assert built.head == ("classifier.1.weight", "classifier.1.bias")
    assert built.arguments == {"num_classes": 5, "pool": "blur", "dropout": 0.1}
    assert (built.preset.mean, built.preset.resize_size) == ((0.485, 0.456, 0.406), None)
    assert (built.preset.labels, built.preset.input_size, built.preset.channels) == (None, (64, 64), 3)
    assert seen
    frozen = freeze_backbone(built.network, built.head)
    assert [key for key, p in built.network.named_parameters() if p.requires_grad] == list(built.head)
    frozen.undo()
    again = catalog.build_from_card(card_of(built, 5))
    again.load_state_dict(ours)
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.equal(answer(again, pixels), answer(built.network, pixels))


def test_at_its_own_size_the_pretrained_resizing_is_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, "squeezenet1_1")
    built = build("squeezenet1_1", labels=5, channels=3, size=(224, 224), pretrained=True)
    assert (built.preset.resize_size, built.preset.interpolation) == (256, "bilinear")


def test_the_pretrained_googlenet_normalises_once_more_also_from_its_card(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, monkeypatch, "googlenet", aux_logits=True, init_weights=False)
    built = build("googlenet", labels=5, channels=3, size=(64, 64), pretrained=True)
    again = catalog.build_from_card(card_of(built, 5))
    again.load_state_dict(built.network.state_dict())
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.equal(answer(again, pixels), answer(built.network, pixels))
    scratch = build("googlenet", labels=5, channels=3, size=(64, 64)).network
    scratch.load_state_dict(built.network.state_dict())
    assert not torch.equal(answer(scratch, pixels), answer(built.network, pixels))


def test_a_pretrained_transformer_takes_its_own_size_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnaudit.loading.sources.fetch", lambda *_a, **_k: pytest.fail("downloaded in vain"))
    with pytest.raises(OptionError, match="vit_b_32 takes 224x224 pictures only; got 64x64"):
        build("vit_b_32", labels=5, channels=3, size=(64, 64), pretrained=True)


def test_pretrained_weights_that_cannot_be_had(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, "squeezenet1_1", folder="/short")
    with pytest.raises(DownloadError) as caught:
        build("squeezenet1_1", labels=5, channels=3, size=(64, 64), pretrained=True)
    assert isinstance(caught.value, ModelError)
