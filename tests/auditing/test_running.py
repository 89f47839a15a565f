"""The whole audit: what it brings together, what it leaves out and why, and that it ends in the same bytes."""

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import Classifier
from cnnaudit.auditing import running
from cnnaudit.auditing import survey as surveying
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue, Edited
from cnnaudit.data.splits import Split
from cnnaudit.errors import DataError, NotApplicableError, OptionError
from cnnaudit.results import AuditFacts, Report

SIDE = 16


class Corner(nn.Module):
    """Tells the second class by a bright corner, and by nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [8.0, 0.1]]))
            self.head.bias.copy_(torch.tensor([0.0, -6.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.stack([x[..., :4, :4].mean((1, 2, 3)), x.mean((1, 2, 3))], 1))


def classifier(net: nn.Module | None = None) -> Classifier:
    return Classifier(net or Corner(), input_size=(SIDE, SIDE), labels=("plain", "marked"))


def pictures(n: int = 64) -> Split:
    images = torch.randint(0, 200, (n, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)).byte()
    labels = torch.arange(n) % 2
    images[labels == 0, :, :4, :4] = 51
    images[labels == 1, :, :4, :4] = 255
    return Split(images, labels)


def corner(asked: Asked) -> list[Cue]:
    """The planted cue, its edits and their placebo in the opposite corner."""

    def edit(operation: str, places: object, _random: torch.Generator) -> Edited:
        before = asked.pictures.read(places)  # type: ignore[arg-type]
        after, placebo, fill = before.clone(), before.clone(), 1.0 if operation == "insert" else 0.4
        after[..., :4, :4], placebo[..., -4:, -4:] = fill, fill
        return Edited(tuple(places), before, after, placebo)  # type: ignore[arg-type]

    present = asked.pictures.truth == 1
    return [Cue("corner-1", "patch", "a mark", 1, present, 1.0, edit, copied=True)]


@pytest.fixture(autouse=True)
def only_the_planted_cue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SOURCES", {"corners": corner})


def facts(report: Report) -> AuditFacts:
    assert report.audit is not None
    return report.audit


def test_an_audit_brings_everything_together() -> None:
    told: list[str] = []
    report = ca.audit(classifier(), pictures(), progress=lambda part, _done, _total: told.append(part))
    found = facts(report)
    assert (report.kind, found.pictures, found.accuracy.right, found.skipped) == ("audit", 64, 64, {})
    assert [(each.label, each.pictures) for each in found.classes] == [("plain", 32), ("marked", 32)]
    assert [each.id for each in found.findings] == ["corner-1"]
    assert found.findings[0].verdict == "confirmed"
    assert found.notes == ()
    assert dict.fromkeys(told).keys() >= {"survey", "corners", "interventions", "verdicts", "groups", "robustness"}
    row = report.findings[0]
    effect = found.findings[0].effects[found.findings[0].strongest or 0]
    assert (row["id"], row["effect"], row["n"]) == ("corner-1", effect.effect.value, effect.pictures)


def test_the_effect_is_what_the_network_s_formula_says() -> None:
    """Put into pictures of the other class, the mark raises their mean corner from 0.2 to 1."""
    effects = facts(ca.audit(classifier(), pictures())).findings[0].effects
    inserted = next(each for each in effects if each.operation == "insert")
    rest = 0.1 * float(pictures().images[::2].double().mean()) / 255
    before, after = (1 / (1 + math.exp(6 - rest - 8 * corner)) for corner in (0.2, 1.0))
    assert inserted.effect.value == pytest.approx(after - before, abs=0.005)  # the mark adds to the mean, too
    assert inserted.flips == inserted.pictures and inserted.placebo_flips == 0


def test_the_same_audit_twice_gives_the_same_bytes_and_leaves_everything_as_it_was() -> None:
    net = Corner().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    first, second = ca.audit(classifier(net), pictures()), ca.audit(classifier(net), pictures())
    assert same(first, second)
    assert net.training and all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1], states[2]) == (str(np.random.get_state()), random.getstate())


def test_the_first_audit_of_a_process_leaves_the_random_state_as_it_was() -> None:
    code = """
import random
import torch
import cnnaudit as ca
from cnnaudit.data.splits import Split
chance = torch.Generator().manual_seed(0)
images = torch.randint(256, (48, 3, 16, 16), generator=chance, dtype=torch.uint8)
nn = torch.nn
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
before = random.getstate()
ca.audit(ca.Classifier(net, input_size=16), Split(images, torch.arange(48) % 2))
print(random.getstate() == before)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "True"


