"""What has become of an earlier audit: read from its twin, cue by cue, and the gates that follow from it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))
from audit_samples import effect, facts, finding, others, report

from cnnaudit.auditing.comparing import carried, compared, paired, unlike
from cnnaudit.auditing.earlier import Outcome, Seen, earlier, outcome
from cnnaudit.auditing.gates import gates
from cnnaudit.auditing.sources import SOURCES
from cnnaudit.errors import CnnAuditError, DataError, OptionError
from cnnaudit.results import AuditFinding, Compared, Group, Hurt
from cnnaudit.training.metrics import share

OTHERS = others()


def of(*findings: AuditFinding, **changes: Any) -> Outcome:
    return outcome(facts(findings=findings, **changes), seed=0)


def seen(name: str, *, id: str = "patch-1", label: str = "wolf", concerned: str = "") -> Seen:
    return Seen(id, "patch", name, name, label, frozenset(concerned.split()))


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    return report().save(tmp_path / "old.html").with_suffix(".json")


def test_a_twin_is_read_back_as_it_was(twin: Path) -> None:
    now = outcome(facts(), report().run.seed)
    before = earlier(twin)
    assert (before.pictures, before.accuracy, before.worst) == (now.pictures, now.accuracy, now.worst)
    assert before.findings[0].effects["insert"] == effect().difference
    assert compared(before, now) == Compared((), (), (), ())
    assert unlike(before, now, ()) == ()


def test_new_and_gone_are_confirmed_in_one_alone() -> None:
    doubted = finding(verdict="inconclusive", nature="undecided")
    without, with_, unsure = of(*OTHERS), of(finding(), *OTHERS), of(doubted, *OTHERS)
    assert compared(without, with_).new == (f"{finding().claim} Before, it was not found.",)
    assert compared(unsure, with_).new == (f"{finding().claim} Before, it was inconclusive.",)
    assert "is not found now" in compared(with_, without).gone[0]
    assert "is inconclusive now" in compared(with_, unsure).gone[0]
    assert compared(with_, with_) == Compared((), (), (), ())


@pytest.mark.parametrize("operation", ["insert", "remove"])
def test_worse_is_more_than_both_intervals_allow_in_the_direction_of_the_cue(operation: str) -> None:
    turn = -1 if operation == "remove" else 1
    weak, close, strong = (of(finding(effects=(effect(operation, turn * v, 0.0),))) for v in (0.3, 0.38, 0.6))
    assert len(compared(weak, strong).worse) == 1 and compared(weak, strong).better == ()
    assert len(compared(strong, weak).better) == 1 and compared(strong, weak).worse == ()
    assert compared(weak, close) == Compared((), (), (), ())


def test_what_is_ruled_out_in_both_is_neither_worse_nor_better() -> None:
    low, high = (of(finding(verdict="not confirmed", effects=(effect("insert", v, 0.0),))) for v in (-0.1, 0.1))
    assert compared(low, high) == Compared((), (), (), ())


def test_accuracy_and_the_worst_group_count_when_their_intervals_lie_apart() -> None:
    def with_shares(right: int, worst: int, name: str = "husky with snow") -> Outcome:
        group = Group(name, "husky", None, 100, share(worst, 100))
        return of(accuracy=share(right, 1000), hurt=Hurt((group,), group, None))

    fell = compared(with_shares(950, 80), with_shares(900, 50, "wolf without snow")).worse
    assert len(fell) == 2
    assert fell[0].startswith("Accuracy has fallen from 95.0")
    assert "wolf without snow" in fell[1] and "it was husky with snow" in fell[1]
    assert len(compared(with_shares(900, 50), with_shares(950, 80)).better) == 2
    assert compared(with_shares(950, 80), with_shares(945, 78)) == Compared((), (), (), ())


def test_cues_are_the_same_by_words_and_pictures_and_not_by_numbered_ids() -> None:
    snow, grass = seen("white background in the lower part"), seen("brown patch in the middle")
    renumbered = replace(snow, id="patch-9")
    assert paired([snow], [renumbered], same_pictures=False) == [(snow, renumbered)]
    assert paired([snow], [grass], same_pictures=False) == [(None, grass), (snow, None)]
    husky = replace(snow, label="husky")
    assert paired([snow], [husky], same_pictures=False) == [(None, husky), (snow, None)]


def test_of_two_that_are_called_alike_the_pictures_tell() -> None:
    one, two = (
        seen("grey patch in the middle", id=i, concerned=c) for i, c in (("patch-1", "a b c"), ("patch-2", "d e"))
    )
    now_two, now_one = replace(two, id="patch-1"), replace(one, id="patch-2")
    assert set(paired([one, two], [now_two, now_one], same_pictures=True)) == {(two, now_two), (one, now_one)}


def test_names_are_carried_to_cues_that_are_surely_the_same() -> None:
    named = finding(name="snow", described="white background in the lower part", concerned=("a", "b"))
    before = of(named)
    same = seen("white background in the lower part", id="patch-9", concerned="a b")
    other = seen("white background over most of the picture", id="patch-3", concerned="a b c")
    assert carried(before, [other, same], before.pictures) == {"patch-9": "snow"}
    assert carried(before, [other], before.pictures) == {}
    assert carried(of(finding()), [same], before.pictures) == {}


def test_other_pictures_and_missing_parts_are_noted() -> None:
    notes = unlike(of(), of(pictures=90), ["interventions"])
    assert "2\u202f000 pictures" in notes[0] and "90" in notes[0]
    assert "interventions" in notes[1]


@pytest.mark.parametrize(
    ("change", "words", "kind"),
    [
        ({"kind": "explain"}, "kind 'explain'", OptionError),
        ({"kind": None}, "no twin", OptionError),
        ({"schema_version": 99}, "newer cnnaudit", OptionError),
        ({"schema_version": "1"}, "damaged", DataError),
        ({"audit": {}}, "damaged", DataError),
        ({"audit": []}, "damaged", DataError),
        ({"run": {"seed": "x"}}, "damaged", DataError),
    ],
)
def test_what_is_no_twin_of_an_audit_is_refused(
    twin: Path, change: dict[str, Any], words: str, kind: type[CnnAuditError]
) -> None:
    twin.write_text(json.dumps(json.loads(twin.read_text()) | change))
    with pytest.raises(kind, match=words):
        earlier(twin)


def test_files_that_cannot_be_read_are_refused(twin: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"No such file"):
        earlier(tmp_path / "none.json")
    with pytest.raises(OptionError, match=r"old\.json"):
        earlier(twin.with_suffix(".html"))
    twin.write_text(twin.read_text()[:-100])
    with pytest.raises(DataError, match="not valid JSON"):
        earlier(twin)
    twin.write_text("[1, 2]")
    with pytest.raises(OptionError, match="no twin"):
        earlier(twin)


def met(text: str, **changes: Any) -> bool | None:
    (gate,) = gates([text], comparing=True)
    return gate.judge(facts(**changes))[0]


@pytest.mark.parametrize(
    ("severity", "conditions"),
    [("low", "confirmed low"), ("medium", "confirmed low medium"), ("high", "confirmed low medium high")],
)
def test_gates_of_severity_are_at_or_above(severity: str, conditions: str) -> None:
    found = (finding(severity=severity), *OTHERS)
    assert [c for c in ("confirmed", "low", "medium", "high") if met(c, findings=found)] == conditions.split()
    assert met("confirmed", findings=OTHERS, skipped={}) is False


def test_gates_of_shares_ask_for_the_share_itself() -> None:
    assert met("worst-group<0.8") and met("worst-group < 22%") and not met("worst-group<0.21")
    assert met("accuracy<0.97") and not met("accuracy<0.96")
    assert met("worst-group<0.8", hurt=Hurt((), None, None)) is None


def test_a_gate_cannot_tell_when_nothing_was_tested() -> None:
    assert met("confirmed", findings=(), skipped={"interventions": "It failed in the network"}) is None
    assert met("confirmed", findings=(), skipped={}) is False


@pytest.mark.parametrize("part", [*SOURCES, "distinct cues", "names"])
def test_a_gate_cannot_tell_when_not_all_was_searched_unless_something_was_found(part: str) -> None:
    skipped = {part: "Memory ran out"}
    assert [met(c, findings=OTHERS, skipped=skipped) for c in ("confirmed", "low", "medium", "high")] == [None] * 4
    found = (finding(severity="medium"), *OTHERS)
    assert met("medium", findings=found, skipped=skipped) and met("high", findings=found, skipped=skipped) is None
    (gate,) = gates(["confirmed"], comparing=False)
    assert gate.judge(facts(findings=OTHERS, skipped=skipped))[1] == f"{part} failed: Memory ran out"
    assert met("confirmed", findings=OTHERS, skipped={"slices": "too few"}) is False
    assert met("new", skipped=skipped) is None and met("worse", skipped={}) is False
    assert met("worst-group<0.21", skipped=skipped) is None and met("worst-group<0.21", skipped={}) is False
    assert met("worst-group<0.8", skipped=skipped) is True and met("accuracy<0.96", skipped=skipped) is False


def test_gates_of_changes_need_an_earlier_audit() -> None:
    changes = Compared(("snow",), (), (), ())
    assert met("new", compared=changes) and not met("worse", compared=changes)
    with pytest.raises(OptionError, match="--baseline"):
        gates(["new"], comparing=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("confrimed", "Did you mean 'confirmed'"),
        ("worst_group<0.8", "Did you mean 'worst-group<0.8'"),
        ("worst-group<80", "0.8 or 80%"),
        ("worst-group<0", "above 0"),
        ("accuracy<1.2.3", "above 0"),
        ("worst-group>0.8", "Conditions: confirmed"),
    ],
)
def test_a_gate_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        gates([text], comparing=True)


def test_gates_come_with_commas_and_once() -> None:
    assert [gate.text for gate in gates(["high, new", "high"], comparing=True)] == ["high", "new"]
