"""`cnnaudit inspect`: every option arrives, the files are there, errors end with exit code 2."""

import inspect as python_inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cnnaudit import inspecting
from cnnaudit.cli import main
from cnnaudit.data import datasets
from cnnaudit.errors import DataError

sys.path.append(str(Path(__file__).parents[1] / "training"))
import toys

_real = inspecting.inspect_model


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["inspect", *arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reaches the library, which then refuses."""
    made: list[dict[str, Any]] = []

    def stand_in(classifier: Any, *, progress: Any, command: str, **options: Any) -> None:
        made.append({"model": classifier.name, **options})
        raise DataError("this is as far as it goes")

    monkeypatch.setattr(inspecting, "inspect_model", stand_in)
    return made


def test_every_option_arrives(asked: list[dict[str, Any]]) -> None:
    arguments = (
        "--model mnist --data toy --data-root there --photo a.png --layers conv1,conv2 --layers pool1 --walk conv2 "
        "--seed 4 --device cpu"
    )
    done = run(*arguments.split())
    assert done.exit_code == 2
    assert done.stderr == "error: this is as far as it goes\n"
    assert asked == [
        {
            "model": "mnist", "data": "toy", "data_root": "there", "photo": "a.png",
            "layers": ["conv1", "conv2", "pool1"], "walk": "conv2", "seed": 4,
        }
    ]  # fmt: skip


def test_the_library_s_own_arguments_are_all_there_and_their_defaults_are_the_library_s(
    asked: list[dict[str, Any]],
) -> None:
    run("--model", "mnist")
    library = {key: p.default for key, p in python_inspect.signature(_real).parameters.items()}
    assert asked[0].keys() - {"model"} == library.keys() - {"progress", "command", "classifier"}
    assert {key: value for key, value in asked[0].items() if key != "model" and value != library[key]} == {}


def test_the_page_and_its_twin_are_there(tmp_path: Path) -> None:
    done = run("--model", "mnist", "--layers", "conv1", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.stderr == "", "no animation where there is no terminal"
    assert done.stdout.splitlines()[0].split() == ["layers", "8"]
    assert done.stdout.splitlines()[-1] == str(tmp_path / "inspect-mnist.html")
    twin = json.loads((tmp_path / "inspect-mnist.json").read_text())
    assert twin["kind"] == "inspect"


def test_what_is_left_out_is_printed_with_the_reason(tmp_path: Path) -> None:
    done = run("--model", "mnist", "--out", str(tmp_path))
    twin = json.loads((tmp_path / "inspect-mnist.json").read_text())
    for reason in twin["inspection"]["skipped"].values():
        assert reason in done.stdout


def test_quiet_leaves_the_path_and_json_is_the_twin(tmp_path: Path) -> None:
    common = ("--model", "mnist", "--out", str(tmp_path))
    assert run(*common, "-q").stdout == f"{tmp_path / 'inspect-mnist.html'}\n"
    assert json.loads(run(*common, "--json").stdout) == json.loads((tmp_path / "inspect-mnist.json").read_text())


def test_notes_on_the_pictures_go_to_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(toys.dataset()))
    done = run("--model", "mnist", "--data", "toy", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "note: the classes of toy are not the network's" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--layers", "conv9"), "conv9"),
        (("--walk", "conv9"), "conv9"),
        (("--data", "minst"), "Did you mean 'mnist'"),
        (("--photo", "no.png"), "no.png"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("--model", "mnist", "--out", str(tmp_path), *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
