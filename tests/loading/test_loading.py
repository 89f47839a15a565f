"""`load` turns names, files and factories into classifiers that see and say what the originals do."""

import hashlib
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from local_server import Server, serving
from PIL import Image as PILImage
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnaudit import checkpoints, loading
from cnnaudit.checkpoints import Card
from cnnaudit.classifier import Classifier
from cnnaudit.errors import (
    DownloadError,
    ModelError,
    OptionError,
    UnknownModelError,
    UntrustedModelError,
    WeightsError,
)
from cnnaudit.loading import catalog, sources
from cnnaudit.models import ARCHITECTURES, BUNDLED
from cnnaudit.results import Image

SHARED = Path(os.environ.get("CNNAUDIT_TEST_DATA", Path(__file__).parents[2].parent / "shared"))
ARCHITECTURE = "husky-wolf"


def own_network() -> nn.Module:
    with sources.seeded():
        return ARCHITECTURES[ARCHITECTURE]()


def card(**changes: Any) -> Card:
    return replace(
        Card(ARCHITECTURE, ("husky", "wolf"), (64, 64), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 3, dataset="scenes"),
        **changes,
    )


def checkpoint(path: Path, **changes: Any) -> Path:
    checkpoints.write(path, own_network().state_dict(), card(**changes))
    return path


def picture(height: int, width: int, channels: int = 3) -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image("noise", pixels, "")


def test_a_checkpoint_needs_nothing_else(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "mine.safetensors", resize_size=72, interpolation="bicubic")
    clf = loading.load(path, device="cpu")
    assert (clf.name, clf.architecture, clf.labels) == ("mine.safetensors", ARCHITECTURE, ("husky", "wolf"))
    assert (clf.input_size, clf.resize_size, clf.interpolation) == ((64, 64), 72, "bicubic")
    assert (clf.mean, clf.std, clf.notes) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), ())
    assert "mine.safetensors" in clf.source
    pixels = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor(clf.mean).view(-1, 1, 1), torch.tensor(clf.std).view(-1, 1, 1)
    with torch.no_grad():
        assert torch.equal(clf.scores(pixels), own_network().eval()((pixels - mean) / std))


