"""`cnnaudit audit`: every option arrives, the answer is printed, and the exit code is what a machine needs."""

import inspect as python_inspect
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

sys.path.append(str(Path(__file__).parents[1] / "report"))
from audit_samples import report

from cnnaudit import auditing
from cnnaudit.cli import main
from cnnaudit.cli.cluster_names import cluster_names
from cnnaudit.errors import OptionError
from cnnaudit.results import Compared

_real = auditing.audit


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments], env=env)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def changes() -> dict[str, Any]:
    """Of the made-up audit."""
    return {}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> list[dict[str, Any]]:
    """What reaches the library, which answers with a made-up audit."""
    made: list[dict[str, Any]] = []

    def stand_in(classifier: Any, data: Any, *, progress: Any, command: str, **options: Any) -> Any:
        made.append({"model": classifier.name, "data": data, **options})
        return report(**changes)

    monkeypatch.setattr(auditing, "audit", stand_in)
    return made


def test_every_option_arrives(asked: list[dict[str, Any]]) -> None:
    report().save("old.html")
    arguments = (
        "photos --model husky-wolf --data-root there --masks drawn --baseline old.json --cache kept --seed 4 "
        "--name-clusters patch-3=snow --device cpu"
    )
    assert run(*arguments.split()).exit_code == 0
    assert asked == [
        {
            "model": "husky-wolf", "data": "photos", "data_root": "there", "masks": "drawn", "baseline": "old.json",
            "names": {"patch-3": "snow"}, "cache": "kept", "seed": 4,
        }
    ]  # fmt: skip


def test_the_library_s_own_arguments_are_all_there(asked: list[dict[str, Any]]) -> None:
    run("photos", "--model", "husky-wolf")
    library = python_inspect.signature(_real).parameters.keys()
    assert asked[0].keys() - {"model"} == library - {"progress", "command", "classifier"}


def test_answers_are_kept_in_the_user_s_cache_unless_that_cannot_be_or_is_not_wanted(
    asked: list[dict[str, Any]], folder: Path
) -> None:
    run("photos", "--model", "husky-wolf")
    run("photos", "--model", "husky-wolf", "--no-cache")
    (folder / "file").write_text("")
    run("photos", "--model", "husky-wolf", env={"XDG_CACHE_HOME": str(folder / "file")})
    assert [each["cache"] for each in asked] == [folder / "cache" / "cnnaudit" / "audits", None, None]


def test_the_answer_is_printed_and_the_page_is_there(asked: list[dict[str, Any]]) -> None:
    done = run("folder:all/photos", "--model", "husky-wolf")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "This network leans on snow to say wolf: confirmed."
    assert lines[-1] == str(Path("reports/audit-photos-husky-wolf.html"))
    assert all(len(line) <= 120 for line in lines)
    words = " ".join(done.stdout.split())
    assert "confirmed high patch-3 Putting snow behind" in words and "undecided medium patch-7" in words
    assert "worst group 21.2 % (95% interval" in words.replace("\u202f", " ") and "husky with snow" in words
    assert "duplicate: 1, mislabelled: 1" in words
    assert "1 of 2,001 pictures could not be used." in done.stderr and "wolf/broken.png" in done.stderr
    assert json.loads(Path("reports/audit-photos-husky-wolf.json").read_text())["kind"] == "audit"


