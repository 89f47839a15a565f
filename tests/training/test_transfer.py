"""Pretrained weights with a new head: frozen, then not."""

import hashlib

import pytest
import torch
from torchvision import models as zoo

from cnnaudit import loading, training
from cnnaudit.errors import CnnAuditError, DownloadError
from cnnaudit.loading import catalog

CHOICES = {"data": "toy", "epochs": 2, "batch_size": 40, "device": "cpu", "pretrained": True, "input_size": 32}


@pytest.fixture
def resnet(tmp_path, monkeypatch):
    """Random weights that lie where torchvision's own would, with a name and checksum of their own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    before = torch.get_rng_state()
    torch.manual_seed(0)
    network = zoo.resnet18(weights=None)
    torch.set_rng_state(before)
    folder = catalog.hub_folder()
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()[:8]
    (folder / "weights.pth").rename(folder / f"resnet18-{digest}.pth")
    weights = type(catalog.default_weights("resnet18"))
    monkeypatch.setattr(weights, "url", property(lambda _self: f"http://127.0.0.1:9/resnet18-{digest}.pth"))
    return network.state_dict()


def changed(result, before):
    """The parts of the network that are no longer what they were, buffers included."""
    after = result.classifier.network.state_dict()
    return {key.partition(".")[0] for key in before if key in after and not torch.equal(after[key], before[key])}


def test_a_frozen_backbone_stays_to_the_bit(toy, tmp_path, resnet):
    result = training.train("resnet18", out=tmp_path, freeze="backbone", learning_rate=0.05, **CHOICES)
    before = {key: value for key, value in resnet.items() if not key.startswith("fc.")}
    assert changed(result, before) == set(), "batch norm's running statistics included"
    assert result.classifier.network.fc.out_features == 4
    assert result.facts.architecture.trainable == 512 * 4 + 4, "the page says how much learned"
    assert result.classifier.mean == pytest.approx((0.485, 0.456, 0.406)), "as the pretrained weights want it"
    assert torch.equal(loading.load(result.path, device="cpu").network.fc.weight, result.classifier.network.fc.weight)


def test_what_is_unfrozen_learns_in_the_epochs_behind(toy, tmp_path, resnet):
    frozen = training.train("resnet18", out=tmp_path / "a", freeze="backbone", patience=1, **CHOICES)
    result = training.train("resnet18", out=tmp_path / "b", freeze="backbone", unfreeze_after=1, **CHOICES)
    assert frozen.history[0].loss == result.history[0].loss
    assert frozen.history[1].loss != result.history[1].loss
    if result.best_epoch == 2:
        assert changed(result, {k: v for k, v in resnet.items() if "fc" not in k}) >= {"conv1", "layer1", "bn1"}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_each_optimizer_takes_up_what_is_unfrozen(toy, tmp_path, resnet, optimizer):
    result = training.train(
        "resnet18", out=tmp_path, freeze="backbone", unfreeze_after=1, optimizer=optimizer, **CHOICES
    )
    assert len(result.history) == 2
    assert result.facts.architecture.trainable == result.facts.architecture.parameters


def test_the_head_alone_gets_better(toy, tmp_path, resnet):
    result = training.train(
        "resnet18", out=tmp_path, freeze="backbone", learning_rate=0.01, **(CHOICES | {"epochs": 8})
    )
    assert result.history[-1].loss < result.history[0].loss


def test_weights_that_cannot_be_had_are_an_error_before_the_training(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    weights = type(catalog.default_weights("resnet18"))
    monkeypatch.setattr(weights, "url", property(lambda _self: "http://127.0.0.1:9/resnet18-0.pth"))
    with pytest.raises(DownloadError, match=r"resnet18-0(.|\n)*--weights FILE, or leave --pretrained out"):
        training.train("resnet18", out=tmp_path, **CHOICES)
    assert not list(tmp_path.glob("resnet18*"))


def test_pretrained_weights_can_come_from_a_file(toy, tmp_path, resnet):
    torch.save({"state_dict": resnet}, tmp_path / "mine.pth")
    own = training.train("resnet18", out=tmp_path / "own", **(CHOICES | {"epochs": 1}))
    given = CHOICES | {"epochs": 1, "pretrained": False, "weights": tmp_path / "mine.pth"}
    result = training.train("resnet18", out=tmp_path / "given", **given)
    assert result.classifier.facts().sha256 == own.classifier.facts().sha256
    assert f"--pretrained --weights {tmp_path / 'mine.pth'}" in result.run.command
    assert any("mine.pth names no preprocessing" in note for note in result.notes)


def test_a_checkpoint_of_ours_passes_on_its_backbone(toy, tmp_path, resnet):
    first = training.train("resnet18", out=tmp_path / "a", pool="blur", **(CHOICES | {"input_size": 40, "epochs": 1}))
    choices = CHOICES | {"epochs": 1, "input_size": None, "weights": first.path, "freeze": "backbone"}
    second = training.train("resnet18", out=tmp_path / "b", **choices)
    before = {key: value for key, value in first.classifier.network.state_dict().items() if not key.startswith("fc.")}
    assert changed(second, before) == set()
    assert second.classifier.input_size == (40, 40), "as the checkpoint has it"
    assert any("Blur" in type(module).__name__ for module in second.classifier.network.modules())


@pytest.mark.parametrize(
    ("weights", "words"),
    [("none", "no pretrained ones"), ("IMAGENET1K_V9", "Did you mean 'IMAGENET1K_V1'"), ("gone.pth", "gone.pth")],
)
def test_weights_that_are_none_are_refused(toy, tmp_path, weights, words):
    with pytest.raises(CnnAuditError, match=words):
        training.train("resnet18", out=tmp_path, **(CHOICES | {"weights": weights}))