def test_a_checkpoint_of_a_torchvision_architecture(tmp_path: Path) -> None:
    network = zoo.squeezenet1_1(weights=None, num_classes=2)
    checkpoints.write(
        tmp_path / "s.safetensors",
        network.state_dict(),
        card(architecture="squeezenet1_1", arguments={"num_classes": 2}),
    )
    clf = loading.load(tmp_path / "s.safetensors", device="cpu")
    assert (clf.architecture, clf.classes) == ("squeezenet1_1", 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "os:system"},
        {"architecture": "torchvision.models:resnet18"},
        {"architecture": "raft_large"},
        {"architecture": ["resnet18"]},
        {"architecture": "resnet18", "arguments": {"weights": "DEFAULT"}},
        {"architecture": "resnet18", "arguments": {"block": "os:system"}},
        {"arguments": {"width": 10**12}},
        {"arguments": {"command": "true"}},
        {"arguments": [1]},
        {"labels": "hw"},
        {"labels": ()},
        {"labels": ("a", 3)},
        {"input_size": (64,)},
        {"input_size": ("64", "64")},
        {"input_size": (10**6, 10**6)},
        {"mean": ("a", "b", "c")},
        {"mean": (0.5, 0.5)},
        {"std": (0.0, 1.0, 1.0)},
        {"channels": 7},
        {"interpolation": "lanczos"},
        {"resize_size": "big"},
    ],
)
def test_a_crafted_card_is_an_error_and_imports_nothing(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.system", lambda _command: pytest.fail("a file's metadata chose code to run"))
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        loading.load(checkpoint(tmp_path / "mine.safetensors", **changes), device="cpu")


@pytest.mark.parametrize("text", ["[1]", "{}", "null", "3", "[" * 100_000, '{"architecture": "x", "more": 1}', "{"])
def test_a_damaged_card_is_an_error(tmp_path: Path, text: str) -> None:
    save_file(dict(own_network().state_dict()), tmp_path / "mine.safetensors", {checkpoints.KEY: text})
    with pytest.raises(WeightsError, match="card"):
        loading.load(tmp_path / "mine.safetensors")


def test_other_weights_for_a_checkpoint_or_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = checkpoint(tmp_path / "mine.safetensors")
    monkeypatch.setitem(BUNDLED, "husky-wolf", ours)
    state = {key: value + 1 for key, value in own_network().state_dict().items()}
    torch.save(state, tmp_path / "other.pth")
    for model in (ours, "husky-wolf"):
        clf = loading.load(model, weights=tmp_path / "other.pth", device="cpu")
        assert all(torch.equal(value, state[key]) for key, value in clf.network.state_dict().items())
        assert clf.labels == ("husky", "wolf")
        assert loading.load(model, weights="none", device="cpu").notes == (sources.RANDOM_NOTE,)
    assert loading.load("husky-wolf", device="cpu").source == "bundled with cnnaudit"
    monkeypatch.delitem(BUNDLED, "husky-wolf")
    assert loading.load(ARCHITECTURE, weights=ours, device="cpu").labels == ("husky", "wolf")
    assert loading.load(ARCHITECTURE, weights=tmp_path / "other.pth", device="cpu").classes == 2
    assert loading.load(ARCHITECTURE, weights="none", device="cpu").classes == 2
    with pytest.raises(OptionError, match="comes without weights"):
        loading.load(ARCHITECTURE)
    with pytest.raises(WeightsError, match=f"weights of {ARCHITECTURE}, not of resnet18"):
        loading.load("resnet18", weights=ours)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_there(name: str) -> None:
    clf = loading.load(name, device="cpu")
    assert (clf.name, clf.source, clf.notes) == (name, "bundled with cnnaudit", ())


# torchvision


def presets() -> dict[str, Any]:
    """One of torchvision's weights for each distinct preprocessing."""
    found: dict[str, Any] = {}
    for name in catalog.torchvision_names():
        for member in catalog.weights_of(name):
            preset = replace(catalog.preset_of(member), labels=None)
            found.setdefault(repr(preset), member)
    return {str(member): member for member in found.values()}


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("size", [(301, 417), (311, 233)])
def test_pictures_are_prepared_as_torchvision_does(name: str, size: tuple[int, int]) -> None:
    member, image = presets()[name], picture(*size)
    preset = replace(catalog.preset_of(member), labels=None)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clf = Classifier(network, **asdict(preset))
    theirs = member.transforms()(PILImage.fromarray(image.pixels))
    ours = (clf.prepare(image)[0] - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


class Unset(TorchFunctionMode):
    """Zeros in place of random weights, whose drawing is most of the time that building takes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in ("uniform_", "normal_"):
            return given.get("tensor", *args[:1]).detach().zero_()
        return func(*args, **given)


def buildable() -> list[Any]:
    """Every classifier of torchvision; the large ones take longer."""
    large = {name for name in catalog.torchvision_names() if catalog.weights_of(name)[0].meta["num_params"] > 6e7}
    slow = pytest.mark.slow
    return [pytest.param(name, marks=slow if name in large else ()) for name in catalog.torchvision_names()]


@pytest.mark.parametrize("name", buildable())
def test_every_classifier_of_torchvision_is_built(name: str) -> None:
    with Unset():
        source = sources.from_torchvision(name, "none", trust_model=False, progress=None)
    counted = sum(parameter.numel() for parameter in source.network.parameters())
    promised = catalog.weights_of(name)[0].meta["num_params"]
    assert counted == promised - (3_326_696 if name == "inception_v3" else 0)  # its auxiliary head
    assert len(source.preset.labels or ()) == 1000
    assert source.notes == (sources.RANDOM_NOTE,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "convnext_tiny",
        "densenet121",
        "efficientnet_b0",
        "efficientnet_v2_s",
        "googlenet",
        "inception_v3",
        "maxvit_t",
        "mnasnet0_5",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "regnet_x_400mf",
        "regnet_y_400mf",
        "resnet18",
        "resnext50_32x4d",
        "shufflenet_v2_x0_5",
        "squeezenet1_0",
        "swin_t",
        "swin_v2_t",
        "vgg11",
        "vit_b_32",
        "wide_resnet50_2",
    ],
)
def test_one_of_every_family_runs(name: str) -> None:
    clf = loading.load(name, weights="none", device="cpu")
    assert clf.classes == 1000
    assert len(clf.predict(clf.prepare(picture(300, 400)))) == 1000


def test_random_weights_are_the_same_each_time_and_disturb_nothing() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    first = loading.load("squeezenet1_1", weights="none", device="cpu")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]  # type: ignore[index]
    torch.manual_seed(6)
    second = loading.load("squeezenet1_1", weights="none", device="cpu")
    assert first.facts().sha256 == second.facts().sha256
    assert first.notes == (sources.RANDOM_NOTE,)


def saved_state(name: str, seed: int = 1, **arguments: Any) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return zoo.get_model(name, weights=None, **arguments).state_dict()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("squeezenet1_1", "plain"),
        ("squeezenet1_1", "wrapped"),
        ("squeezenet1_1", "half"),
        ("squeezenet1_1", "safetensors"),
        ("resnet18", "wrapped"),
        ("mobilenet_v3_small", "safetensors"),
        pytest.param("shufflenet_v2_x0_5", "plain", marks=pytest.mark.slow),
        pytest.param("mnasnet1_0", "safetensors", marks=pytest.mark.slow),
        pytest.param("densenet121", "wrapped", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", "half", marks=pytest.mark.slow),
        pytest.param("swin_t", "plain", marks=pytest.mark.slow),
    ],
)
def test_a_file_gives_torchvisions_own_scores(tmp_path: Path, name: str, kind: str) -> None:
    state = saved_state(name)
    path = tmp_path / ("net.safetensors" if kind == "safetensors" else "net.pth")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "wrapped":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {"state": {}}}, path)
    else:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()} if kind == "half" else state
        torch.save(state, path)
    clf = loading.load(name, weights=path, device="cpu")
    theirs = zoo.get_model(name, weights=None).eval()
    theirs.load_state_dict(state)
    pixels = torch.rand(2, 3, 224, 224)
    normalised = (pixels - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1)
    with torch.no_grad():
        assert torch.equal(clf.scores(pixels), theirs(normalised))
    assert clf.dtype == torch.float32
    assert (clf.input_size, clf.resize_size) == ((224, 224), catalog.preset_of(catalog.weights_of(name)[0]).resize_size)
    assert clf.labels[:2] == ("tench", "goldfish")
    assert f"resize {clf.resize_size}, crop 224" in clf.notes[-1]


@pytest.mark.slow
def test_googlenet_normalises_as_its_weights_want(tmp_path: Path) -> None:
    state = saved_state("googlenet", aux_logits=True, init_weights=False)
    torch.save(state, tmp_path / "net.pth")
    clf = loading.load("googlenet", weights=tmp_path / "net.pth", device="cpu")
    theirs = zoo.googlenet(weights=None, transform_input=True, init_weights=False).eval()
    theirs.load_state_dict(state)
    pixels = torch.rand(1, 3, 224, 224)
    normalised = (pixels - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1)
    with torch.no_grad():
        assert torch.equal(clf.scores(pixels), theirs(normalised))
    assert any("transform_input" in note for note in clf.notes)


def test_a_fine_tuned_network_just_loads(tmp_path: Path) -> None:
    torch.save(saved_state("resnet18", num_classes=7), tmp_path / "seven.pth")
    clf = loading.load("resnet18", weights=tmp_path / "seven.pth", device="cpu")
    assert (clf.classes, clf.labels[6]) == (7, "class 6")
    assert any("7 classes" in note for note in clf.notes)
    named = loading.load("resnet18", weights=tmp_path / "seven.pth", labels=list("abcdefg"), device="cpu")
    assert named.labels == tuple("abcdefg")
    with pytest.raises(OptionError, match="2 labels were given; the network has 7"):
        loading.load("resnet18", weights=tmp_path / "seven.pth", labels=["a", "b"], device="cpu")


def test_a_grey_network_takes_colour_and_grey_pictures(tmp_path: Path) -> None:
    state = saved_state("resnet18", num_classes=10)
    state["conv1.weight"] = state["conv1.weight"].sum(1, keepdim=True)
    torch.save(state, tmp_path / "grey.pth")
    clf = loading.load("resnet18", weights=tmp_path / "grey.pth", device="cpu")
    assert (clf.channels, clf.classes, clf.mean, clf.std) == (1, 10, (0.0,), (1.0,))
    assert any("give --mean and --std" in note for note in clf.notes)
    for channels in (1, 3):
        assert clf.prepare(picture(50, 60, channels)).shape == (1, 1, 224, 224)
    assert loading.load("resnet18", weights=tmp_path / "grey.pth", mean=[0.5], std=[0.2], device="cpu").mean == (0.5,)


@pytest.mark.slow
def test_a_vision_transformer_is_built_for_the_size_in_the_file(tmp_path: Path) -> None:
    state = saved_state("vit_b_32", image_size=64)
    assert catalog.vit_size("vit_b_32", state) == 64
    torch.save(state, tmp_path / "vit.pth")
    clf = loading.load("vit_b_32", weights=tmp_path / "vit.pth", device="cpu")
    assert (clf.input_size, clf.resize_size) == ((64, 64), 64)
    large = {"encoder.pos_embedding": torch.zeros(1, (384 // 16) ** 2 + 1, 768)}
    assert catalog.preset_for_file("vit_b_16", large) == catalog.preset_of(zoo.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1)


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    torch.save(saved_state("squeezenet1_1"), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"--model squeezenet1_1 --weights .*net\.pth"):
        loading.load(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="--model squeezenet1_1"):
        loading.load(weights=tmp_path / "net.pth")
    torch.save({"a.weight": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="--model ARCHITECTURE"):
        loading.load(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("IMAGENET1K_V3", "Did you mean 'IMAGENET1K_V2'"),
        ("resnet18_weights.imagenet1k_v1", "no weights of resnet50"),
        ("absent.pth", "does not exist"),
    ],
)
def test_weights_that_are_not_there(weights: str, message: str) -> None:
    with pytest.raises((OptionError, WeightsError), match=message):
        loading.load("resnet50", weights=weights)


def test_weights_without_a_classifier_are_refused() -> None:
    with pytest.raises(OptionError, match="only features"):
        loading.load("vgg16", weights="IMAGENET1K_FEATURES")


@pytest.mark.slow
def test_real_weights_know_real_photos() -> None:
    weights, photos = SHARED / "models/mobilenet_v2-imagenet.safetensors", SHARED / "data/photos"
    if not (weights.is_file() and photos.is_dir()):
        pytest.skip("the ImageNet weights and photos are not at hand")
    clf = loading.load("mobilenet_v2", weights=weights, device="cpu")
    hits = []
    for path in sorted(photos.iterdir())[:20]:
        with PILImage.open(path) as opened:
            image = Image(path.name, np.asarray(opened.convert("RGB")), "")
        label = clf.predict(clf.prepare(image))[0].label
        hits.append(label.lower().replace(" ", "_") == path.stem.partition("_")[2].lower())
    assert sum(hits) >= 12


# downloads, and what stands in when there is none


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving() as running:
        yield running


def publish(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, folder: str = "") -> dict[str, Tensor]:
    """Serve random weights as torchvision's own, with the checksum in the file's name."""
    state, stream = saved_state(name), io.BytesIO()
    torch.save(state, stream)
    file = f"{name}-{hashlib.sha256(stream.getvalue()).hexdigest()[:8]}.pth"
    server.files[file] = stream.getvalue()
    url = f"{server.url}{folder}/{file}"
    monkeypatch.setattr(type(catalog.default_weights(name)), "url", property(lambda _self: url))
    return state


def test_a_name_downloads_torchvisions_weights_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    state, seen = publish(server, monkeypatch, "squeezenet1_1"), []
    for weights in (None, "DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"):
        clf = loading.load("squeezenet1_1", weights=weights, device="cpu", progress=lambda *at: seen.append(at))
        assert all(torch.equal(value, state[key]) for key, value in clf.network.state_dict().items())
    assert len(server.asked) == 1
    assert seen[-1][0] == seen[-1][1]
    assert (clf.name, clf.notes) == ("squeezenet1_1", ())
    assert "SqueezeNet1_1_Weights.IMAGENET1K_V1" in clf.source
    theirs = zoo.squeezenet1_1(weights=zoo.SqueezeNet1_1_Weights.DEFAULT, progress=False)  # from the same cache
    assert len(server.asked) == 1
    assert all(torch.equal(v, state[k]) for k, v in theirs.state_dict().items())


def test_a_damaged_file_in_the_cache_says_delete_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, "squeezenet1_1")
    loading.load("squeezenet1_1", device="cpu")
    (path,) = catalog.hub_folder().iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="Delete it"):
        loading.load("squeezenet1_1", device="cpu")


def test_a_named_model_that_cannot_be_had_names_alternatives(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, "squeezenet1_1", folder="/short")
    with pytest.raises(DownloadError) as caught:
        loading.load("squeezenet1_1", device="cpu")
    for alternative in ("--weights FILE", "--weights none", "husky-wolf"):
        assert alternative in str(caught.value)


@pytest.mark.slow
def test_auto_is_resnet50(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(server, monkeypatch, "resnet50")
    clf = loading.load(device="cpu")
    assert (clf.name, clf.architecture, clf.notes, clf.resize_size) == ("resnet50", "resnet50", (), 232)


def test_auto_without_a_connection_is_the_bundled_model_said_loudly(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(server, monkeypatch, "resnet50", folder="/short")
    monkeypatch.setitem(BUNDLED, "husky-wolf", checkpoint(tmp_path / "mine.safetensors"))
    clf = loading.load(device="cpu")
    assert (clf.name, clf.source) == ("husky-wolf", "bundled with cnnaudit")
    assert "knows only huskies and wolves" in clf.notes[0]
    assert "resnet50 could not be had (resnet50-" in clf.notes[0]
    assert "--weights" not in clf.notes[0]


def test_auto_with_random_weights_asks_nobody(server: Server) -> None:
    clf = loading.load(weights="none", device="cpu")
    assert (clf.name, clf.notes) == ("resnet50", (sources.RANDOM_NOTE,))
    assert server.asked == []


# factories, timm, names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a user's module in it."""
    (tmp_path / "user_nets.py").write_text(
        "from torch import nn\n"
        "def tiny(): return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))\n"
        "def grey(): return nn.Sequential(nn.Conv2d(1, 2, 28), nn.Flatten())\n"
        "ready = tiny()\n"
        "class Zoo:\n    tiny = staticmethod(tiny)\n"
        "number = 3\n"
        "def broken(): raise RuntimeError('no data')\n"
        "def wants(x): return x\n"
        "def nothing(): return None\n"
    )
    (tmp_path / "user_bad.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "user_exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in ("user_nets", "user_bad", "user_exits"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["tiny", "ready", "Zoo.tiny"])
def test_a_factory_in_the_current_folder(here: Path, name: str) -> None:
    before = list(sys.path)
    clf = loading.load(f"user_nets:{name}", device="cpu")
    assert (clf.name, clf.architecture, clf.classes) == (f"user_nets:{name}", "Sequential", 4)
    assert "no preprocessing is known" in clf.notes[0]
    assert sys.path == before
    again = loading.load(f"user_nets:{name}", device="cpu", mean=[0.5], std=[0.2], input_size=32, labels=list("abcd"))
    assert (again.mean, again.input_size, again.labels, again.notes) == ((0.5,) * 3, (32, 32), tuple("abcd"), ())
    assert clf.facts().sha256 == again.facts().sha256


def test_a_factory_of_a_grey_network(here: Path) -> None:
    clf = loading.load("user_nets:grey", input_size=(28, 28), device="cpu")
    assert (clf.channels, clf.classes) == (1, 2)
    with pytest.raises(ModelError, match="Give its input_size"):
        loading.load("user_nets:grey", input_size=16, device="cpu")


def test_weights_for_a_factory(here: Path) -> None:
    state = {"2.weight": torch.ones(4, 3), "2.bias": torch.zeros(4)}
    torch.save({"model": state}, here / "tiny.pth")
    clf = loading.load("user_nets:tiny", weights="tiny.pth", device="cpu")
    assert torch.equal(clf.network.state_dict()["2.weight"], torch.ones(4, 3))
    torch.save({"2.weight": torch.ones(9, 3), "2.bias": torch.zeros(9)}, here / "nine.pth")
    with pytest.raises(WeightsError, match="make the network with 9"):
        loading.load("user_nets:tiny", weights="nine.pth", device="cpu")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("user_net:tiny", UnknownModelError, "no module 'user_net'"),
        ("user_nets:tinny", UnknownModelError, "Did you mean 'tiny'"),
        ("user_nets:number", ModelError, "gives int"),
        ("user_nets:nothing", ModelError, "gives NoneType"),
        ("user_nets:broken", ModelError, "RuntimeError: no data"),
        ("user_nets:wants", ModelError, "called without arguments"),
        ("user_bad:net", ModelError, "a_module_that_is_not_there"),
        ("user_exits:net", ModelError, "SystemExit"),
        ("os:system", ModelError, "called without arguments"),
    ],
)
def test_a_factory_that_fails_says_why(here: Path, spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loading.load(spec, device="cpu")


def test_timm_with_random_weights_is_prepared_as_timm_does() -> None:
    timm = pytest.importorskip("timm")
    clf = loading.load("timm:resnet18.a1_in1k", weights="none", device="cpu")
    assert (clf.resize_size, clf.interpolation, clf.labels[0]) == (235, "bicubic", "tench")
    assert sources.RANDOM_NOTE in clf.notes
    image = picture(301, 417)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(clf.network))
    theirs = transform(PILImage.fromarray(image.pixels))
    ours = (clf.prepare(image)[0] - torch.tensor(clf.mean).view(-1, 1, 1)) / torch.tensor(clf.std).view(-1, 1, 1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_timm_with_a_file(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet18", num_classes=5)
    torch.save(network.state_dict(), tmp_path / "five.pth")
    clf = loading.load("timm:resnet18", weights=tmp_path / "five.pth", device="cpu")
    assert (clf.classes, clf.labels[0]) == (5, "class 0")
    with pytest.raises(UnknownModelError, match="Did you mean 'resnet18"):
        loading.load("timm:resnet81")


def test_timm_without_a_connection_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_args: None)
    with pytest.raises(DownloadError, match="--weights none"):
        loading.load("timm:resnet18")


def test_timm_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"pip install 'cnnaudit\[timm\]'"):
        loading.load("timm:resnet18")


@pytest.mark.parametrize("name", ["resnet5", "", "husky wolf", "nets", "torchvision.models.resnet18", "a:b:c"])
def test_a_misspelt_name_gets_the_kinds_there_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModelError) as caught:
        loading.load(name)
    for kind in ("husky-wolf", "torchvision", "timm:NAME", "package.module:factory", "file"):
        assert kind in str(caught.value)


