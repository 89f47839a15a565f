"""`cnnaudit train`: every option arrives, the figures are printed, errors end with exit code 2."""

import inspect
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cnnaudit import checkpoints, training
from cnnaudit.cli import main
from cnnaudit.cli.train import train
from cnnaudit.errors import TrainingError

sys.path.append(str(Path(__file__).parents[1] / "training"))
import toys

from cnnaudit.data import datasets

_real_train = training.train


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(toys.dataset()))


@pytest.fixture
def asked(monkeypatch):
    """What reaches the library, which then refuses."""
    made = []

    def stand_in(arch, *, progress, **options):
        made.append({"arch": arch, **options})
        raise TrainingError("this is as far as it goes")

    monkeypatch.setattr(training, "train", stand_in)
    return made


def test_every_option_arrives(asked):
    arguments = (
        "vgg8 --data toy --data-root there --epochs 2 --batch-size 4 --optimizer sgd --lr 0.01 --momentum 0.8 "
        "--weight-decay 0.1 --schedule step --warm-up 0.2 --label-smoothing 0.1 --early-part 0.8 --augment crop,flip "
        "--precision float32 --patience 3 --time-limit 60 --deterministic --half --resume --pool blur --dropout 0.4 "
        "--input-size 32x48 --pretrained --weights mine.pth --freeze backbone --unfreeze-after 1 "
        "--correlation 0.5 --samples 10 --test-samples 20 --seed 3 --device cpu --out here --name mine"
    )
    CliRunner().invoke(train, arguments.split())
    assert asked == [
        {
            "arch": "vgg8", "data": "toy", "data_root": "there", "epochs": 2, "batch_size": 4, "optimizer": "sgd",
            "learning_rate": 0.01, "momentum": 0.8, "weight_decay": 0.1, "schedule": "step", "warm_up": 0.2,
            "label_smoothing": 0.1, "early_part": 0.8, "augmentation": ("crop", "flip"),
            "precision": "float32", "patience": 3, "time_limit": 60.0, "deterministic": True,
            "half": True, "resume": True, "pool": "blur", "dropout": 0.4,
            "input_size": (32, 48), "pretrained": True, "weights": "mine.pth", "freeze": "backbone",
            "unfreeze_after": 1, "correlation": 0.5, "samples": 10, "test_samples": 20, "seed": 3, "device": "cpu",
            "out": "here", "name": "mine",
        }
    ]  # fmt: skip


def test_the_library_s_own_arguments_are_all_there_and_their_defaults_are_the_library_s(asked):
    CliRunner().invoke(train, ["cnn2"])
    library = {key: p.default for key, p in inspect.signature(_real_train).parameters.items()}
    assert asked[0].keys() == library.keys() - {"progress"}
    assert {key: value for key, value in asked[0].items() if key != "arch" and value != library[key]} == {}


def test_no_augmentation_can_be_asked_for(asked):
    CliRunner().invoke(train, ["cnn2", "--augment", "none"])
    assert asked[0]["augmentation"] == ()


def run(*arguments):
    return CliRunner().invoke(main, ["train", *arguments])


def test_the_figures_are_printed_and_the_files_are_there(toy, tmp_path):
    done = run("cnn2", "--data", "toy", "--epochs", "2", "--out", str(tmp_path), "--device", "cpu")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ended", "after", "all", "2", "epochs"]
    assert lines[3].startswith("test accuracy")
    assert "95% interval" in lines[3]
    assert lines[-2:] == [str(tmp_path / "cnn2-toy.safetensors"), str(tmp_path / "cnn2-toy.html")]
    assert done.stderr == "", "no animation where there is no terminal"
    names = ("safetensors", "html", "json", "log.csv", "log.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"cnn2-toy.{end}" for end in names)
    twin = json.loads((tmp_path / "cnn2-toy.json").read_text())
    assert twin["kind"] == "train"
    assert twin["run"]["command"].startswith("cnnaudit train cnn2 --data toy --epochs 2")


def test_the_recorded_command_trains_the_same_network(toy, tmp_path):
    run("cnn2", "--data", "toy", "--epochs", "2", "--out", str(tmp_path / "a"), "--device", "cpu")
    first = tmp_path / "a" / "cnn2-toy.safetensors"
    card = checkpoints.read_card(first)
    assert card is not None
    words = card.training["command"].split()
    assert words[:2] == ["cnnaudit", "train"]
    done = run(*words[2:], "--out", str(tmp_path / "b"), "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b" / "cnn2-toy.safetensors").read_bytes() == first.read_bytes()


def test_quiet_leaves_the_paths_verbose_adds_the_epochs_json_is_the_twin(toy, tmp_path):
    common = ("cnn2", "--data", "toy", "--epochs", "1", "--out", str(tmp_path), "--device", "cpu")
    assert len(run(*common, "-q").stdout.splitlines()) == 2
    verbose = run(*common, "-v").stdout
    assert verbose.startswith("epoch   1  loss ")
    assert "pictures/s" in verbose.splitlines()[0]
    assert json.loads(run(*common, "--json").stdout) == json.loads((tmp_path / "cnn2-toy.json").read_text())


@pytest.mark.parametrize(("interrupted", "code"), [(True, 130), (False, 0)], ids=["Ctrl-C", "the time limit"])
def test_what_was_stopped_is_written_and_says_how_to_go_on(toy, tmp_path, monkeypatch, interrupted, code):
    def presses(arch, *, progress, **options):
        def press(step):
            if step.epoch == 2 and interrupted:
                os.kill(os.getpid(), signal.SIGINT)

        return _real_train(arch, progress=press, **(options if interrupted else options | {"time_limit": 1e-6}))

    monkeypatch.setattr(training, "train", presses)
    done = run("cnn2", "--data", "toy", "--epochs", "3", "--out", str(tmp_path), "--device", "cpu")
    assert done.exit_code == code, done.output
    assert "go on with the same command and --resume" in done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "cnn2-toy.html")
    assert {"cnn2-toy.html", "cnn2-toy.safetensors", "cnn2-toy.resume"} <= {path.name for path in tmp_path.iterdir()}


def test_an_error_is_one_line_and_exit_code_2(asked):
    done = run("cnn2")
    assert done.exit_code == 2
    assert done.stderr == "error: this is as far as it goes\n"
    assert done.stdout == ""


def test_a_training_s_checkpoint_is_explained_as_it_is(toy, tmp_path):
    run("cnn2", "--data", "toy", "--epochs", "1", "--out", str(tmp_path), "--device", "cpu")
    photo = Path(__file__).parents[2] / "examples" / "husky-on-snow.png"
    model = str(tmp_path / "cnn2-toy.safetensors")
    done = CliRunner().invoke(
        main, ["explain", str(photo), "--model", model, "--method", "grad_cam", "--out", str(tmp_path), "-q"]
    )
    assert done.exit_code == 0, done.output