def test_what_changed_is_printed(asked: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    report().save("old.html")
    changes["compared"] = Compared(("Snow is new.",), (), ("Accuracy has fallen.",), ())
    done = run("photos", "--model", "husky-wolf", "--baseline", "old.json")
    assert "new since baseline" in done.stdout and "Snow is new." in done.stdout
    assert "worse since baseline" in done.stdout and "gone" not in done.stdout


def test_that_nothing_changed_is_printed(asked: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    report().save("old.html")
    changes["compared"] = Compared((), (), (), ())
    done = run("photos", "--model", "husky-wolf", "--baseline", "old.json")
    assert "nothing is new, worse, better or gone" in done.stdout
    assert "is this audit now" not in done.stderr


def test_a_baseline_that_the_audit_overwrites_is_said_to_be_gone(asked: list[dict[str, Any]]) -> None:
    old = report().save("reports/audit-photos-husky-wolf.html").with_suffix(".json")
    done = run("photos", "--model", "husky-wolf", "--baseline", str(old))
    assert f"note: {old} is this audit now." in done.stderr and "--out" in done.stderr
    assert "is this audit now" not in run("photos", "--model", "husky-wolf", "--baseline", str(old), "-q").stderr


def test_files_are_named_after_the_folder_even_where_it_is_a_dot(
    asked: list[dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dogs").mkdir()
    monkeypatch.chdir(folder / "dogs")
    run(".", "--model", "husky-wolf")
    assert Path("reports/audit-dogs-husky-wolf.html").is_file()


def test_quiet_leaves_the_path_and_errors_and_json_is_the_twin(asked: list[dict[str, Any]]) -> None:
    page = Path("reports/audit-photos-husky-wolf.html")
    assert run("photos", "--model", "husky-wolf", "-q").stdout == f"{page}\n"
    done = run("photos", "--model", "husky-wolf", "--json")
    assert json.loads(done.stdout) == json.loads(page.with_suffix(".json").read_text())


@pytest.mark.parametrize(
    ("conditions", "code", "words"),
    [
        ("", 0, ""),
        ("accuracy<0.9", 0, ""),
        ("confirmed", 1, "failed: --fail-on confirmed: patch-3 (snow, high)"),
        ("accuracy<0.9,high", 1, "failed: --fail-on high"),
        ("worst-group<0.8", 1, "of husky with snow"),
    ],
)
def test_the_exit_code_is_1_when_a_condition_is_met(
    asked: list[dict[str, Any]], conditions: str, code: int, words: str
) -> None:
    done = run("photos", "--model", "husky-wolf", "--fail-on", conditions)
    assert done.exit_code == code
    assert words in done.stderr and done.stderr.count("--fail-on") == code
    assert Path("reports/audit-photos-husky-wolf.html").is_file(), "the page is written all the same"


def test_the_exit_code_is_2_when_nobody_can_tell(asked: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    changes.update(findings=(), skipped={"interventions": "It failed in the network: ValueError: no"})
    done = run("photos", "--model", "husky-wolf", "--fail-on", "confirmed")
    assert done.exit_code == 2
    assert "cannot tell: --fail-on confirmed" in done.stderr and "ValueError" in done.stderr


def test_conditions_come_from_the_environment_and_from_a_file(asked: list[dict[str, Any]]) -> None:
    environment = {"CNNAUDIT_FAIL_ON": "accuracy < 0.9,high", "CNNAUDIT_NAME_CLUSTERS": "patch-3=dirty snow"}
    assert run("photos", "--model", "husky-wolf", env=environment).exit_code == 1
    Path("cnnaudit.toml").write_text('[audit]\nfail-on = ["worst-group<0.8"]\nmodel = "husky-wolf"\n')
    assert run("photos").exit_code == 1
    assert run("photos", "--fail-on", "accuracy<0.5").exit_code == 0
    assert asked[0]["names"] == {"patch-3": "dirty snow"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("photos --fail-on confrimed", "Did you mean 'confirmed'"),
        ("photos --fail-on new", "--baseline"),
        ("photos --baseline none.json", "none.json cannot be read"),
        ("photos --name-clusters snow", "patch-3-wolf=snow"),
    ],
)
def test_cheap_mistakes_are_found_before_a_model_is_loaded(
    arguments: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("cnnaudit.loading.load", loaded)
    done = run(*arguments.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [("missing", "missing"), ("empty", "empty"), ("huskywolf", "husky-wolf"), ("none.csv", "none.csv")],
)
def test_data_that_are_none_are_one_line_and_exit_code_2(folder: Path, data: str, words: str) -> None:
    (folder / "empty").mkdir()
    done = run(data, "--model", "husky-wolf")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("reports").exists()


def test_without_data_it_is_said_what_they_may_be() -> None:
    done = run()
    assert done.exit_code == 2
    assert "folder a class" in done.stderr and "CSV" in done.stderr and "husky-wolf" in done.stderr


def test_what_was_meant_for_a_path_is_told_from_a_misspelt_name(folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    assert "'no/such', nor a folder of this name" in run("no/such", "--model", "husky-wolf").stderr
    assert "'notes.txt' (it is a file)" in run("notes.txt", "--model", "husky-wolf").stderr


def test_examples_in_the_help_can_be_pasted_into_a_shell() -> None:
    """An unquoted `<` would read from a file that is called 0.8."""
    shown = [line.strip() for line in run("--help").stdout.splitlines() if line.strip().startswith("cnnaudit audit")]
    words = [list(shlex.shlex(line, posix=True, punctuation_chars=True)) for line in shown]
    assert len(shown) == 3 and not any("<" in each for each in words)


def test_ctrl_c_says_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(auditing, "audit", stopped)
    done = run("photos", "--model", "husky-wolf")
    assert done.exit_code == 130 and "kept" in done.stderr
    assert run("photos", "--model", "husky-wolf", "--no-cache").stderr == "stopped\n"


def test_names_come_as_pairs_either_way_round_and_from_files(folder: Path) -> None:
    (folder / "a.json").write_text('{"patch-1-wolf": "water"}')
    (folder / "b.toml").write_text('patch-2-wolf = "a tag"')
    assert cluster_names(["a.json", "b.toml", "patch-3-wolf=dirty snow", "grass=place-4-wolf", "patch-1-wolf=sea"]) == {
        "patch-1-wolf": "sea",
        "patch-2-wolf": "a tag",
        "patch-3-wolf": "dirty snow",
        "place-4-wolf": "grass",
    }


@pytest.mark.parametrize("text", ["[1]", '{"patch-1": 3}', "{", '{"patch-1": ""}'])
def test_files_that_hold_no_names_are_refused(folder: Path, text: str) -> None:
    (folder / "a.json").write_text(text)
    with pytest.raises(OptionError, match=r"a\.json"):
        cluster_names(["a.json"])
    with pytest.raises(OptionError, match="ID=NAME"):
        cluster_names(["=snow"])