def test_a_misspelt_name_gets_near_matches() -> None:
    with pytest.raises(UnknownModelError, match="Did you mean 'resnet50'"):
        loading.load("ResNet5O")


# code in files


def test_a_trusted_whole_module_is_a_classifier(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(UntrustedModelError, match="--trust-model"):
        loading.load(tmp_path / "whole.pt")
    clf = loading.load(tmp_path / "whole.pt", trust_model=True, device="cpu")
    assert (clf.name, clf.architecture, clf.classes) == ("whole.pt", "Sequential", 4)
    assert "code from it was run" in clf.notes[0]
    with pytest.raises(OptionError, match="--weights cannot be given"):
        loading.load(tmp_path / "whole.pt", weights="none", trust_model=True)


@pytest.mark.parametrize("kind", ["script", "exported"])
def test_trusted_programs_are_classifiers(tmp_path: Path, kind: str) -> None:
    network, path = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), tmp_path / "program.pt"
    if kind == "script":
        with pytest.warns(FutureWarning):
            torch.jit.save(torch.jit.script(network), path)
    else:
        batch = {0: torch.export.Dim.DYNAMIC}
        torch.export.save(torch.export.export(network, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(batch,)), path)
    clf = loading.load(path, trust_model=True, device="cpu", input_size=32)
    pixels = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(clf.scores(pixels), network(pixels))


