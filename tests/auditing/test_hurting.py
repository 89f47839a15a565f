"""Whom a classifier fails: counts by hand, intervals and the worst group by simulation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.hurting import hurt, linked_no_more
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.surveys import Survey
from cnnaudit.results import AuditFinding, Hurt, Verdict
from cnnaudit.training.metrics import share

LABELS = ("husky", "wolf")


class Constant(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.new_zeros(len(pixels), 2)


def cue(present: Tensor, name: str = "snow", verdict: Verdict = "confirmed") -> tuple[Cue, AuditFinding]:
    made = Cue(name, "patch", name, 1, present, 0.9, lambda operation, places, chance: None)
    finding = AuditFinding(
        id=name, kind="patch", name=name, label="wolf", claim="", verdict=verdict,
        nature="undecided" if verdict == "inconclusive" else "shortcut", severity="high",
        association=0.9, attribution=None, effects=(), strongest=None, evidence=(), present=int(present.sum()),
        pictures=len(present), presence=(), patches=(), edits=(), concerned=(),
    )  # fmt: skip
    return made, finding


def found(
    truth: Tensor,
    predicted: Tensor,
    cues: Sequence[tuple[Cue, AuditFinding]] = (),
    seed: int = 0,
    pixels: Tensor | None = None,
) -> Hurt:
    n = len(truth)
    classifier = Classifier(Constant(), input_size=(8, 8), channels=1, labels=LABELS)
    shown = torch.zeros(n, 1, 8, 8) if pixels is None else pixels
    pictures = Pictures("set", tuple(map(str, range(n))), truth, lambda places: shown[list(places)])
    survey = Survey(predicted, torch.ones(n), torch.ones(n), torch.zeros(n, 2), {})
    return hurt(Asked(classifier, pictures, survey, seed, lambda done, total: None), cues)


def world(n: int, accuracies: np.ndarray, link: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Classes, presence of a cue that goes with them, and answers; `accuracies` by class and presence."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    present = np.where(rng.random(n) < link, truth, 1 - truth)
    right = rng.random(n) < accuracies[truth, present]
    return torch.from_numpy(truth), torch.from_numpy(present == 1), torch.from_numpy(np.where(right, truth, 1 - truth))


ACCURACIES = np.array([[0.98, 0.3], [0.4, 0.97]])


def test_groups_are_counted_as_by_hand_the_worst_first() -> None:
    truth, present, predicted = world(600, ACCURACIES, 0.9, 1)
    groups = found(truth, predicted, [cue(present)]).groups
    assert [each.name for each in groups[:2]] in (
        ["husky with snow", "wolf without snow"], ["wolf without snow", "husky with snow"],
    )  # fmt: skip
    for each in groups:
        members = (truth == LABELS.index(each.label)) & (present == (" with " in each.name))
        expected = share(int(((predicted == truth) & members).sum()), int(members.sum()))
        assert (each.right, each.pictures, each.finding) == (expected, expected.n, "snow")
    assert [each.right.value for each in groups] == sorted(each.right.value for each in groups)


def test_the_accuracy_without_the_link_is_the_weighted_sum() -> None:
    truth, present, predicted = world(5000, ACCURACIES, 0.9, 2)
    right = (predicted == truth).numpy()
    expected = 0.0
    for label in (0, 1):
        for has in (False, True):
            cell = (truth == label).numpy() & (present == has).numpy()
            expected += (truth == label).double().mean() * (present == has).double().mean() * right[cell].mean()
    unlinked = linked_no_more(present, truth, predicted == truth)
    assert unlinked is not None
    assert unlinked.value == pytest.approx(float(expected))
    assert unlinked.n == 5000
    assert unlinked.value == pytest.approx(ACCURACIES.mean(), abs=0.05)


def test_without_a_link_it_is_the_accuracy() -> None:
    truth = torch.tensor([0, 0, 1, 1] * 20)
    present = torch.tensor([True, False, True, False] * 20)
    predicted = torch.tensor([0, 1, 1, 1] * 20)
    unlinked = linked_no_more(present, truth, predicted == truth)
    assert unlinked is not None
    assert unlinked.value == pytest.approx(0.75)


@pytest.mark.parametrize("link", [0.6, 0.9, 0.97])
def test_its_interval_holds_the_truth_in_19_of_20_worlds(link: float) -> None:
    held = told = 0
    for seed in range(400):
        truth, present, predicted = world(400, ACCURACIES, link, seed)
        unlinked = linked_no_more(present, truth, predicted == truth)
        if unlinked is not None:
            told += 1
            held += unlinked.low <= ACCURACIES.mean() <= unlinked.high
    assert told >= 390
    assert 0.93 <= held / told <= 0.995


def test_cells_without_a_picture_are_bounded_or_nothing_is_said() -> None:
    truth = torch.tensor([0] * 200 + [1] * 10)
    present = torch.tensor([True, False] * 100 + [True] * 10)
    right = torch.ones(210, dtype=torch.bool)
    bounded = linked_no_more(present, truth, right)
    assert bounded is not None
    assert bounded.value == pytest.approx(1.0)
    assert bounded.low < 1 - 10 / 210 * 100 / 210
    balanced = torch.tensor([0, 1] * 50)
    assert linked_no_more(balanced == 1, balanced, right[:100]) is None
    assert found(balanced, balanced, [cue(balanced == 1)]).unlinked is None


def test_a_class_that_always_has_a_cue_or_never_has_it_is_called_by_its_name() -> None:
    truth = torch.tensor([0] * 40 + [1] * 40)
    present = (truth == 1) & (torch.arange(80) % 2 == 0)
    predicted = torch.where(torch.arange(80) < 30, 1, truth)
    result = found(truth, predicted, [cue(present), cue(present, "water", verdict="inconclusive")])
    assert result.worst is not None
    assert (result.worst.name, result.worst.finding, result.worst.right) == ("husky", None, share(10, 40))
    names = [each.name for each in result.groups]
    assert sorted(names) == sorted(
        ["husky", "wolf with snow", "wolf without snow", "wolf with water", "wolf without water"]
    )


def test_undecided_cues_make_groups_but_no_accuracy_without_the_link() -> None:
    truth, present, predicted = world(300, ACCURACIES, 0.8, 3)
    both = found(truth, predicted, [cue(present), cue(~present, "ears", verdict="inconclusive")])
    assert {each.finding for each in both.groups} == {"snow", "ears"}
    assert both.worst is not None
    assert both.worst.finding == "snow"
    rejected = found(truth, predicted, [cue(present, verdict="not confirmed")])
    assert {each.finding for each in rejected.groups} == {None}
    assert rejected.unlinked is None


def test_a_group_far_below_the_others_keeps_its_own_count() -> None:
    truth, present, predicted = world(600, np.array([[0.98, 0.95], [0.2, 0.97]]), 0.85, 4)
    result = found(truth, predicted, [cue(present)])
    assert result.worst is not None
    assert result.worst.name == "wolf without snow"
    assert result.worst.right == result.groups[0].right


def test_pictures_that_were_not_answered_are_in_no_group() -> None:
    truth, present, predicted = world(300, ACCURACIES, 0.8, 5)
    predicted[:100] = -1
    assert sum(each.pictures for each in found(truth, predicted, [cue(present)]).groups) == 200
    assert sum(each.pictures for each in found(truth, predicted).groups) == 200


def test_few_pictures_have_no_worst_group() -> None:
    truth = torch.tensor([0, 1] * 4)
    result = found(truth, truth, [cue(truth == 1)])
    assert result.worst is None
    assert len(result.groups) == 2


def test_groups_by_doubtful_cues_are_shown_and_never_the_worst() -> None:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.integers(0, 2, 800))
    predicted = torch.where(torch.from_numpy(rng.random(800) < 0.8), truth, 1 - truth)
    right = predicted == truth
    doubtful = [cue(torch.from_numpy(rng.random(800) < 0.2), f"cue {k}", verdict="inconclusive") for k in range(3)]
    result = found(truth, predicted, doubtful)
    assert result.worst is not None
    lowest = min(float(right[truth == k].double().mean()) for k in (0, 1))
    assert (result.worst.finding, result.worst.right.value) == (None, pytest.approx(lowest))
    assert result.groups[0].right.value < lowest


def brightened(present: Tensor) -> Tensor:
    """Noise, whose darkest pixels are not so dark where the cue is."""
    noise = torch.rand(len(present), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.where(present[:, None, None, None], 0.4 + 0.6 * noise, noise)


def partly(present: Tensor, share: float) -> Tensor:
    return present ^ (torch.rand(len(present), generator=torch.Generator().manual_seed(1)) < share)


def test_a_cue_that_is_seen_in_part_is_seen_again_in_the_pictures_that_look_so() -> None:
    truth, present, predicted = world(600, ACCURACIES, 0.95, 6)
    exact = found(truth, predicted, [cue(present)])
    again = found(truth, predicted, [cue(partly(present, 0.1))], pixels=brightened(present))
    assert again == exact
    unseen = found(truth, predicted, [cue(partly(present, 0.1))])
    assert unseen != exact


def test_sorts_that_sway_the_network_less_than_the_cue_are_not_the_cue() -> None:
    truth, present, predicted = world(600, ACCURACIES, 0.8, 7)
    other = torch.rand(600, generator=torch.Generator().manual_seed(2)) < 0.5
    near = torch.where(torch.rand(600, generator=torch.Generator().manual_seed(3)) < 0.3, other, present)
    assert found(truth, predicted, [cue(near)], pixels=brightened(other)) == found(truth, predicted, [cue(near)])


def test_no_group_by_a_cue_that_is_only_seen_in_another_is_the_worst() -> None:
    truth, present, predicted = world(2000, np.array([[0.95, 0.6], [0.6, 0.95]]), 0.8, 8)
    chance = torch.rand(2000, generator=torch.Generator().manual_seed(4)) < 0.5
    wrong = (predicted != truth).nonzero()[:, 0]
    within = present & chance
    within[wrong[:15]] = ~within[wrong[:15]]
    both = found(truth, predicted, [cue(within, "grain"), cue(present)])
    assert both.worst is not None
    assert both.worst.finding == "snow"
    assert {each.finding for each in both.groups} == {"snow", "grain"}


def test_a_second_cue_that_sways_the_network_by_itself_counts() -> None:
    rng = np.random.default_rng(9)
    truth, first, second = (torch.from_numpy(rng.integers(0, 2, 2000)) for _ in range(3))
    chance = 0.9 - 0.1 * (first == 1).double() - 0.4 * (second == 1).double()
    right = torch.from_numpy(rng.random(2000)) < torch.where(truth == 0, chance, 0.95)
    predicted = torch.where(right, truth, 1 - truth)
    result = found(truth, predicted, [cue(first == 1, "grain"), cue(second == 1, "snow")])
    assert result.worst is not None
    assert result.worst.name == "husky with snow"


UNLIKE = np.array([[0.95, 0.95], [0.95, 0.6]])


def test_where_no_cue_is_confirmed_a_sort_of_pictures_that_is_answered_otherwise_may_be_the_worst() -> None:
    truth, present, predicted = world(600, UNLIKE, 0.5, 10)
    pixels = brightened(present)
    unnamed = found(truth, predicted, pixels=pixels)
    assert unnamed.worst is not None
    members = (truth == 1) & present
    assert unnamed.worst.right == share(int((predicted == truth)[members].sum()), int(members.sum()))
    assert (unnamed.worst.label, unnamed.worst.finding) == ("wolf", None)
    named = found(truth, predicted, [cue(partly(present, 0.1), verdict="not confirmed")], pixels=pixels)
    assert named.worst is not None
    assert (named.worst.name, named.worst.finding) == ("wolf with snow", "snow")
    assert named.worst.right == unnamed.worst.right
    opposite = found(truth, predicted, [cue(~partly(present, 0.1), verdict="not confirmed")], pixels=pixels)
    assert opposite.worst is not None
    assert opposite.worst.name == "wolf without snow"


def test_sorts_that_are_answered_alike_are_no_groups() -> None:
    told = 0
    for seed in range(10):
        truth, present, predicted = world(300, np.full((2, 2), 0.7), 0.5, seed)
        told += any(" with" in each.name for each in found(truth, predicted, pixels=brightened(present)).groups)
    assert told <= 2


RIGHT = np.array([[1.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("accuracies", "link", "doubtful"), [(RIGHT, 0.97, ("snow",)), (RIGHT, 0.8, ()), (ACCURACIES, 0.95, ())]
)
def test_a_cue_that_is_seldom_apart_from_its_class_and_hurts_nobody_there_is_doubtful(
    accuracies: np.ndarray, link: float, doubtful: tuple[str, ...]
) -> None:
    truth, present, predicted = world(600, accuracies, link, 3)
    assert found(truth, predicted, [cue(present)]).doubtful == doubtful
    assert found(truth, predicted, [cue(present, verdict="not confirmed")]).doubtful == ()
    made, finding = cue(present)
    for exact in (replace(made, kind="property"), replace(made, copied=True), replace(made, present=truth == 1)):
        assert found(truth, predicted, [(exact, finding)]).doubtful == ()


def test_doubtful_groups_are_not_the_worst_and_no_accuracy_without_the_link_comes_of_them() -> None:
    truth, present, predicted = world(600, RIGHT, 0.97, 3)
    told = found(truth, predicted, [cue(present)])
    assert told.unlinked is None
    assert told.worst is not None and told.worst.name in LABELS
    assert {each.finding for each in told.groups} == {"snow"}
