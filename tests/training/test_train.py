"""Training: it learns, it repeats itself, it stops when it must, and it loses nothing."""

import csv
import json
import math
import resource
import signal
from dataclasses import replace

import pytest
import torch
import toys
from torch import nn

from cnnaudit import checkpoints, loading, training
from cnnaudit.data import datasets, scenes
from cnnaudit.data.splits import Files
from cnnaudit.errors import DataError, OptionError, TrainingError, UnknownModelError
from cnnaudit.models import ARCHITECTURES, cnn2
from cnnaudit.models.whitening import whiten
from cnnaudit.training import precision
from cnnaudit.training.batches import parts
from cnnaudit.training.paths import Paths
from cnnaudit.training.stepping import Stepper

TOY = {"data": "toy", "epochs": 3, "batch_size": 16, "device": "cpu", "learning_rate": 0.01, "seed": 3}
SCENES = {"samples": 96, "test_samples": 20, "batch_size": 16, "epochs": 3, "seed": 3, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    calls = []
    result = training.train(
        "husky-wolf", correlation=1.0, out=tmp_path_factory.mktemp("out"), progress=calls.append, **SCENES
    )
    return result, calls


def test_it_learns(trained):
    result, _ = trained
    assert result.history[-1].loss < 0.6 * math.log(2)
    tests = {test.name: test.accuracy.value for test in result.tests}
    assert tests["holds"] == result.test_accuracy > 0.85
    assert tests["reversed"] < 0.15


def test_the_classifier_that_comes_back_is_the_one_on_disk(trained):
    result, _ = trained
    pixels = torch.stack([s.pixels for s in scenes.generate(20, correlation=1.0, seed=SCENES["seed"] + 1)])
    for classifier in (result.classifier, loading.load(result.path, device="cpu")):
        right = (classifier.scores(pixels).argmax(1) == torch.arange(20) % 2).float().mean()
        assert float(right) == pytest.approx(result.test_accuracy)
        assert classifier.labels == ("husky", "wolf")
        assert classifier.input_size == (128, 128)


def test_the_best_epoch_is_kept(trained):
    result, _ = trained
    best = max(epoch.validation_accuracy for epoch in result.history)
    assert result.history[result.best_epoch - 1].validation_accuracy == best
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3]
    assert result.ended == "after all 3 epochs"


def test_the_card_tells_how_it_was_made(trained):
    result, _ = trained
    card = checkpoints.read_card(result.path)
    assert card is not None
    assert (card.architecture, card.dataset, card.channels) == ("husky-wolf", "husky-wolf", 3)
    assert card.training["command"] == (
        "cnnaudit train husky-wolf --data husky-wolf --epochs 3 --batch-size 16 --optimizer adamw --lr 0.003 "
        "--weight-decay 0.01 --schedule cosine --warm-up 0.1 --label-smoothing 0.0 --early-part 1.0 --augment scene "
        "--precision float32 --seed 3 --name husky-wolf --correlation 1.0 --samples 96 --test-samples 20"
    )
    assert card.training["test_accuracy"] == {test.name: test.accuracy.value for test in result.tests}
    assert len(card.training["history"]) == 3