# overrides


def test_what_the_caller_says_comes_first() -> None:
    clf = loading.load(
        "squeezenet1_1",
        weights="none",
        input_size=(112, 112),
        mean=(0.1, 0.2, 0.3),
        std=[1],
        labels=[str(k) for k in range(1000)],
        device="cpu",
    )
    assert (clf.input_size, clf.resize_size, clf.mean, clf.std) == ((112, 112), 128, (0.1, 0.2, 0.3), (1.0,) * 3)
    assert clf.labels[999] == "999"
    assert loading.load("squeezenet1_1", weights="none", input_size=(96, 128), device="cpu").resize_size is None


@pytest.mark.parametrize("size", [0, (1, 2, 3), (-1, 5)])
def test_a_wrong_input_size_is_an_error(size: Any) -> None:
    with pytest.raises(OptionError, match="input_size"):
        loading.load("squeezenet1_1", weights="none", input_size=size, device="cpu")


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\n",
        "\ufeffcat\r\ndog\r\n\r\n",
        '["cat", "dog"]',
        '{"1": "dog", "0": "cat"}',
        '{"0": ["n01", "cat"], "1": ["n02", "dog"]}',
        '{"dog": 1, "cat": 0}',
    ],
)
def test_labels_from_a_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels").write_text(text, encoding="utf-8", newline="")
    assert loading.read_labels(tmp_path / "labels") == ("cat", "dog")


