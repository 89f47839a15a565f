"""`cnnaudit datasets`: one line each, and whether it is here."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnnaudit.cli import main
from cnnaudit.data.datasets import DATASETS


def run(*arguments: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(main, ["datasets", *arguments], env=env, catch_exceptions=False)
    assert result.exit_code == 0 and result.stderr == ""
    return result.stdout


def here(root: Path, **env: str) -> dict[str, bool]:
    entries = json.loads(run("--json", "--data-root", str(root), env=env))
    return {entry["name"]: entry["here"] for entry in entries}


def test_every_dataset_has_one_line() -> None:
    lines = run(env={"COLUMNS": "110"}).splitlines()
    rows = lines[1 : lines.index("")]
    assert [row.split()[0] for row in rows] == list(DATASETS)
    assert "55,000" in rows[0] and "12 MB" in rows[0] and "1x28x28" in rows[0]
    assert "folder:PATH" in " ".join(lines) and "--data-root" in " ".join(lines)


def test_json_has_the_facts() -> None:
    entries = {entry["name"]: entry for entry in json.loads(run("--json"))}
    assert entries["cifar10"] | {"here": None} == {
        "name": "cifar10",
        "here": None,
        "summary": "animals and vehicles",
        "classes": 10,
        "size": [32, 32],
        "channels": 3,
        "train": 47500,
        "validation": 2500,
        "test": 10000,
        "download_bytes": 170498071,
    }


def test_what_lies_in_the_data_root_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not here(tmp_path)["mnist1d"] and here(tmp_path)["digits"] and here(tmp_path)["husky-wolf"]
    assert "by hand" in run("--data-root", str(tmp_path))
    np.savez(tmp_path / "mnist1d.npz", x=0)
    assert here(tmp_path)["mnist1d"]
    monkeypatch.setenv("CNNAUDIT_DATA_ROOT", str(tmp_path))
    assert {entry["name"]: entry["here"] for entry in json.loads(run("--json"))}["mnist1d"]


def test_the_default_is_the_users_cache(tmp_path: Path) -> None:
    text = run(env={"XDG_CACHE_HOME": str(tmp_path)})
    assert str(tmp_path / "cnnaudit" / "datasets") in text.replace("\n", "")


def test_a_file_is_no_data_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["datasets", "--data-root", str(tmp_path / "file")])
    assert result.exit_code == 2 and "file" in result.stderr