def test_progress_counts_pictures_first_and_then_steps(trained):
    _, calls = trained
    drawn = [call for call in calls if call.epoch == 0]
    steps = [call for call in calls if call.epoch > 0]
    assert [call.step for call in drawn] == list(range(1, 96 + 9 + 40 + 1))
    assert {(call.epoch, call.step) for call in steps} >= {(1, 6), (2, 6), (3, 6)}, "the end of each epoch is shown"
    assert all(math.isfinite(call.loss) and 0 <= call.accuracy <= 1 for call in steps)
    assert steps[-1].seconds_left == 0
    assert all(call.images_per_second > 0 for call in steps)


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_state(toy, tmp_path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = training.train("cnn2", out=tmp_path / "a", **TOY)
    assert torch.equal(torch.get_rng_state(), before), "the global random state was touched"
    torch.manual_seed(1)
    second = training.train("cnn2", out=tmp_path / "b", **TOY)
    other = training.train("cnn2", out=tmp_path / "c", **(TOY | {"seed": 4}))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.classifier.facts().sha256 != other.classifier.facts().sha256
    assert first.report().html() == second.report().html()


def test_the_loop_is_the_plain_loop(toy, tmp_path):
    """The same weights as a loop in torch alone that draws the same order."""
    result = training.train("cnn2", out=tmp_path, optimizer="sgd", schedule="constant", warm_up=0.0, **TOY)
    made = toys.dataset()
    before = torch.get_rng_state()
    torch.manual_seed(TOY["seed"])
    network = cnn2(labels=4, channels=1, size=(8, 8)).train()
    torch.set_rng_state(before)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, weight_decay=5e-4, momentum=0.9, nesterov=True)
    rng, kept = torch.Generator().manual_seed(TOY["seed"]), {}
    for epoch in range(1, 4):
        for chosen in torch.randperm(120, generator=rng).split(16):
            inputs = (made.train.images[chosen].float() / 255 - 0.3) / 0.2
            loss = nn.functional.cross_entropy(network(inputs), made.train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == result.best_epoch:
            kept = {key: value.clone() for key, value in network.state_dict().items()}
    for key, value in result.classifier.network.state_dict().items():
        torch.testing.assert_close(value, kept[key], rtol=1e-4, atol=1e-6)


def test_pictures_that_are_streamed_give_the_same_network(toy, tmp_path, monkeypatch):
    resident = training.train("cnn2", out=tmp_path / "a", **TOY)
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(toys.dataset(streamed=True)))
    streamed = training.train("cnn2", out=tmp_path / "b", **TOY)
    assert streamed.classifier.facts().sha256 == resident.classifier.facts().sha256
    assert [m.picture.tolist() for m in streamed.tests[0].mistakes] == [
        m.picture.tolist() for m in resident.tests[0].mistakes
    ]


class _Diverging(nn.Module):
    """Its outputs are not finite from the training step `bad` on."""

    def __init__(self, labels, bad):
        super().__init__()
        self.head = nn.Linear(1, labels)
        self.steps, self.bad = 0, bad

    def forward(self, pixels):
        self.steps += self.training
        broken = self.training and self.steps >= self.bad
        return self.head(pixels.mean((1, 2, 3)).unsqueeze(1)) * (float("nan") if broken else 1.0)


def diverging(monkeypatch, bad):
    monkeypatch.setitem(ARCHITECTURES, "diverging", lambda *, labels, **_: _Diverging(labels, bad))


def test_a_loss_that_is_not_finite_names_the_step_and_the_rate(toy, tmp_path, monkeypatch):
    diverging(monkeypatch, 2)
    with pytest.raises(
        TrainingError, match=r"in epoch 1, step 2 of 8, at learning rate 0\.01\. There are no weights to keep"
    ):
        training.train("diverging", out=tmp_path, **TOY)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(toy, tmp_path, monkeypatch):
    diverging(monkeypatch, 8 + 3)
    with pytest.raises(TrainingError, match=r"in epoch 2, step 3 of 8, at learning rate .* epoch 1 are kept"):
        training.train("diverging", out=tmp_path, **TOY)
    paths = Paths.of(tmp_path, "diverging-toy")
    assert "not finite in epoch 2" in json.loads(paths.json.read_text())["ended"]
    assert not paths.snapshot.exists(), "it would only diverge again, and be in the way of another try"
    card = checkpoints.read_card(paths.checkpoint)
    assert card is not None
    assert card.training["kept_epoch"] == 1
    assert len(list(csv.DictReader(paths.csv.read_text().splitlines()))) == 1


def test_a_loss_that_is_not_finite_in_validation_names_the_step_and_the_rate_too(toy, tmp_path):
    words = r"in validation after epoch 1, step 1 of 1, at learning rate 1e\+20\. There are no weights to keep"
    with pytest.raises(TrainingError, match=words):
        training.train("cnn2", out=tmp_path, optimizer="sgd", **(TOY | {"learning_rate": 1e20, "batch_size": 120}))


