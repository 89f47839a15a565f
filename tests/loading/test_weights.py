"""Files of weights: what is read, what is refused, and that refusing runs nothing."""

import argparse
import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cnnaudit.checkpoints import Card, write
from cnnaudit.errors import ModelError, UntrustedModelError, WeightsError
from cnnaudit.loading import weights


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


STATE = OrderedDict((key, torch.full_like(value, 0.5)) for key, value in net().state_dict().items())


class Evil:
    """Unpickling it makes the folder `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.marker,)


class EvilState(Evil):
    """As `Evil`, through a class and its state, by way of `builtins.exec`."""

    def __reduce__(self) -> Any:
        return exec, (f"import os; os.mkdir({self.marker!r})",)


def saved(path: Path, content: Any, *, legacy: bool = False, protocol: int = 2) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return path


def script(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net().eval(), torch.zeros(1, 3, 8, 8)), path)
    return path


def exported(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net().eval(), (torch.zeros(2, 3, 8, 8),)), path)
    return path


@pytest.mark.parametrize("trust_model", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th", ".bin", ".ckpt", ".pth.tar", ""])
def test_a_state_dict_is_read_whatever_the_suffix(tmp_path: Path, suffix: str, legacy: bool, trust_model: bool) -> None:
    file = weights.read(saved(tmp_path / f"net{suffix}", STATE, legacy=legacy), trust_model=trust_model)
    assert file.module is None
    same(file.state, STATE)


def same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}},
        {"model": STATE, "best_accuracy": np.float64(0.93), "history": np.arange(3.0)},
        {"net": STATE, "accuracy": torch.tensor(0.93), "arguments": argparse.Namespace(lr=0.1, data=Path("here"))},
        {"model": {"state_dict": STATE}, "scores": defaultdict(list, a=[1.0])},
        {"my_network": STATE, "epoch": 1},
        {"state_dict": STATE, "dtype": np.dtype("float32"), "seen": {1, 2}, "size": torch.Size([3])},
        {**STATE, "epoch": 3},
    ],
    ids=["lightning", "numpy", "argparse", "twice", "other", "odds", "flat"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_nested_state_dict_is_found(tmp_path: Path, content: Any, legacy: bool) -> None:
    same(weights.read(saved(tmp_path / "net.pth", content, legacy=legacy)).state, STATE)


def test_plain_weights_come_before_averaged_ones(tmp_path: Path) -> None:
    averaged = {key: value + 1 for key, value in STATE.items()}
    file = weights.read(saved(tmp_path / "net.pth", {"state_dict_ema": averaged, "state_dict": STATE}))
    same(file.state, STATE)
    assert "EMA" in file.notes[0]
    file = weights.read(saved(tmp_path / "net.pth", {"model_ema": averaged, "epoch": 1}))
    same(file.state, averaged)
    assert "EMA" in file.notes[0]


def test_safetensors_with_and_without_a_card(tmp_path: Path) -> None:
    save_file(dict(STATE), tmp_path / "plain.safetensors")
    plain = weights.read(tmp_path / "plain.safetensors")
    assert plain.card is None
    assert {key: value.tolist() for key, value in plain.state.items()} == {k: v.tolist() for k, v in STATE.items()}
    card = Card("husky-wolf", ("a", "b"), (8, 8), (0.5,), (0.5,), 3)
    write(tmp_path / "ours.safetensors", STATE, card)
    assert weights.read(tmp_path / "ours.safetensors").card == card


def test_safetensors_under_another_name_is_read(tmp_path: Path) -> None:
    save_file(dict(STATE), tmp_path / "net.pth")
    assert set(weights.read(tmp_path / "net.pth").state) == set(STATE)


def evil_files(folder: Path, marker: Path) -> dict[str, Path]:
    """A file of every kind that runs code when it is unpickled without care."""
    evil = Evil(marker)
    files = {
        "zip": saved(folder / "zip.pth", evil),
        "legacy": saved(folder / "legacy.pth", evil, legacy=True),
        "protocol 4": saved(folder / "four.pth", evil, protocol=4),
        "exec": saved(folder / "exec.pth", EvilState(marker)),
        "beside": saved(folder / "beside.pt", {"state_dict": STATE, "extra": evil}),
        "inside": saved(folder / "inside.th", {**STATE, "conv.weight": evil}),
        "legacy inside": saved(folder / "old.ckpt", {"model": {**STATE, "x.y": evil}}, legacy=True),
        "as safetensors": saved(folder / "zip.safetensors", evil),
        "legacy as safetensors": saved(folder / "legacy.safetensors", evil, legacy=True),
        "as pt2": saved(folder / "zip.pt2", evil),
        "as script": script(folder / "script.pt"),
        "in exported": exported(folder / "program.pth"),
    }
    for protocol in (0, 2, 4, 5):
        files[f"plain {protocol}"] = folder / f"plain{protocol}.pkl"
        files[f"plain {protocol}"].write_bytes(pickle.dumps(evil, protocol))
    for name in ("as script", "in exported"):
        with zipfile.ZipFile(files[name], "a") as archive:
            archive.writestr(f"{Path(archive.namelist()[0]).parts[0]}/constants.pkl", pickle.dumps(evil, 2))
    return files


def test_a_malicious_file_executes_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "was-here"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile: the second constants.pkl
        files = evil_files(tmp_path, marker)
    for name, path in files.items():
        with pytest.raises(ModelError) as caught:
            weights.read(path)
        assert isinstance(caught.value, UntrustedModelError | WeightsError), name
        assert not marker.exists(), name


def test_the_malicious_files_would_have_worked(tmp_path: Path) -> None:
    marker = tmp_path / "was-here"
    with pytest.raises(WeightsError, match="no weights"):
        weights.read(saved(tmp_path / "zip.pth", Evil(marker)), trust_model=True)
    assert marker.exists()


def test_trust_in_a_state_dict_changes_nothing(tmp_path: Path) -> None:
    """Code is run where there is no other way only: a plain file is read with care, trusted or not."""
    assert weights.read(saved(tmp_path / "net.pth", STATE), trust_model=True).module is None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (script, "is TorchScript"),
        (exported, "is an exported program"),
        (lambda path: saved(path, nn.Sequential(nn.Flatten())), "torch.nn.modules.container.Sequential"),
        (lambda path: saved(path, nn.Sequential(nn.Flatten()), legacy=True), "torch.nn.modules.container.Sequential"),
        (lambda path: saved(path, {"model": nn.Flatten(), "epoch": 1}), "torch.nn.modules.flatten.Flatten"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".pt2", ".pth", ".bin"])
def test_code_is_refused_with_the_reason(tmp_path: Path, make: Callable[[Path], Path], why: str, suffix: str) -> None:
    with pytest.raises(UntrustedModelError) as caught:
        weights.read(make(tmp_path / f"net{suffix}"))
    assert why in str(caught.value)
    assert "would run code" in str(caught.value)
    assert "--trust-model" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        script,
        exported,
        lambda path: saved(path, net()),
        lambda path: saved(path, net(), legacy=True),
        lambda path: saved(path, {"ema": None, "model": net()}),
    ],
    ids=["script", "exported", "whole", "legacy", "nested"],
)
def test_trusted_code_gives_a_module(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    file = weights.read(make(tmp_path / "net.pt"), trust_model=True)
    assert isinstance(file.module, nn.Module)
    assert file.module(torch.zeros(2, 3, 8, 8)).shape == (2, 2)
    assert len(file.state) == 4


def test_trusted_code_that_fails_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
    with pytest.raises(ModelError, match="was trusted, but loading it failed"):
        weights.read(path, trust_model=True)


def broken_files() -> dict[str, bytes]:
    zipped, old = io.BytesIO(), io.BytesIO()
    torch.save(STATE, zipped)
    torch.save(STATE, old, _use_new_zipfile_serialization=False)
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    plain, tar = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with tarfile.open(fileobj=tar, mode="w") as bundle:
        bundle.addfile(tarfile.TarInfo("\udc80storages"))
    return {
        "empty": b"",
        "text": b"<html>404 not found</html>",
        "half a zip": zipped.getvalue()[: len(zipped.getvalue()) // 2],
        "half a pickle": old.getvalue()[: len(old.getvalue()) // 2],
        "three bytes": b"\x80\x02\x8a",
        "zip of something": plain.getvalue(),
        "tar": tar.getvalue(),
        "half a safetensors": struct.pack("<Q", len(header)) + header + b"\0" * 7,
        "header too long": struct.pack("<Q", 1 << 62) + b"{}",
        "header no json": struct.pack("<Q", 8) + b"{{{{{{{{",
        "deep header": struct.pack("<Q", 100_001) + b"{" + b"[" * 100_000,
        "no tensors": pickled({"epoch": 3}),
        "a tensor": pickled(torch.zeros(3)),
        "a list": pickled([torch.zeros(3)]),
    }


def pickled(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", broken_files())
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_without_weights_is_an_error(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(broken_files()[name])
    with pytest.raises(WeightsError, match=r"net\.(pth|safetensors)"):
        weights.read(path)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_no_truncation_gets_through(tmp_path: Path, cut: int) -> None:
    for number, content in enumerate((pickled(STATE), pickled({"state_dict": STATE}))):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(content[: len(content) * cut // 60])
        with pytest.raises(WeightsError):
            weights.read(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        weights.read(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        weights.read(tmp_path)


def test_a_recompressed_archive_is_read_right(tmp_path: Path) -> None:
    """A memory map over compressed records would give rubbish; such a file is read another way, or refused."""
    with zipfile.ZipFile(saved(tmp_path / "net.pth", STATE)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    same(weights.read(tmp_path / "small.pth").state, STATE)


def test_the_allow_list_is_as_before(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    weights.read(saved(tmp_path / "net.pth", {"model": STATE, "score": np.float32(1)}))
    assert set(torch.serialization.get_safe_globals()) == before


def test_half_precision_is_kept_until_it_is_fitted(tmp_path: Path) -> None:
    half: dict[str, Tensor] = {key: value.half() for key, value in STATE.items()}
    assert {t.dtype for t in weights.read(saved(tmp_path / "net.pth", half)).state.values()} == {torch.float16}
