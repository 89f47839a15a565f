"""`cnnaudit audit` from photos to page: gates, an earlier audit, a damaged photo, and Ctrl-C in the middle."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cnnaudit.auditing import running
from cnnaudit.auditing import survey as surveying
from cnnaudit.cli import main
from cnnaudit.data.scenes import generate

_PHOTOS = 40
_SHARD = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Photos of huskies and wolves, most wolves on snow and one photo damaged; every clock stands still."""
    root = tmp_path_factory.mktemp("audits")
    for number, scene in enumerate(generate(_PHOTOS, correlation=0.9, seed=7)):
        (root / "photos" / scene.label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.image.pixels).save(root / "photos" / scene.label / f"{number:02}.png")
    (root / "photos" / "wolf" / "05.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(running, "datetime", SimpleNamespace(now=lambda _zone: _Noon()))
        patch.setattr(running, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        patch.setattr(surveying, "_SHARD", _SHARD)
        yield root


class _Noon:
    def isoformat(self, *, timespec: str) -> str:
        return "2020-01-01T12:00:00+00:00"


@dataclass(frozen=True)
class Made:
    """What a run of the command wrote and printed."""

    result: Result
    page: Path

    @property
    def twin(self) -> dict[str, Any]:
        return json.loads(self.page.with_suffix(".json").read_text())

    @property
    def both(self) -> tuple[bytes, bytes]:
        return self.page.read_bytes(), self.page.with_suffix(".json").read_bytes()


def run(model: str, out: str, *options: str) -> Made:
    arguments = ["audit", "photos", "--model", model, "--device", "cpu", "--out", out, *options]
    result = CliRunner().invoke(main, arguments)
    return Made(result, Path(out) / f"audit-photos-{model}.html")


@pytest.fixture(scope="module")
def fair(folder: Path) -> Made:
    """Of a network that was trained without the shortcut."""
    return run("husky-wolf-fair", "fair", "--cache", "of-fair", "--fail-on", "confirmed")


@pytest.fixture(scope="module")
def biased(fair: Made) -> Made:
    """Of a network that leans on snow, compared with the one that does not."""
    return run("husky-wolf", "biased", "--cache", "kept", *_COMPARING)


_COMPARING = ("--baseline", "fair/audit-photos-husky-wolf-fair.json", "--fail-on", "confirmed,new")


def test_a_shortcut_that_is_confirmed_fails_and_a_network_without_one_passes(biased: Made, fair: Made) -> None:
    assert (fair.result.exit_code, biased.result.exit_code) == (0, 1), fair.result.output + biased.result.output
    assert fair.result.stdout.startswith("No shortcut was confirmed") and "failed" not in fair.result.stderr
    assert "failed: --fail-on confirmed: " in biased.result.stderr
    confirmed = [each for each in biased.twin["audit"]["findings"] if each["verdict"] == "confirmed"]
    assert confirmed and confirmed[0]["label"] in ("husky", "wolf")
    assert confirmed[0]["claim"] in biased.page.read_text(encoding="utf-8").replace("&#x27;", "'")


def test_a_damaged_photo_is_an_error_row_and_all_else_goes_on(biased: Made) -> None:
    facts = biased.twin["audit"]
    assert facts["pictures"] == _PHOTOS - 1
    assert [each["name"] for each in facts["unread"]] == ["wolf/05.png"]
    assert "05.png" in biased.page.read_text(encoding="utf-8")
    assert "error: " in biased.result.stderr and "1 of 40 pictures could not be used." in biased.result.stderr
    assert facts["skipped"] == {}


def test_what_the_other_network_did_not_lean_on_is_new(biased: Made) -> None:
    new = biased.twin["audit"]["compared"]["new"]
    claims = [each["claim"] for each in biased.twin["audit"]["findings"] if each["verdict"] == "confirmed"]
    assert new and all(any(sentence.startswith(claim) for claim in claims) for sentence in new)
    assert all(sentence.endswith(("not found.", "not confirmed.", "inconclusive.")) for sentence in new)
    assert "failed: --fail-on new: " in biased.result.stderr
    assert biased.result.stdout.count("new since baseline") == len(new)


def test_against_its_own_earlier_audit_nothing_is_new(biased: Made) -> None:
    """And names that cues were given there would stay: ids and findings are the same."""
    earlier = str(biased.page.with_suffix(".json"))
    again = run("husky-wolf", "again", "--cache", "kept", "--baseline", earlier, "--fail-on", "new,worse")
    assert again.result.exit_code == 0, again.result.output
    assert not any(again.twin["audit"]["compared"].values())
    assert "since baseline" in again.result.stdout and "nothing is new, worse, better or gone" in again.result.stdout
    assert again.twin["audit"]["findings"] == biased.twin["audit"]["findings"]


def test_after_ctrl_c_the_same_command_goes_on_and_ends_in_the_same_bytes(
    biased: Made, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal, once two shards of the pass over the photos are kept."""
    write, asked = surveying.write_columns, surveying._Network.ask
    batches: list[int] = []

    def then_ctrl_c(path: Path, columns: Any) -> None:
        write(path, columns)
        if len(list(path.parent.iterdir())) == 2:
            signal.raise_signal(signal.SIGINT)

    def counted(network: Any, pixels: Any) -> Any:
        batches.append(len(pixels))
        return asked(network, pixels)

    monkeypatch.setattr(surveying._Network, "ask", counted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which another test may have left otherwise
    with monkeypatch.context() as patch:
        patch.setattr(surveying, "write_columns", then_ctrl_c)
        stopped = run("husky-wolf", "resumed", "--cache", "halves", *_COMPARING)
    signal.signal(signal.SIGINT, before)
    assert stopped.result.exit_code == 130
    assert stopped.result.stderr.strip().splitlines()[-1].startswith("stopped; what the network has answered")
    assert len(list((folder / "halves").iterdir())) == 2
    assert not (folder / "resumed").exists()
    assert sum(batches) == 2 * _SHARD
    resumed = run("husky-wolf", "resumed", "--cache", "halves", *_COMPARING)
    assert sum(batches) == _PHOTOS - 1, "what was kept is not asked again"
    assert resumed.result.exit_code == 1
    assert resumed.both == biased.both
