"""Every command and every line of Python in the README runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cnnaudit.auditing import material
from cnnaudit.cli import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """Each `cnnaudit …` of the shell blocks, without the setting up before it."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part.strip().removeprefix(".venv/bin/") for line in lines for part in line.split("&&")]
    return [shlex.split(part)[1:] for part in parts if part.startswith("cnnaudit ")]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the README's commands name: our examples, and a user's own network."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "from torch import nn\n\ndef build():\n    return nn.Sequential(" + (
        "nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
    )
    Path("mynets.py").write_text(source)
    namespace: dict[str, object] = {}
    exec(source, namespace)
    torch.save({"state_dict": namespace["build"]().state_dict()}, "mynet.pth")  # type: ignore[operator]
    Path("classes.txt").write_text("cat\ndog\n")
    Image.effect_noise((80, 64), 50).convert("RGB").save("photo.jpg")
    monkeypatch.setattr(material, "_SCENES", 24)  # of 2,000, so that an audit takes seconds
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


SLOW = {"audit": pytest.mark.slow}


@pytest.mark.parametrize(
    "arguments",
    [pytest.param(each, id=" ".join(each), marks=SLOW.get(each[0], ())) for each in commands()],
)
def test_command(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert list(Path("reports").glob("*.html"))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, id=name, marks=SLOW.get(name, ()))
        for name, source in zip(["load", "wrap", "inspect", "audit", "train"], blocks("python"), strict=True)
    ],
)
def test_python(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(source, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_first_command_explains_a_husky_that_is_called_a_wolf() -> None:
    import cnnaudit as ca

    why = ca.explain(ca.load("husky-wolf"), "examples/husky-on-snow.png")
    assert why.prediction.label == "wolf" and why.prediction.probability > 0.8


def test_there_are_two_fresh_machine_commands() -> None:
    marked = TEXT.split("<!-- fresh machine -->")[1].split("<!-- end -->")[0]
    assert len(re.findall(r"^python3 -m venv", marked, flags=re.MULTILINE)) == 2


def test_every_verb_and_file_that_is_named_exists() -> None:
    from cnnaudit.cli import _COMMANDS

    table = re.findall(r"^\| `cnnaudit (\w+)", TEXT, flags=re.MULTILINE)
    assert table == list(_COMMANDS)
    assert all((ROOT / path).exists() for path in re.findall(r"\]\(([\w./-]+)\)", TEXT))


def test_every_option_that_is_named_exists() -> None:
    from cnnaudit.cli import _COMMANDS, _command

    known = {option for verb in _COMMANDS for each in _command(verb).params for option in each.opts} | {"--help"}
    assert {f"--{name}" for name in re.findall(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)", TEXT)} - {"--"} <= known


def test_every_condition_that_an_audit_may_fail_on_is_one() -> None:
    from cnnaudit.auditing.gates import gates

    said = TEXT.split("`--fail-on` gives")[1].split("`--name-clusters")[0]
    texts = [text.strip("'") for text in re.findall(r"`([^`\s]+)`", said) if not text.startswith("--")]
    assert len(texts) >= 5 and len(gates(texts, comparing=True)) == len(texts)