@pytest.mark.parametrize(
    "text", ['{"0": "cat", "2": "dog"}', '["cat"', '{"a": "b"}', '{"0": {}, "0x": []}', "[" * 10**5]
)
def test_labels_that_make_no_sense(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels").write_text(text)
    with pytest.raises(OptionError, match="labels"):
        loading.load("squeezenet1_1", weights="none", labels=tmp_path / "labels")


def test_labels_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(b"\xff\xfe\xfa")
    for name in ("labels", "absent"):
        with pytest.raises(OptionError, match="cannot be read"):
            loading.read_labels(tmp_path / name)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "meta", "xla", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(OptionError):
        loading.load("squeezenet1_1", weights="none", device=device)


def test_devices_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loading.resolve_device("cpu") == loading.resolve_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert loading.resolve_device("auto") == torch.device("cuda")
    assert loading.resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(OptionError, match="2 CUDA devices"):
        loading.resolve_device("cuda:2")


def test_what_there_is_to_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    catalog.hub_folder().mkdir(parents=True)
    (catalog.hub_folder() / "squeezenet1_1-b8a52dc0.pth").touch()
    for name in BUNDLED:
        monkeypatch.setitem(BUNDLED, name, checkpoint(tmp_path / f"{name}.safetensors"))
    entries = {entry.name: entry for entry in loading.available_models()}
    assert set(entries) == {*BUNDLED, *ARCHITECTURES, *catalog.torchvision_names()}
    resnet = entries["resnet50"]
    assert (resnet.kind, resnet.parameters, resnet.accuracy, resnet.cached) == ("torchvision", 25557032, 80.858, False)
    assert "224x224" in resnet.summary
    assert entries["squeezenet1_1"].cached
    own = entries["husky-wolf"]
    assert (own.kind, own.cached) == ("bundled", True)
    assert own.parameters == sum(p.numel() for p in own_network().parameters())
    assert "husky or wolf, 64x64" in own.summary
    json.dumps([asdict(entry) for entry in entries.values()])
