"""`cnnaudit train`: every option arrives, the figures are printed, errors end with exit code 2."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cnnaudit import training
from cnnaudit.cli.train import train
from cnnaudit.errors import TrainingError


def _result(path):
    epochs = tuple(training.Epoch(k, 0.5 / k, 0.9, 0.4, 0.91 + k / 100, 0.001, 1.5) for k in (1, 2))
    return training.TrainingResult(None, epochs, 2, {"holds": 0.99, "reversed": 0.034}, path)  # type: ignore[arg-type]


@pytest.fixture
def calls(monkeypatch):
    made = []

    def stand_in(arch, *, progress, **options):
        progress(0, 2, 1, 10, float("nan"), float("nan"))
        progress(1, 2, 3, 10, 0.5, 0.9)
        made.append({"arch": arch, **options})
        return _result(Path("out/husky-wolf.safetensors"))

    monkeypatch.setattr(training, "train", stand_in)
    return made


def test_every_option_arrives(calls):
    arguments = "husky-wolf --data husky-wolf --correlation 0.5 --samples 10 --epochs 2 --batch-size 4 --lr 0.01 "
    arguments += "--seed 3 --device cpu --out there --name mine"
    done = CliRunner().invoke(train, arguments.split())
    assert done.exit_code == 0, done.output
    assert calls == [
        {
            "arch": "husky-wolf",
            "data": "husky-wolf",
            "correlation": 0.5,
            "samples": 10,
            "epochs": 2,
            "batch_size": 4,
            "learning_rate": 0.01,
            "seed": 3,
            "device": "cpu",
            "out": "there",
            "name": "mine",
        }
    ]


def test_the_defaults_are_the_library_s(calls):
    import inspect

    CliRunner().invoke(train, ["husky-wolf", "--device", "cpu"], catch_exceptions=False)
    library = {key: p.default for key, p in inspect.signature(_real_train).parameters.items()}
    for key, value in calls[0].items():
        assert value == library[key], key


_real_train = training.train


def test_the_figures_are_printed_and_no_animation(calls):
    done = CliRunner().invoke(train, ["husky-wolf"])
    assert done.stdout.splitlines() == [
        "epoch kept              2 of 2",
        "accuracy in validation  93.0%",
        "accuracy, cue holds     99.0%",
        "accuracy, cue reversed  3.4%",
        str(Path("out/husky-wolf.safetensors")),
    ]
    assert done.stderr == ""


def test_quiet_leaves_the_path_and_verbose_adds_the_epochs(calls):
    quiet = CliRunner().invoke(train, ["husky-wolf", "-q"])
    assert quiet.stdout.splitlines() == [str(Path("out/husky-wolf.safetensors"))]
    verbose = CliRunner().invoke(train, ["husky-wolf", "-v"])
    assert "epoch   1  loss 0.5000  accuracy  90.0%  validation  92.0%  1.5 s" in verbose.stdout


def test_an_error_is_one_line_and_exit_code_2(monkeypatch):
    def fails(*_, **__):
        raise TrainingError("The loss is nan in epoch 1")

    monkeypatch.setattr(training, "train", fails)
    done = CliRunner().invoke(train, ["husky-wolf"])
    assert done.exit_code == 2
    assert done.stderr == "error: The loss is nan in epoch 1\n"
    assert done.stdout == ""
