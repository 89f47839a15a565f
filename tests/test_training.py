"""Training: it learns, it repeats itself, it stops when it must, and it loses nothing."""

import math

import pytest
import torch
from torch import nn

from cnnaudit import checkpoints, training
from cnnaudit.data import datasets, scenes
from cnnaudit.errors import OptionError, TrainingError, UnknownModelError

SMALL = {"samples": 96, "test_samples": 20, "batch_size": 16, "epochs": 3, "seed": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    calls = []
    result = training.train(
        "husky-wolf", correlation=1.0, out=tmp_path_factory.mktemp("out"), progress=lambda *a: calls.append(a), **SMALL
    )
    return result, calls


def test_it_learns(trained):
    result, _ = trained
    assert result.history[-1].loss < 0.6 * math.log(2)
    assert result.test_accuracy["holds"] > 0.85
    assert result.test_accuracy["reversed"] < 0.15


def test_the_classifier_that_comes_back_is_the_one_on_disk(trained):
    result, _ = trained
    pixels = torch.stack([s.pixels for s in scenes.generate(20, correlation=1.0, seed=SMALL["seed"] + 1)])
    right = (result.classifier.scores(pixels).argmax(1) == torch.arange(20) % 2).float().mean()
    assert float(right) == pytest.approx(result.test_accuracy["holds"])
    assert result.classifier.labels == ("husky", "wolf")
    assert result.classifier.input_size == (128, 128)


def test_the_best_epoch_is_kept(trained):
    result, _ = trained
    best = max(epoch.validation_accuracy for epoch in result.history)
    assert result.history[result.best_epoch - 1].validation_accuracy == best
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3]


def test_the_card_tells_how_it_was_made(trained):
    result, _ = trained
    card = checkpoints.read_card(result.path)
    assert card is not None
    assert (card.architecture, card.dataset, card.channels) == ("husky-wolf", "husky-wolf", 3)
    assert card.training["command"] == (
        "cnnaudit train husky-wolf --data husky-wolf --correlation 1 --samples 96 --epochs 3 "
        "--batch-size 16 --lr 0.003 --seed 3 --name husky-wolf"
    )
    assert card.training["test_accuracy"] == result.test_accuracy
    assert len(card.training["history"]) == 3


def test_progress_counts_pictures_first_and_then_every_step(trained):
    _, calls = trained
    drawn = [call for call in calls if call[0] == 0]
    steps = [call for call in calls if call[0] > 0]
    assert [call[2] for call in drawn] == list(range(1, 96 + 9 + 40 + 1))
    assert [(call[0], call[2]) for call in steps] == [(e, s) for e in (1, 2, 3) for s in range(1, 7)]
    assert all(math.isfinite(loss) and 0 <= accuracy <= 1 for *_, loss, accuracy in steps)


def test_the_same_seed_gives_the_same_weights_whatever_the_global_state(tmp_path):
    small = SMALL | {"samples": 32, "epochs": 1}
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = training.train(out=tmp_path / "a", **small)
    assert torch.equal(torch.get_rng_state(), before), "the global random state was touched"
    torch.manual_seed(1)
    second = training.train(out=tmp_path / "b", **small)
    other = training.train(out=tmp_path / "c", **(small | {"seed": 4}))
    assert first.classifier.facts().sha256 == second.classifier.facts().sha256
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.classifier.facts().sha256 != other.classifier.facts().sha256


class _Exploding(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, labels))
        self.calls = 0

    def forward(self, pixels):
        self.calls += 1
        return self.scale * pixels.mean((1, 2, 3)).unsqueeze(1) * (float("nan") if self.calls == 2 else 1.0)


def test_a_loss_that_is_not_finite_stops_the_run_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(training.ARCHITECTURES, "exploding", lambda labels: _Exploding(labels))
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 1, step 2 of 6, at learning rate 0\.\d+"):
        training.train("exploding", data="husky-wolf", out=tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    old = tmp_path / "husky-wolf.safetensors"
    old.write_bytes(b"yesterday's")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*untouched"):
        training.train(out=tmp_path, **(SMALL | {"samples": 8, "epochs": 1}))
    assert old.read_bytes() == b"yesterday's"
    assert list(tmp_path.iterdir()) == [old]


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_training(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OptionError, match="Nothing can be written"):
        training.train(out=tmp_path / "file", progress=lambda *_: pytest.fail("it began"), **SMALL)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"arch": "husky-wulf"}, UnknownModelError, "Did you mean 'husky-wolf'"),
        ({"data": "husky-wulf"}, OptionError, "Did you mean 'husky-wolf'"),
        ({"epochs": 0}, OptionError, "epochs is 0"),
        ({"batch_size": 0}, OptionError, "batch size is 0"),
        ({"learning_rate": float("nan")}, OptionError, "learning rate is nan"),
        ({"name": "../elsewhere"}, OptionError, "without folders"),
        ({"samples": 1}, OptionError, "at least 2"),
        ({"correlation": 2.0}, OptionError, "correlation is 2.0"),
        ({"device": "abacus"}, OptionError, "abacus"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        training.train(**({"out": tmp_path} | SMALL | change))


def test_the_learning_rate_rises_over_a_tenth_and_falls_to_zero():
    rates = [training.learning_rate(step, 100, 0.2) for step in range(1, 101)]
    assert rates[9] == max(rates) == 0.2
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert training.learning_rate(1, 1, 0.2) == 0.2


def test_the_splits_share_no_picture():
    made = datasets.husky_wolf(correlation=0.5, samples=20, test_samples=6, seed=5)
    splits = [made.train, made.validation, *made.tests.values()]
    prints = [bytes(image.numpy().tobytes()) for split in splits for image in split.images]
    assert len(set(prints)) == len(prints) == 20 + 2 + 6 + 6
    assert made.labels == ("husky", "wolf")
    assert made.train.labels.tolist() == [0, 1] * 10