def same(first: Report, second: Report) -> bool:
    """Page and twin, but for when it was run and for how long."""
    twins = [json.loads(report.json()) for report in (first, second)]
    for twin in twins:
        twin["run"] |= {"started": "", "seconds": 0}
    timeless = [replace(report, run=replace(report.run, started="", seconds=0.0)) for report in (first, second)]
    return json.dumps(twins[0]) == json.dumps(twins[1]) and timeless[0].html() == timeless[1].html()


@pytest.mark.parametrize("shards", [0, 1, 3])
def test_an_interrupted_audit_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    monkeypatch.setattr(surveying, "_SHARD", 16)
    monkeypatch.setattr(surveying, "_BATCH", 8)

    def stop(part: str, done: int, _total: int) -> None:
        if part == "survey" and done > 16 * shards:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ca.audit(classifier(), pictures(), cache=tmp_path, progress=stop)
    assert len(list(tmp_path.iterdir())) == shards
    assert same(ca.audit(classifier(), pictures(), cache=tmp_path), ca.audit(classifier(), pictures()))


def test_cues_are_not_tested_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits: list[str] = []

    def three(asked: Asked) -> list[Cue]:
        (first,) = corner(asked)

        def counted(name: str) -> Cue:
            def edit(*given: Any) -> Edited | None:
                edits.append(name)
                return first.edit(*given)

            return replace(first, id=name, name=name, edit=edit)

        return [counted("one"), counted("two"), counted("three")]

    def stop(part: str, done: int, _total: int) -> None:
        if part == "interventions" and done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "SOURCES", {"three": three})
    monkeypatch.setattr(running, "distinct", list)
    whole = ca.audit(classifier(), pictures())
    edits.clear()
    with pytest.raises(KeyboardInterrupt):
        ca.audit(classifier(), pictures(), cache=tmp_path, progress=stop)
    assert set(edits) == {"one", "two"}
    edits.clear()
    assert same(ca.audit(classifier(), pictures(), cache=tmp_path), whole)
    assert set(edits) == {"three"}
    assert all(path.name.startswith("survey-") for path in tmp_path.iterdir())


def fails(error: Exception) -> Callable[[Asked], list[Cue]]:
    def find(_asked: Asked) -> list[Cue]:
        raise error

    return find


def test_what_cannot_be_made_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SOURCES", {"this": fails(NotApplicableError("no maps here")), "corners": corner})
    found = facts(ca.audit(classifier(), pictures()))
    assert found.skipped == {"this": "no maps here"}
    assert len(found.findings) == 1


def test_what_the_network_raises_is_its_own_and_what_we_raise_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(Corner):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] != SIDE:
                raise IndexError("only sixteen")
            return super().forward(x)

    def smaller(asked: Asked) -> list[Cue]:
        asked.classifier.scores(asked.pictures.read([0])[..., :8, :8])
        return []

    monkeypatch.setattr(running, "SOURCES", {"smaller": smaller})
    found = facts(ca.audit(classifier(Picky()), pictures()))
    assert found.skipped == {"smaller": "It failed in the network: IndexError: only sixteen"}
    monkeypatch.setattr(running, "SOURCES", {"ours": fails(IndexError("a bug"))})
    with pytest.raises(IndexError, match="a bug"):
        ca.audit(classifier(), pictures())
    monkeypatch.setattr(running, "SOURCES", {"wrong": fails(OptionError("no such thing"))})
    with pytest.raises(OptionError, match="no such thing"):
        ca.audit(classifier(), pictures())


def test_no_memory_for_a_part_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SOURCES", {"large": fails(MemoryError("out of memory"))})
    assert facts(ca.audit(classifier(), pictures())).skipped == {"large": "Memory ran out: out of memory"}


def test_cues_are_called_as_the_user_calls_them() -> None:
    found = facts(ca.audit(classifier(), pictures(), names={"corner-1": "the stamp", "corner-7": "the tree"}))
    assert found.findings[0].name == "the stamp" and "stamp" in found.findings[0].claim
    assert "'corner-7' (the tree)" in found.notes[0] and "corner-1" in found.notes[0]


def test_so_few_pictures_settle_little() -> None:
    assert "so few a class settle little" in facts(ca.audit(classifier(), pictures(6))).notes[0]


def test_pictures_without_an_answer_are_in_the_report() -> None:
    class Fussy(Corner):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / (x.std((1, 2, 3)) > 0).float().unsqueeze(1)

    split = pictures()
    split.images[5] = 0
    report = ca.audit(classifier(Fussy()), split)
    assert facts(report).pictures == 63
    assert [each.name for each in report.failures] == [each.name for each in facts(report).unread] == ["5"]


def test_wrong_input_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(OptionError, match="husky-wolf"):
        ca.audit(classifier(), "husky-wulf")
    with pytest.raises(DataError, match="classes that"):
        ca.audit(classifier(), Split(pictures(3).images, torch.tensor([0, 1, 2])))
