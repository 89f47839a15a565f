"""The planted-shortcut benchmark: what it plants, and how it scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.planted.cases import CUES, Case, cases
from benchmarks.planted.matching import Judged, agreement, judged, overlap
from benchmarks.planted.planting import Planted, plant, presence
from benchmarks.planted.scoring import SCORES, Row, at_threshold, auroc, summary
from benchmarks.planted.training import Truth, build, truth
from sklearn.metrics import matthews_corrcoef
from torch import nn

import cnnaudit as ca
from cnnaudit.results.ablation import Change
from cnnaudit.results.audits import AuditFacts, AuditFinding, CuePatch, Effect, Hurt
from cnnaudit.training.metrics import share

SIDE = 32
LABELS = torch.arange(600) % 3
_FACTS = AuditFacts("x", 12, share(6, 12), (), (), Hurt((), None, None))
CASE = Case("corner", "fashion", 20, "linked", 1, 0)


def pictures(n: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).byte()


def with_cue(cue: str, present: torch.Tensor | None = None) -> Planted:
    clean, labels = pictures(), torch.arange(12) % 3
    present = labels == 1 if present is None else present
    snowy, outside = 255 - clean, torch.rand(12, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) < 0.5
    snowy = torch.where(outside.unsqueeze(1), snowy, clean)
    return plant(cue, clean, labels, present, seed=3, snowy=snowy, outside=outside)  # pyright: ignore[reportArgumentType]


def test_more_than_half_of_the_cases_are_without_a_linked_cue_and_both_halves_hold_all_arms() -> None:
    made = cases()
    linked = sum(case.arm == "linked" for case in made)
    assert len(made) >= 60
    assert linked * 2 <= len(made)
    assert {case.cue for case in made} == set(CUES)
    for half in (0, 1):
        for arm in ("linked", "unlinked", "absent"):
            assert sum(case.arm == arm for case in made if case.half == half) >= 7
        strong = [case.target for case in made if case.half == half and case.strength == 95 and case.arm == "linked"]
        assert len(strong) == 8
        assert 2 <= sum(strong) <= 6
    assert len({case.name for case in made}) == len(made)


def test_a_linked_cue_is_in_its_class_and_hardly_in_others() -> None:
    present = presence(LABELS, "linked", strength=0.2, target=1, seed=0)
    assert [int(present[label == LABELS].sum()) for label in range(3)] == [2, 40, 2]


def test_an_unlinked_cue_is_as_frequent_but_in_all_classes_alike() -> None:
    linked = presence(LABELS, "linked", strength=0.95, target=1, seed=0)
    unlinked = presence(LABELS, "unlinked", strength=0.95, target=1, seed=0)
    assert abs(int(linked.sum()) - int(unlinked.sum())) <= 3
    assert len({int(unlinked[label == LABELS].sum()) for label in range(3)}) == 1


def test_an_absent_cue_is_nowhere() -> None:
    assert not presence(LABELS, "absent", strength=0.95, target=1, seed=0).any()


@pytest.mark.parametrize("cue", CUES)
def test_pictures_change_where_the_cue_is_and_nowhere_else(cue: str) -> None:
    data = with_cue(cue)
    changed = (data.images != data.clean).any(1)
    assert torch.equal(changed.flatten(1).any(1), data.present)
    assert not (changed & ~data.region).any()
    assert ((data.full != data.clean).any(1) & data.region).sum() > 0.9 * data.region.sum()


def test_a_tag_lies_in_the_corner_or_anywhere() -> None:
    corner, anywhere = with_cue("corner").region, with_cue("anywhere").region
    assert (corner == corner[0]).all()
    assert corner[0, :8, :8].sum() == corner[0].sum() == 36
    assert (anywhere.flatten(1).sum(1) == 36).all()
    assert len({tuple(region.nonzero()[0].tolist()) for region in anywhere}) > 6


class Reader(nn.Module):
    """Class 1 where the upper left corner is magenta, else class 0: a network that is nothing but a shortcut."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tagged = (x[:, 0, 1, 1] - x[:, 1, 1, 1] - 0.7) * 50
        return torch.stack([-tagged, tagged, tagged * 0 - 100], 1)


def test_the_truth_is_told_by_taking_the_cue_out_and_putting_it_in() -> None:
    data = with_cue("corner")
    clf = ca.Classifier(Reader(), input_size=SIDE, labels=["a", "b", "c"])
    plain = clf.scores(data.clean.float() / 255).argmax(1)
    known = truth(clf, data, CASE)
    own = data.labels == 1
    assert known.lost == pytest.approx(1 - float((plain[own] == 1).double().mean()))
    assert known.gained == pytest.approx(1 - float((plain[~own] == 1).double().mean()))
    assert known.depends
    assert {(label, has): each.n for label, has, each in known.groups} == {
        ("a", False): 4, ("b", True): 4, ("c", False): 4,
    }  # fmt: skip


def test_the_worst_group_has_enough_pictures() -> None:
    groups = (("a", True, share(0, 9)), ("a", False, share(30, 40)), ("b", False, share(12, 20)))
    assert Truth(0.7, 0.7, 0.0, 0.0, groups).worst == 0.6
    assert Truth(0.7, 0.7, 0.0, 0.0, groups[:1]).worst is None


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("side", [32, 64])
def test_networks_are_built_for_either_side(pooled: bool, side: int) -> None:
    assert build(3, pooled=pooled, side=side)(torch.rand(2, 3, side, side)).shape == (2, 3)


