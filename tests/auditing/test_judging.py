"""Verdicts by a table, presence by hand, sentences with their numbers."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from made_up import asked_about, clouds

from cnnaudit.auditing import judging
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Around, Cue
from cnnaudit.auditing.judging import CONCERNED, COPY_LEANS, LEANS, judged, size_of
from cnnaudit.results import AuditFinding, Change, Effect
from cnnaudit.results.audits import Operation

N = 40


def given(count: int = N) -> Asked:
    return asked_about(clouds(count, size=8), torch.arange(count) % 2)


def cue(**changes: Any) -> Cue:
    """With half of the pictures: of dogs, but for the first five and as many cats."""
    present = (torch.arange(N) % 2 == 1) ^ (torch.arange(N) < 10)
    plain = Cue("patch-1-dog", "patch", "a tag", 1, present, 0.9, lambda *_: None, object_share=0.1)
    return replace(plain, **changes)


def effect(
    operation: Operation = "insert",
    size: float = 0.5,
    *,
    half: float = 0.05,
    n: int = 40,
    p: float = 0.001,
    donors: int | None = None,
) -> Effect:
    """As large in the direction in which a cue acts."""
    turn = -1 if operation == "remove" else 1
    change = Change(turn * size, turn * size - half, turn * size + half)
    return Effect(operation, n, change, Change(0.01, 0, 0.02), change, 3, 0, p, p, donors)


def finding(*effects: Effect, asked: Asked | None = None, **changes: Any) -> AuditFinding:
    [(_, found)] = judged(asked or given(), [(cue(**changes), effects, ())])
    return found


JUST = 0.051


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        pytest.param([effect(), effect("remove")], "confirmed", id="both"),
        pytest.param([effect(size=LEANS + JUST)], "confirmed", id="just enough"),
        pytest.param([effect(size=LEANS - JUST / 2)], "inconclusive", id="an interval with enough and too little"),
        pytest.param([effect(size=LEANS - JUST)], "not confirmed", id="too little"),
        pytest.param([effect(size=-0.5)], "not confirmed", id="the other way"),
        pytest.param([effect("remove", 0.9)], "inconclusive", id="taking out alone"),
        pytest.param([effect("remove", 0.9), effect(size=0.0)], "inconclusive", id="putting in does nothing"),
        pytest.param([effect(p=0.2)], "inconclusive", id="by chance"),
        pytest.param([effect(n=9)], "inconclusive", id="too few pictures"),
        pytest.param([effect(size=0.0, n=9)], "inconclusive", id="too few pictures to rule it out"),
        pytest.param([effect(donors=10)], "confirmed", id="from enough pictures"),
        pytest.param([effect(donors=9)], "inconclusive", id="from too few pictures"),
        pytest.param([effect(size=0.0, donors=9)], "inconclusive", id="from too few to rule it out"),
        pytest.param([effect(n=90), effect("remove", 0.0, n=10)], "confirmed", id="weighted by pictures"),
        pytest.param([], "inconclusive", id="untested"),
    ],
)
def test_the_verdict_on_what_lies_beside_the_object(effects: list[Effect], verdict: str) -> None:
    assert finding(*effects).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "nature", "verdict"),
    [
        ({"object_share": 0.2}, "shortcut", "confirmed"),
        ({"object_share": 0.55}, "undecided", "inconclusive"),
        ({"object_share": 0.9}, "object", "not confirmed"),
        ({"object_share": None}, "undecided", "inconclusive"),
        ({"object_share": None, "kind": "property"}, "undecided", "inconclusive"),
        ({"object_share": 0.0, "kind": "property"}, "shortcut", "confirmed"),
        ({"object_share": 0.1, "kind": "property", "around": Around(0.9, 5.0, 5.5)}, "shortcut", "confirmed"),
        ({"object_share": 0.45, "kind": "property", "around": Around(0.9, 5.5, 10.0)}, "shortcut", "confirmed"),
        ({"object_share": 0.55, "kind": "property", "around": Around(0.9, 4.5, 10.0)}, "undecided", "inconclusive"),
        ({"object_share": 0.45, "kind": "property", "around": Around(0.9, 2.2, 4.0)}, "undecided", "inconclusive"),
        ({"object_share": 0.1, "kind": "property", "around": Around(0.7, 5.0, 5.5)}, "undecided", "inconclusive"),
        ({"object_share": 1.0, "kind": "property", "around": Around(0.9, -0.2, 5.5)}, "object", "not confirmed"),
        ({"object_share": 0.8, "kind": "property", "around": Around(0.9, 2.4, 12.0)}, "undecided", "inconclusive"),
        ({"object_share": 0.9, "copied": True}, "shortcut", "confirmed"),
        ({"present": torch.arange(N) % 2 == 1}, "undecided", "inconclusive"),
        ({"present": torch.arange(N) % 2 == 1, "copied": True}, "shortcut", "confirmed"),
        (
            {
                "present": torch.arange(N) % 2 == 1,
                "kind": "property",
                "object_share": 0.1,
                "around": Around(0.9, 5, 5.5),
            },
            "undecided",
            "inconclusive",
        ),
        (
            {
                "present": torch.arange(N) % 2 == 1,
                "kind": "property",
                "object_share": 0.0,
                "around": Around(1.0, 5.6, 5.5),
            },
            "shortcut",
            "confirmed",
        ),
        ({"present": torch.arange(N) % 2 == 1, "kind": "property", "object_share": 0.0}, "shortcut", "confirmed"),
    ],
)
def test_what_is_the_object_is_never_confirmed(changes: dict[str, Any], nature: str, verdict: str) -> None:
    found = finding(effect(), **changes)
    assert (found.nature, found.verdict) == (nature, verdict)
    assert ("object itself" in found.claim) == (nature == "object")
    assert ("A person must say" in found.claim) == (nature == "undecided")


def test_masks_tell_what_goes_with_its_class_alone_and_copies_on_the_object() -> None:
    asked = given()
    masked = replace(asked, pictures=replace(asked.pictures, masks=lambda places: torch.ones(len(places), 8, 8) > 0))
    assert finding(effect(), asked=masked, present=torch.arange(N) % 2 == 1).verdict == "confirmed"
    logo = finding(effect(), asked=masked, object_share=0.9, copied=True)
    assert (logo.nature, logo.verdict) == ("undecided", "inconclusive")
    assert finding(effect(), asked=masked, object_share=0.1, copied=True).verdict == "confirmed"


def test_the_same_five_copies_are_enough() -> None:
    assert finding(effect(donors=5), copied=True).verdict == "confirmed"
    assert finding(effect(donors=4), copied=True).verdict == "inconclusive"


def test_without_a_proved_effect_there_is_no_severity() -> None:
    doubtful = finding(effect("remove", 0.9), effect(size=0.0), object_share=0.5)
    assert (doubtful.verdict, doubtful.severity) == ("inconclusive", "none")


def test_the_claim_rests_on_putting_in_where_the_network_leans() -> None:
    assert finding(effect("remove", 0.9), effect(size=0.4)).strongest == 1


def test_the_claim_rests_on_putting_in_where_that_is_not_settled_but_for_few_pictures() -> None:
    assert finding(effect("remove", 0.9), effect(size=0.1)).strongest == 1
    assert finding(effect("remove", 0.9), effect(size=0.1, n=9)).strongest == 0
    assert finding(effect("remove", 0.9)).strongest == 0


@pytest.mark.parametrize("size", [0.9, 0.2, 0.0])
def test_what_is_the_object_is_no_shortcut_whatever_it_does(size: float) -> None:
    assert finding(effect(size=size, half=0.1), object_share=0.9).verdict == "not confirmed"


def test_less_is_enough_of_a_copy() -> None:
    little = effect(size=COPY_LEANS + JUST)
    assert COPY_LEANS < LEANS
    assert finding(little, copied=True).verdict == "confirmed"
    assert finding(little).verdict != "confirmed"


@pytest.mark.parametrize(("size", "severity"), [(0.3, "low"), (0.4, "medium"), (0.7, "high"), (0.0, "none")])
def test_severity_is_the_size_of_the_strongest_effect(size: float, severity: str) -> None:
    found = finding(effect("remove", size), effect("insert", size + 0.001))
    assert (found.severity, found.strongest) == (severity, 1)


def test_the_gravest_come_first_and_of_the_alike_the_smallest() -> None:
    asked = given()
    rows = [
        (cue(id="small effect"), (effect(size=0.4),), ()),
        (cue(id="object", object_share=0.9), (effect(size=0.9),), ()),
        (cue(id="all over", area=1.0), (effect(size=0.6),), ()),
        (cue(id="unsure"), (effect(size=0.8, half=0.75),), ()),
        (cue(id="a spot", area=0.1), (effect(size=0.6),), ()),
        (cue(id="untested"), (), ()),
    ]
    order = [found.id for _, found in judged(asked, rows)]
    assert order == ["a spot", "all over", "small effect", "unsure", "untested", "object"]


def test_a_size_is_the_mean_of_the_near_ends_in_the_direction_of_the_cue() -> None:
    found = finding(effect("insert", 0.5, half=0.1), effect("remove", 0.3, half=0.1))
    assert size_of(found) == pytest.approx((0.4 + 0.2) / 2)
    assert size_of(finding()) == 0


def test_what_is_asked_for_is_the_near_end_of_the_mean_weighted_by_pictures() -> None:
    both = [effect("insert", 0.5, half=0.1, n=90), effect("remove", 0.3, half=0.2, n=30)]
    assert judging._whole(both) == pytest.approx(0.45 - math.sqrt((0.75 * 0.1) ** 2 + (0.25 * 0.2) ** 2))
    assert judging._whole(both[:1]) == pytest.approx(0.4)


def test_the_near_end_of_a_mean_is_missed_as_seldom_as_those_of_its_parts() -> None:
    chance = torch.Generator().manual_seed(0)
    error = 0.1 * torch.randn(2000, 2, generator=chance)
    parts = [[effect(way, 0.3 + one, half=0.196) for way, one in zip(("insert", "remove"), row, strict=True)]
             for row in error.tolist()]  # fmt: skip
    sizes = [judging._whole(each) for each in parts]
    assert sum(size > 0.3 for size in sizes) / 2000 == pytest.approx(0.025, abs=0.01)


def test_presence_is_counted_by_class() -> None:
    """Dogs 1, 3, 5, 7, 9 and cats 0, 2 have it; dogs from 21 on are answered cat, and so is dog 1."""
    truth = torch.arange(N) % 2
    predicted = truth.clone()
    predicted[21:] = 0
    predicted[1] = 0
    present = torch.zeros(N, dtype=torch.bool)
    present[[1, 3, 5, 7, 9, 0, 2]] = True
    asked = asked_about(clouds(N, size=8), truth, predicted=predicted)
    found = finding(effect(), asked=asked, present=present)
    cats, dogs = found.presence
    assert (cats.label, cats.pictures, cats.present) == ("cat", 20, 2)
    assert (dogs.label, dogs.pictures, dogs.present) == ("dog", 20, 5)
    assert dogs.right_with is not None and dogs.right_without is not None
    assert (dogs.right_with.right, dogs.right_with.n) == (4, 5)
    assert (dogs.right_without.right, dogs.right_without.n) == (5, 15)
    assert (found.present, found.pictures) == (7, N)
    assert "5 of 15 pictures of dog without it are answered dog (33\u202f%)." in found.evidence
    assert "0 of 2 pictures of other classes with it are answered dog (0\u202f%)." in found.evidence
    assert found.concerned == ("000.png", "001.png", "002.png", "003.png", "005.png", "007.png", "009.png")


def test_a_cue_that_is_with_every_picture_of_its_class_alone_says_so() -> None:
    found = finding(effect(), present=torch.arange(N) % 2 == 1)
    assert "only edits can tell them apart" in found.evidence[-1]
    assert found.presence[0].right_with is None and found.presence[1].right_without is None


def test_no_more_pictures_are_named_than_said() -> None:
    found = finding(effect(), asked=given(500), present=torch.ones(500, dtype=torch.bool))
    assert len(found.concerned) == CONCERNED == 200


@pytest.mark.parametrize(
    ("effects", "claim"),
    [
        (
            [effect("insert", 0.5)],
            "Putting a tag into pictures of other classes raises P(dog) by 0.50 over the placebo (95 % interval 0.45 "
            "to 0.55; the placebo alone: 0.01); 20 of 40 pictures have it.",
        ),
        (
            [effect("remove", 0.5)],
            "Taking a tag out of pictures of dog lowers P(dog) by 0.50 over the placebo (95 % interval 0.45 to 0.55; "
            "the placebo alone: −0.01); 20 of 40 pictures have it.",
        ),
        (
            [effect("insert", 0.01)],
            "Putting a tag into pictures of other classes hardly changes P(dog), by 0.01 over the placebo (95 % "
            "interval −0.04 to 0.06; the placebo alone: 0.01); 20 of 40 pictures have it.",
        ),
        (
            [],
            "A tag goes with dog (AUROC 0.90; 20 of 40 pictures). It could not be tested: there is no way to put it in "
            "or take it out.",
        ),
    ],
)
def test_the_claim_says_what_was_done_and_its_numbers(effects: list[Effect], claim: str) -> None:
    assert finding(*effects).claim == claim


def test_every_nature_has_a_verdict_of_its_own() -> None:
    assert set(judging._OF_NATURE.values()) == {"confirmed", "not confirmed", "inconclusive"}