def test_losses_looked_at_in_groups_name_the_same_step(toy, tmp_path, monkeypatch):
    """On an accelerator the loop looks at the loss now and then."""
    monkeypatch.setattr("cnnaudit.training.loop._Tally.group_on", staticmethod(lambda _device: 5))
    diverging(monkeypatch, 8 + 3)
    with pytest.raises(TrainingError, match=r"in epoch 2, step 3 of 8"):
        training.train("diverging", out=tmp_path, **TOY)


def test_a_write_that_fails_leaves_the_old_checkpoint(toy, tmp_path, monkeypatch):
    old = tmp_path / "cnn2-toy.safetensors"
    old.write_bytes(b"yesterday's")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*whole"):
        training.train("cnn2", out=tmp_path, **TOY)
    assert old.read_bytes() == b"yesterday's"
    assert not [path.name for path in tmp_path.iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize("room", [60_000, 200_000], ids=["for no checkpoint", "for no snapshot"])
def test_a_disk_that_is_really_full_says_so_and_loses_nothing(toy, tmp_path, room):
    """A limit on the size of files: safetensors and torch each have an error of their own for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"cannot be written to any more.*Make room"):
            training.train("mlp", out=tmp_path, **TOY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    result = training.train("mlp", out=tmp_path, resume=True, **TOY)
    assert len(result.history) == 3


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_training(toy, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OptionError, match="Nothing can be written"):
        training.train("cnn2", out=tmp_path / "file", progress=lambda *_: pytest.fail("it began"), **TOY)


def test_patience_ends_a_training_that_no_longer_gets_better(toy, tmp_path):
    result = training.train("cnn2", out=tmp_path, **(TOY | {"epochs": 60, "patience": 2}))
    assert len(result.history) == result.best_epoch + 2 < 60
    assert result.ended == f"after epoch {len(result.history)}: no better validation for 2 epochs"
    assert not Paths.of(tmp_path, "cnn2-toy").snapshot.exists(), "there is nothing to go on with"


def test_the_log_is_the_history(toy, tmp_path):
    result = training.train("cnn2", out=tmp_path, **TOY)
    paths = Paths.of(tmp_path, "cnn2-toy")
    rows = list(csv.DictReader(paths.csv.read_text().splitlines()))
    assert [float(row["validation_accuracy"]) for row in rows] == [e.validation_accuracy for e in result.history]
    record = json.loads(paths.json.read_text())
    assert [epoch["loss"] for epoch in record["history"]] == [e.loss for e in result.history]
    assert record["test_accuracy"] == {"test": result.test_accuracy}
    assert record["ended"] == "after all 3 epochs"


def test_the_report_has_what_was_measured(toy, tmp_path):
    result = training.train("cnn2", out=tmp_path, **TOY)
    facts = result.facts
    assert facts.pictures == {"train": 120, "validation": 40, "test": 60}
    assert facts.tests[0].accuracy.n == sum(sum(row) for row in facts.tests[0].confusion) == 60
    assert [share.n for share in facts.tests[0].classes] == [15] * 4
    assert facts.architecture is not None
    assert facts.architecture.parameters == sum(p.numel() for p in result.classifier.network.parameters())
    assert facts.filters is not None
    assert facts.filters.start.shape == facts.filters.end.shape == (32, 1, 3, 3)
    assert not (facts.filters.start == facts.filters.end).all()
    assert abs(facts.first_loss - math.log(4)) < 0.5
    assert "cnn2" in result.report().html()
    assert json.loads(result.report().json())["kind"] == "train"


def test_mistakes_are_the_most_confident_wrong_answers(toy, tmp_path):
    result = training.train("logistic", out=tmp_path, **(TOY | {"epochs": 1, "learning_rate": 1e-5}))
    probabilities = result.classifier.scores(toys.split(60, 2).images.float() / 255).softmax(1)
    truth = torch.arange(60) % 4
    wrong = [k for k in range(60) if int(probabilities[k].argmax()) != int(truth[k])]
    worst = sorted(wrong, key=lambda k: -float(probabilities[k].max()))[:24]
    found = result.tests[0].mistakes
    assert [m.index for m in found] == worst
    assert [m.probability for m in found] == pytest.approx([float(probabilities[k].max()) for k in worst], abs=1e-6)
    assert all((m.picture[..., 0] == toys.split(60, 2).images[m.index, 0].numpy()).all() for m in found)


@pytest.mark.parametrize("streamed", [False, True])
def test_vgg8_begins_with_filters_that_whiten_its_pictures(tmp_path, monkeypatch, streamed):
    made = toys.dataset(streamed=streamed)
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(made))
    before = toys.dataset().train.images
    result = training.train("vgg8", out=tmp_path, **(TOY | {"epochs": 1}))
    expected = nn.Conv2d(1, 32, 3)
    whiten(expected, (before.float() / 255 - 0.3) / 0.2)
    start = torch.from_numpy(result.facts.filters.start)
    torch.testing.assert_close(start[:18], expected.weight.detach()[:18], rtol=1e-4, atol=1e-4)
    if not streamed:
        assert torch.equal(made.train.images, before)


def test_parts_of_pictures_are_learned_from_in_the_first_half_of_the_steps(toy, tmp_path, monkeypatch):
    seen = []
    step = Stepper.step
    monkeypatch.setattr(Stepper, "step", lambda self, *batch: seen.append(tuple(batch[0].shape)) or step(self, *batch))
    choices = TOY | {"batch_size": 60, "input_size": 24, "early_part": 0.75}
    steps = []
    result = training.train("vgg8", out=tmp_path, progress=steps.append, **choices)
    assert seen == [(60, 1, 18, 18)] * 3 + [(60, 1, 24, 24)] * 3
    assert "--early-part 0.75" in result.run.command
    assert any("random parts of 18 x 18 pixels" in note for note in result.notes)
    assert steps[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"arch": "conv10-02"}, UnknownModelError, "Did you mean 'conv10-20'"),
        ({"arch": "[c8 r"}, OptionError, r"\["),
        ({"data": "husky-wulf"}, OptionError, "Did you mean 'husky-wolf'"),
        ({"epochs": 0}, OptionError, "epochs is 0"),
        ({"batch_size": 0}, OptionError, "batch size is 0"),
        ({"patience": 0}, OptionError, "patience is 0"),
        ({"learning_rate": float("nan")}, OptionError, "learning rate is nan"),
        ({"weight_decay": -1.0}, OptionError, "weight decay is -1"),
        ({"label_smoothing": 1.0}, OptionError, "label smoothing is 1"),
        ({"warm_up": 1.5}, OptionError, "warm up is 1.5"),
        ({"early_part": 0.0}, OptionError, r"early part is 0\.0; give a share above 0"),
        ({"early_part": 1.5}, OptionError, r"early part is 1\.5"),
        ({"early_part": 0.75, "input_size": 24}, OptionError, "cannot take the 1 x 18 x 18 parts .*--early-part"),
        ({"arch": "logistic", "optimizer": "muon"}, OptionError, "between the first layer and the last"),
        ({"optimizer": "adma"}, OptionError, "Did you mean 'adam'"),
        ({"optimizer": "adam", "momentum": 0.5}, OptionError, "adam has no such option"),
        ({"schedule": "cosin"}, OptionError, "Did you mean 'cosine'"),
        ({"augmentation": ("flop",)}, OptionError, "Did you mean 'flip'"),
        ({"augmentation": ("scene", "flip")}, OptionError, "give it alone"),
        ({"precision": "float8"}, OptionError, "float8"),
        ({"precision": "float16"}, OptionError, "float16 trains on accelerators only"),
        ({"name": "../elsewhere"}, OptionError, "without folders"),
        ({"pool": "median"}, OptionError, "median"),
        ({"pretrained": True}, OptionError, "no pretrained weights"),
        ({"freeze": "backbone"}, OptionError, "add --pretrained"),
        ({"unfreeze_after": 2}, OptionError, "nothing is frozen"),
        ({"samples": 100}, OptionError, "--samples belong to the husky-wolf scenes"),
        ({"time_limit": 0.0}, OptionError, "time limit is 0"),
        ({"time_limit": "60"}, OptionError, "time limit is '60'"),
        ({"seed": -1}, OptionError, "seed is -1"),
        ({"seed": None}, OptionError, "seed is None"),
        ({"seed": 1.5}, OptionError, r"seed is 1\.5"),
        ({"epochs": 1.5}, OptionError, r"epochs is 1\.5"),
        ({"patience": 1.5}, OptionError, r"patience is 1\.5"),
        ({"batch_size": True}, OptionError, "batch size is True"),
        ({"learning_rate": "0.1"}, OptionError, r"learning rate is '0\.1'"),
        ({"weight_decay": "0.1"}, OptionError, r"weight decay is '0\.1'"),
        ({"dropout": "0.1"}, OptionError, r"dropout is '0\.1'"),
        ({"data": 3}, OptionError, "dataset is 3"),
        ({"arch": 3}, OptionError, "architecture is 3"),
        ({"name": 3}, OptionError, "name is 3"),
        ({"name": "a\0b"}, OptionError, "give its name"),
        ({"name": "a" * 300}, OptionError, r"No file can be called 'a{40}….*--name"),
        ({"name": "a" * 240}, OptionError, "No file can be called"),
        ({"arch": "logistic", "pool": "blur"}, OptionError, "^logistic has no pooling layer"),
        ({"arch": "cnn2", "data": "signals"}, OptionError, r"^cnn2 does not fit pictures of 1x40\.[^\n]*$"),
        ({"arch": "vgg11"}, OptionError, "vgg11 cannot take the 3 x 8 x 8 pictures of toy.*--input-size"),
        ({"seed": 2**64}, OptionError, "seed is"),
        ({"augmentation": ("scene",), "arch": "mnist1d-cnn", "data": "signals"}, OptionError, "too small"),
        ({"arch": "cnn2", "data": None}, OptionError, "What is cnn2 to learn"),
        ({"device": "abacus"}, OptionError, "abacus"),
        ({"data": "husky-wolf", "samples": 1}, OptionError, "at least 2"),
        ({"data": "husky-wolf", "correlation": 2.0}, OptionError, r"correlation is 2\.0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_arguments_are_refused(toy, tmp_path, monkeypatch, change, error, words):
    monkeypatch.setitem(datasets.DATASETS, "signals", toys.source(toys.signals()))
    with pytest.raises(error, match=words):
        training.train(**({"arch": "cnn2", "out": tmp_path} | TOY | change))


@pytest.mark.parametrize("arch", ["logistic", "mlp", "cnn1", "vgg8", "[c8 b r p] [f16 r d0.2] f4"])
def test_a_checkpoint_of_each_kind_loads_as_it_is(toy, tmp_path, arch):
    result = training.train(arch, out=tmp_path, **(TOY | {"epochs": 1}))
    pixels = toys.split(8, 5).images.float() / 255
    again = loading.load(result.path, device="cpu")
    assert torch.equal(again.scores(pixels), result.classifier.scores(pixels))
    assert again.labels == toys.LABELS


def test_a_last_batch_of_one_picture_joins_the_one_before(toy, tmp_path):
    """120 pictures by 17 leave 1, of which batch normalisation has no variance."""
    assert parts(120, 17) == [17] * 6 + [18]
    assert (parts(3, 2), parts(1, 5), parts(4, 2), parts(5, 1)) == ([3], [1], [2, 2], [1] * 5)
    result = training.train("[c4 b r p]*3 f4", out=tmp_path, **(TOY | {"batch_size": 17, "epochs": 1}))
    assert math.isfinite(result.history[0].loss)


@pytest.mark.parametrize("arch", ["vgg8", "f8 b r f4"])
def test_batch_norm_refuses_batches_of_one_picture(toy, tmp_path, arch):
    with pytest.raises(OptionError, match=r"no variance of one picture.*--batch-size 2"):
        training.train(arch, out=tmp_path, name="one", **(TOY | {"batch_size": 1}))
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_trains_and_is_recorded(toy, tmp_path):
    result = training.train("logistic", out=tmp_path, precision="bfloat16", **TOY)
    assert result.run.dtype == result.facts.recipe["precision"] == "bfloat16"
    assert "--precision bfloat16" in result.run.command
    assert all(weights.dtype == torch.float32 for weights in result.classifier.network.parameters())
    plain = training.train("logistic", out=tmp_path / "plain", **TOY)
    assert result.history[-1].loss == pytest.approx(plain.history[-1].loss, rel=0.02)
    assert result.history[-1].loss != plain.history[-1].loss


@pytest.mark.parametrize(("seconds", "chosen"), [((3.0, 1.0), "bfloat16"), ((1.0, 1.0), "float32")])
def test_half_precision_is_chosen_only_where_it_is_faster(toy, tmp_path, monkeypatch, seconds, chosen):
    monkeypatch.setattr(precision, "_native_half", lambda _device: torch.bfloat16)
    times = dict(zip((torch.float32, torch.bfloat16), seconds, strict=True))
    monkeypatch.setattr(precision, "_step_seconds", lambda _network, _images, dtype: times[dtype])
    short = TOY | {"epochs": 1}
    assert training.train("logistic", out=tmp_path, **short).run.dtype == chosen
    steady = training.train("logistic", out=tmp_path / "steady", deterministic=True, **short)
    assert steady.run.dtype == "float32", "what is measured is not deterministic"


def test_torch_s_settings_are_as_before_a_deterministic_training(toy, tmp_path):
    assert not torch.are_deterministic_algorithms_enabled()
    seen = []
    training.train(
        "cnn2", out=tmp_path, deterministic=True,
        progress=lambda _step: seen.append(torch.are_deterministic_algorithms_enabled()), **TOY,
    )  # fmt: skip
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_picture_that_can_no_longer_be_read_is_named(toy, tmp_path, monkeypatch):
    made = toys.dataset(streamed=True)

    def read(index):
        if index == 7:
            raise DataError("photos/7.jpg can no longer be read")
        return made.train[index]

    broken = replace(made, train=Files(made.train.labels, made.train.shape, read))
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(broken))
    with pytest.raises(DataError, match=r"^photos/7\.jpg can no longer be read$"):
        training.train("cnn2", out=tmp_path, **TOY)


def test_half_precision_halves_the_file_and_is_what_was_tested(toy, tmp_path):
    whole = training.train("mlp", out=tmp_path / "a", **TOY)
    half = training.train("mlp", out=tmp_path / "b", half=True, **TOY)
    assert half.path.stat().st_size < 0.6 * whole.path.stat().st_size
    pixels, truth = toys.split(60, 2).images.float() / 255, torch.arange(60) % 4
    again = loading.load(half.path, device="cpu")
    assert float((again.scores(pixels).argmax(1) == truth).double().mean()) == half.test_accuracy


def test_blur_pooling_travels_in_the_checkpoint(toy, tmp_path):
    result = training.train("cnn2", out=tmp_path, pool="blur", **(TOY | {"epochs": 1}))
    assert checkpoints.read_card(result.path).arguments["pool"] == "blur"
    assert any("Blur" in type(module).__name__ for module in loading.load(result.path).network.modules())


def test_digits_are_learned_offline(tmp_path):
    result = training.train("cnn2", data="digits", out=tmp_path, device="cpu")
    assert result.test_accuracy >= 0.97
    assert result.tests[0].accuracy.n == 360


def test_the_splits_share_no_picture():
    made = datasets.husky_wolf(correlation=0.5, samples=20, test_samples=6, seed=5)
    splits = [made.train, made.validation, *made.tests.values()]
    prints = [bytes(image.numpy().tobytes()) for split in splits for image in split.images]
    assert len(set(prints)) == len(prints) == 20 + 2 + 6 + 6
    assert made.labels == ("husky", "wolf")
    assert made.train.labels.tolist() == [0, 1] * 10
