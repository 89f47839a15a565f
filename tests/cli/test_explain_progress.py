"""`cnnaudit explain` while it works: the time limit, and the bar on a terminal."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from test_main import photo, run

from cnnaudit.cli import explain as verb

__all__ = ["photo"]
SAMPLED = ["--model", "husky-wolf", "--method", "lime,occlusion,edges", "--option", "lime.samples=100"]


def test_what_the_limit_cut_short_and_what_it_left_without_a_map_is_said(photo: str) -> None:
    result = run("explain", photo, *SAMPLED, "--time-limit", "1e-9")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "lime: Time was up after 16 of 100 samples" in said
    assert "occlusion gave no map: Time was up after 16 of" in said
    image = json.loads(Path("reports/photo.json").read_text())["images"][0]
    by_name = {e["method"]: e for e in image["explanations"]}
    assert by_name["lime"]["facts"]["samples"] == 16
    assert by_name["lime"]["facts"]["stopped_by_time_limit"] is True
    assert [(each["method"], each["flag"]) for each in image["declined"]] == [("occlusion", "out_of_time")]
    page = Path("reports/photo.html").read_text()
    assert "Time was up after 16 of 100 samples" in page and "stopped by time limit" in page


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to a standard error that is a terminal."""
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, color_system=None, width=160)
    ours = verb.explain.callback.__globals__  # the module has the verb's name
    plain = ours["console"]
    monkeypatch.setitem(ours, "console", lambda stderr=False: terminal if stderr else plain())
    monkeypatch.setattr("rich.progress.Progress.start", lambda self: None)  # no clock decides what is drawn
    monkeypatch.setattr("rich.progress.Progress.update", _drawn)
    return stream


def _drawn(self, task, **fields) -> None:
    self.console.print(
        f"{fields['completed']:.2f} of {self.tasks[task].total}, {fields['description']}, {fields['rest']}"
    )


def test_the_bar_counts_explanations_and_pictures(photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = on_terminal(monkeypatch)
    run("explain", photo, "--model", "husky-wolf", "--method", "edges,lime", "--option", "lime.samples=32",
        "--target", "top2")  # fmt: skip
    lines = [line.split(", ") for line in stream.getvalue().splitlines()]
    assert lines[0] == ["0.00 of 4", "photo.png: edges", ""]
    assert ["1.50 of 4", "photo.png: lime", "16 of 32 pictures"] in lines
    assert lines[-1] == ["4.00 of 4", "photo.png: lime", "32 of 32 pictures"]


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_nothing_is_drawn_where_standard_error_is_no_terminal(photo: str, quiet: list[str]) -> None:
    assert run("explain", photo, "--model", "husky-wolf", "--method", "edges", *quiet).stderr == ""