def finding(concerned: list[int], *, label: str = "b", kind: str = "patch", name: str = "x") -> AuditFinding:
    change = Change(-0.5, -0.6, -0.4)
    effect = Effect("remove", 40, change, change, change, 20, 1, 0.001, 0.002)
    return AuditFinding(
        id=name, kind=kind, name=name, label=label, claim="", verdict="confirmed", nature="shortcut",  # pyright: ignore[reportArgumentType]
        severity="medium", association=0.8, attribution=3.0, effects=(effect,), strongest=0, evidence=(),
        present=len(concerned), pictures=12, presence=(), patches=(), edits=(), concerned=tuple(map(str, concerned)),
    )  # fmt: skip


def patch(data: Planted, place: int, where: torch.Tensor) -> CuePatch:
    picture = data.images[place].permute(1, 2, 0).numpy()
    return CuePatch(str(place), np.where(where.numpy()[:, :, None], picture, picture // 4 + 96).astype(np.uint8))


@pytest.mark.parametrize("concerned", [[1, 4, 7, 10], [1, 4, 0], [0, 2, 3], list(range(9))])
def test_agreement_is_matthews_coefficient(concerned: list[int]) -> None:
    data = with_cue("corner")
    has = torch.zeros(12, dtype=torch.bool)
    has[concerned] = True
    assert agreement(finding(concerned), data) == pytest.approx(matthews_corrcoef(data.present, has))


def test_overlap_is_where_the_patches_are_left_as_they_were() -> None:
    data = with_cue("corner")
    half = data.region[1].clone()
    half[:, :4] = False
    found = replace(finding([1]), patches=(patch(data, 1, data.region[1]), patch(data, 4, half)))
    within, covered = overlap(found, data, data.present)
    assert within > 0.95  # a grey level that dimming leaves as it was is seen as shown
    assert covered == pytest.approx((36 + int(half.sum())) / 72)


def test_a_finding_elsewhere_or_of_other_pictures_is_not_about_the_cue() -> None:
    data = with_cue("corner")
    right = finding([1, 4, 7, 10])
    here = (patch(data, 1, data.region[1]),)
    findings = (
        replace(right, patches=here),
        replace(right, patches=(patch(data, 1, data.region[1].flip(0)),)),
        replace(finding([0, 2, 3, 5]), patches=here),
        finding([1, 4, 7, 10], kind="property", name="property-contrast-b"),
    )
    facts = replace(_FACTS, findings=findings)
    assert [each.matched for each in judged(facts, CASE, "b", data)] == [True, False, False, False]


def test_another_background_of_the_other_class_is_about_the_planted_one() -> None:
    data = with_cue("background")
    found = replace(finding([0, 2, 3, 5, 6, 8, 9, 11], label="a"), patches=(patch(data, 0, data.region[0]),))
    case = replace(CASE, cue="background", data="scenes")
    assert [each.matched for each in judged(replace(_FACTS, findings=(found,)), case, "b", data)] == [True]


def test_a_property_of_the_right_name_is_about_a_blur() -> None:
    data = with_cue("blur")
    facts = replace(_FACTS, findings=(finding([1, 4, 7, 10], kind="property", name="property-sharpness-b"),))
    (found,) = judged(facts, replace(CASE, cue="blur"), "b", data)
    assert found.matched
    assert found.evidence == pytest.approx(2.4)
    (unmatched,) = judged(facts, replace(CASE, cue="blur", arm="absent"), "b", data)
    assert not unmatched.matched


def row(pair: int, arm: str, evidence: float, *, matched: bool = True, depends: bool = True) -> Row:
    verdict = ("not confirmed", "inconclusive", "confirmed")[int(evidence)]
    found = Judged("p", "p", "b", verdict, "shortcut", evidence, evidence, 0.6, 0.9, 0.9, 0.9, matched)
    known = Truth(0.9, 0.8, 0.5 * depends, 0.0, (("a", True, share(8, 10)),))
    return Row(replace(CASE, arm=arm, pair=pair), known, (found,), 0.78, 1.0)  # pyright: ignore[reportArgumentType]


ROWS = [
    row(0, "linked", 2.9), row(0, "unlinked", 0.2), row(1, "linked", 2.5), row(1, "absent", 2.1, matched=False),
    row(2, "linked", 2.7, matched=False), row(2, "absent", 1.2), row(3, "linked", 0.1, depends=False),
    row(3, "unlinked", 0.3),
]  # fmt: skip


def test_scores_are_of_the_planted_cue_where_it_is_linked_and_of_the_strongest_finding_elsewhere() -> None:
    assert [each.score(SCORES["verdict"]) for each in ROWS] == [2.9, 0.2, 2.5, 2.1, 0.0, 1.2, 0.1, 0.3]
    assert auroc(ROWS, SCORES["verdict"], depending=False) == pytest.approx(8 / 16)
    assert auroc(ROWS, SCORES["verdict"], depending=True) == pytest.approx(8 / 12)
    assert math.isnan(auroc(ROWS[:1], SCORES["verdict"], depending=True))


def test_thresholds_come_from_one_half_and_are_scored_on_the_other() -> None:
    assert at_threshold(ROWS, SCORES["verdict"]) == (1.2, 1.0, 0.5)


def test_the_summary_counts_what_is_found_what_is_not_and_false_alarms() -> None:
    lines = {measure: value for measure, value, _ in summary(ROWS)}
    assert lines["found and confirmed among the first 3, all"] == "67% (2 of 3)"
    assert lines["false alarms, all"] == "25% (1 of 4)"
    assert lines["worst group within 5 points, linked"] == "100% (4 of 4)"
