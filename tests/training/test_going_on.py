"""A training that is stopped, in whatever way, leaves whole files, and goes on to the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toys

from cnnaudit import checkpoints, loading, training
from cnnaudit.data import datasets
from cnnaudit.data.splits import Files
from cnnaudit.errors import OptionError, TrainingError
from cnnaudit.training.paths import Paths
from cnnaudit.training.preparing import fingerprint
from cnnaudit.training.snapshots import read, write

CHOICES = {"data": "toy", "epochs": 5, "batch_size": 16, "device": "cpu", "dropout": 0.3, "seed": 2}


class Stopped(Exception):
    """What a test raises inside a training."""


def stop_at(epoch, step=1):
    def progress(now):
        if (now.epoch, now.step) >= (epoch, step):
            raise Stopped

    return progress


@pytest.fixture
def whole(moving_toy, tmp_path):
    """An uninterrupted training, with dropout and augmentation."""
    return training.train("cnn2", out=tmp_path / "whole", **CHOICES)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_going_on_gives_the_bits_of_an_uninterrupted_run(moving_toy, tmp_path, optimizer):
    choices = CHOICES | {"optimizer": optimizer, "learning_rate": 0.01}
    whole = training.train("cnn2", out=tmp_path / "whole", **choices)
    for epoch, out in ((1, "a"), (2, "b"), (5, "c")):
        with pytest.raises(Stopped):
            training.train("cnn2", out=tmp_path / out, progress=stop_at(epoch), **choices)
        torch.manual_seed(epoch)  # the global state is nothing that it may depend on
        resumed = training.train("cnn2", out=tmp_path / out, resume=True, **choices)
        assert resumed.path.read_bytes() == whole.path.read_bytes()
        assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]


def test_going_on_is_exact_where_parts_are_learned_from_at_first(moving_toy, tmp_path):
    choices = CHOICES | {"optimizer": "muon", "epochs": 3, "input_size": 24, "early_part": 0.75}
    whole = training.train("vgg8", out=tmp_path / "whole", **choices)
    for epoch in (2, 3):
        with pytest.raises(Stopped):
            training.train("vgg8", out=tmp_path / str(epoch), progress=stop_at(epoch), **choices)
        resumed = training.train("vgg8", out=tmp_path / str(epoch), resume=True, **choices)
        assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_it_can_be_stopped_again_and_again(whole, tmp_path):
    for epoch in (2, 3, 4, 5):
        with pytest.raises(Stopped):
            training.train("cnn2", out=tmp_path, resume=True, progress=stop_at(epoch, 2), **CHOICES)
    resumed = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    assert resumed.facts.filters.start.tolist() == whole.facts.filters.start.tolist()
    assert resumed.facts.first_loss == whole.facts.first_loss


def test_the_augmentation_that_was_found_the_first_time_counts(whole, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(3), **CHOICES)
    assert read(Paths.of(tmp_path, "cnn2-toy").snapshot).recipe["augmentation"] == ("crop", "flip")


def test_ctrl_c_ends_after_the_step_and_keeps_the_best(moving_toy, tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def press(now):
        if now.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    result = training.train("cnn2", out=tmp_path, progress=press, **CHOICES)
    assert signal.getsignal(signal.SIGINT) is before
    assert result.ended.startswith("interrupted")
    assert (result.finished, result.interrupted) == (False, True)
    assert len(result.history) == 3
    assert result.test_accuracy == result.tests[0].accuracy.value
    assert loading.load(result.path, device="cpu").labels == toys.LABELS
    assert Paths.of(tmp_path, "cnn2-toy").snapshot.exists(), "it can go on"


def test_after_ctrl_c_it_goes_on_to_the_same_bits(whole, tmp_path):
    pressed = []

    def press(now):
        if now.epoch == 3 and not pressed:
            pressed.append(now)
            os.kill(os.getpid(), signal.SIGINT)

    cut = training.train("cnn2", out=tmp_path, progress=press, **CHOICES)
    assert cut.ended in ("interrupted, in epoch 3 of 5", "interrupted, after epoch 3 of 5")
    resumed = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("moment", ["before the first step", "in the first epoch"])
def test_what_is_stopped_early_goes_on_too(whole, tmp_path, moment):
    if moment == "in the first epoch":
        with pytest.raises(Stopped):
            training.train("cnn2", out=tmp_path, progress=stop_at(1, 2), **CHOICES)
    else:
        cut = training.train("cnn2", out=tmp_path, time_limit=1e-6, **CHOICES)
        assert cut.ended == "after the time limit of 1e-06 s, in epoch 1 of 5"
    resumed = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_going_on_from_the_first_step_writes_no_untrained_weights(moving_toy, tmp_path):
    training.train("cnn2", out=tmp_path, time_limit=1e-6, **CHOICES)
    before = Paths.of(tmp_path, "cnn2-toy").checkpoint.read_bytes()
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, resume=True, progress=stop_at(1), **CHOICES)
    assert Paths.of(tmp_path, "cnn2-toy").checkpoint.read_bytes() == before


def test_what_patience_had_ended_is_not_trained_further(moving_toy, tmp_path, monkeypatch):
    """The process dies while the tests are being asked."""
    choices = CHOICES | {"epochs": 60, "patience": 2, "learning_rate": 0.02}
    whole = training.train("cnn2", out=tmp_path / "whole", **choices)
    assert len(whole.history) < 60

    def dies(*_):
        raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr("cnnaudit.training.session.examined", dies)
        training.train("cnn2", out=tmp_path, **choices)
    resumed = training.train("cnn2", out=tmp_path, resume=True, **choices)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_other_pictures_are_refused(moving_toy, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(2), **CHOICES)
    other = toys.source(toys.dataset(124, augmentation=("crop", "flip")))
    monkeypatch.setitem(datasets.DATASETS, "toy", other)
    with pytest.raises(TrainingError, match="no longer what it was"):
        training.train("cnn2", out=tmp_path, resume=True, **CHOICES)


def test_the_same_classes_with_other_pixels_are_refused(moving_toy, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(2), **CHOICES)
    made = toys.dataset(augmentation=("crop", "flip"))
    made.train.images[7, 0, 0, 0] += 1
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(made))
    with pytest.raises(TrainingError, match="no longer what it was"):
        training.train("cnn2", out=tmp_path, resume=True, **CHOICES)


def test_a_file_is_known_by_its_name_size_and_time(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for path in paths:
        path.write_bytes(b"a picture")
    made = toys.dataset(streamed=True)
    files = replace(made, train=Files(torch.tensor([0, 1]), (1, 8, 8), made.train.__getitem__, paths))
    before = fingerprint(files)
    assert fingerprint(files) == before
    os.utime(paths[1], (0, 0))
    touched = fingerprint(files)
    paths[1].unlink()
    assert len({before, touched, fingerprint(files)}) == 3


def test_other_threads_go_on_and_say_so(moving_toy, tmp_path):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(3), **CHOICES)
    path = Paths.of(tmp_path, "cnn2-toy").snapshot
    write(path, replace(read(path), threads=torch.get_num_threads() + 1))
    result = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert len(result.notes) == 1
    assert result.notes[0].startswith(f"went on behind epoch 2 with {torch.get_num_threads()} threads of torch ")
    assert "not the bits" in checkpoints.read_card(result.path).training["notes"][0]


def test_nothing_to_resume_is_said_and_changes_nothing(whole, tmp_path):
    result = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert result.notes == ("there was nothing to resume: trained from the first epoch",)
    assert result.path.read_bytes() == whole.path.read_bytes()


def test_another_device_is_refused(moving_toy, tmp_path):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(2), **CHOICES)
    path = Paths.of(tmp_path, "cnn2-toy").snapshot
    write(path, replace(read(path), device="cuda"))
    with pytest.raises(TrainingError, match=r"begun on cuda.*--device cuda"):
        training.train("cnn2", out=tmp_path, resume=True, **CHOICES)


def test_a_short_memory_is_remembered(moving_toy, tmp_path):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(2), **CHOICES)
    path = Paths.of(tmp_path, "cnn2-toy").snapshot
    write(path, replace(read(path), largest=4, notes=["memory is short"]))
    result = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert result.notes == ("memory is short",)
    assert "memory is short" in result.report().html()


def test_a_time_limit_ends_it_and_keeps_the_best(moving_toy, tmp_path):
    result = training.train("cnn2", out=tmp_path, time_limit=0.5, **(CHOICES | {"epochs": 100_000}))
    assert result.ended.startswith("after the time limit of 0.5 s")
    assert (result.finished, result.interrupted) == (False, False)
    assert 1 <= len(result.history) < 100_000
    card = checkpoints.read_card(result.path)
    assert card is not None
    assert card.training["kept_epoch"] == result.best_epoch


def test_a_finished_training_has_nothing_to_go_on_with(whole, tmp_path):
    with pytest.raises(TrainingError, match=r"nothing to resume.*has ended"):
        training.train("cnn2", out=tmp_path / "whole", resume=True, **CHOICES)


def test_an_unfinished_training_is_not_written_over(whole, tmp_path):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(3), **CHOICES)
    paths = Paths.of(tmp_path, "cnn2-toy")
    before = paths.snapshot.read_bytes(), paths.checkpoint.read_bytes()
    with pytest.raises(OptionError, match=rf"unfinished training of 2 epochs lies in {paths.snapshot}.*--resume"):
        training.train("cnn2", out=tmp_path, **(CHOICES | {"epochs": 1}))
    assert (paths.snapshot.read_bytes(), paths.checkpoint.read_bytes()) == before
    resumed = training.train("cnn2", out=tmp_path, resume=True, **CHOICES)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_what_has_no_epoch_yet_may_be_written_over(moving_toy, tmp_path):
    for _ in range(2):
        with pytest.raises(Stopped):
            training.train("cnn2", out=tmp_path, progress=stop_at(1), **CHOICES)


def test_another_recipe_is_refused(moving_toy, tmp_path):
    with pytest.raises(Stopped):
        training.train("cnn2", out=tmp_path, progress=stop_at(2), **CHOICES)
    with pytest.raises(TrainingError, match=r"another epochs \(5, not 6\), seed \(2, not 9\)"):
        training.train("cnn2", out=tmp_path, resume=True, **(CHOICES | {"epochs": 6, "seed": 9}))


def test_a_damaged_snapshot_says_so(moving_toy, tmp_path):
    paths = Paths.of(tmp_path, "cnn2-toy")
    paths.snapshot.write_bytes(b"PK\x03\x04 half of it")
    for resume in (True, False):
        with pytest.raises(TrainingError, match="Delete it and train anew"):
            training.train("cnn2", out=tmp_path, resume=resume, **CHOICES)


SCRIPT = """
import sys
sys.path[:0] = {path!r}
import toys
from cnnaudit import training
from cnnaudit.data import datasets
from cnnaudit.data.splits import Files
import torch
torch.set_num_threads(1)
datasets.DATASETS["toy"] = toys.source(toys.dataset(augmentation=("crop", "flip")))
training.train("cnn2", out={out!r}, resume=True, **{choices!r})
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_whole_files_and_goes_on(moving_toy, tmp_path):
    """Killed at moments spread over its life, writing included, until it comes through."""
    choices = CHOICES | {"epochs": 60}
    whole = training.train("cnn2", out=tmp_path / "whole", **choices)
    out = tmp_path / "killed"
    paths = Paths.of(out, "cnn2-toy")
    code = SCRIPT.format(path=[str(Path(__file__).parent)], out=str(out), choices=choices)
    kills = 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 120
        before = _epochs(paths)
        while process.poll() is None and _epochs(paths) < before + 7 + kills % 3:
            assert time.monotonic() < deadline
            time.sleep(0.0007 * (1 + kills % 5))
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.kill()
        process.wait()
        kills += 1
        read(paths.snapshot)
        card = checkpoints.read_card(paths.checkpoint)
        assert card is not None
        assert loading.load(paths.checkpoint, device="cpu").labels == toys.LABELS
        assert json.loads(paths.json.read_text())["history"]
    assert kills >= 4
    assert paths.checkpoint.read_bytes() == whole.path.read_bytes()
    left = {path.name for path in out.iterdir()}
    assert left == {path.name for path in (paths.checkpoint, paths.csv, paths.json)}, "no litter"


def _epochs(paths):
    try:
        return len(json.loads(paths.json.read_text())["history"])
    except FileNotFoundError:
        return 0
