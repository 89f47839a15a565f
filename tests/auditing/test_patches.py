"""Recurring patches from end to end: networks that use what was planted, and networks that do not."""

import math

import numpy as np
import pytest
import torch
from made_up import clouds
from model_state import differences, model_state
from tagged_pictures import Breaking, Reddish, asked, discs, grey, tag, tagged
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.auditing import interventions, patches
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.backgrounds import background_cues
from cnnaudit.auditing.candidates import Candidate
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.judging import judged
from cnnaudit.auditing.patches import patch_cues
from cnnaudit.data import scenes
from cnnaudit.data.splits import Split
from cnnaudit.errors import ModelError
from cnnaudit.results import AuditFinding

SLOPE, BIAS = 400.0, -3.0
RED = 18 * 0.6 + 18 * 0.3
"""What a tag adds to the sum over pixels of relu(r - g - b - 0.3)."""


def findings(given: Asked) -> list[AuditFinding]:
    return [finding for _, finding in judged(given, interventions.tested(given, patch_cues(given)))]


def rare_tags(*, size: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Grey pictures of two classes, and where one of twenty of the second class has a tag."""
    truth = torch.arange(400) % 2
    present = (truth == 1) & (torch.arange(400) % 40 == 1)
    return tagged(grey(400, size=size), present)[0], truth, present


@pytest.mark.slow
def test_a_rare_tag_is_confirmed_with_the_effect_that_the_formula_says_and_twice_the_same() -> None:
    pixels, truth, present = rare_tags()
    net = Reddish(slope=SLOPE, bias=BIAS).train()
    before = model_state(net)
    first, again = (findings(asked(net, pixels, truth)) for _ in range(2))
    assert differences(before, model_state(net)) == []
    found = first[0]
    assert (found.verdict, found.nature, found.label, found.kind) == ("confirmed", "shortcut", "tagged", "patch")
    assert found.id.endswith("-tagged") and found.present == 10
    assert set(found.concerned) == {f"{k:03}.png" for k in present.nonzero().squeeze(1).tolist()}
    inserted = next(each for each in found.effects if each.operation == "insert")
    without, with_tag = (1 / (1 + math.exp(-BIAS - SLOPE * red / 24**2)) for red in (0, RED))
    assert inserted.effect.value == pytest.approx(with_tag - without, abs=1e-5)
    assert inserted.placebo.value == pytest.approx(0, abs=1e-6)
    assert (inserted.flips, inserted.placebo_flips) == (inserted.pictures, 0)
    assert [(each.id, each.claim, each.effects) for each in first] == [
        (each.id, each.claim, each.effects) for each in again
    ]
    for one, other in zip(found.edits, again[0].edits, strict=True):
        assert all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("after", "placebo"))


@pytest.mark.slow
@pytest.mark.parametrize("linked", [True, False])
def test_tags_that_a_network_does_not_use_and_the_object_that_it_uses_are_not_confirmed(linked: bool) -> None:
    """It tells classes by red or blue objects in the middle; blue tags go with the red class, or with none."""
    truth = torch.arange(200) % 2
    draw = torch.rand(200, generator=torch.Generator().manual_seed(1))
    present = draw < torch.where(truth == 1, 0.95, 0.05) if linked else draw < 0.5
    bare, _ = discs(200, truth)
    pixels, _ = tagged(bare, present, patch=tag().flip(0))
    given = asked(Reddish(), pixels, truth)
    assert float((given.survey.predicted == truth).float().mean()) > 0.95
    found = findings(given)
    assert [each.claim for each in found if each.verdict == "confirmed"] == []
    of_object = [each for each in found if each.nature == "object" and each.effects]
    assert any(abs(effect.difference.value) > 0.3 for each in of_object for effect in each.effects)


@pytest.mark.parametrize(
    ("network", "pixels"),
    [
        pytest.param(Reddish(), torch.full((40, 3, 16, 16), 0.5), id="without an edge"),
        pytest.param(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), clouds(40, size=8, channels=1), id="8 by 8, grey"),
        pytest.param(Reddish(), clouds(3, size=16), id="three pictures"),
    ],
)
def test_pictures_and_networks_of_which_little_can_be_said(network: nn.Module, pixels: Tensor) -> None:
    found = findings(asked(network, pixels, torch.arange(len(pixels)) % 2))
    assert [each for each in found if each.verdict == "confirmed"] == []
    assert all(each.attribution is None for each in found if isinstance(network, nn.Sequential))


def test_a_label_becomes_a_part_of_an_id() -> None:
    truth = torch.arange(40) % 2
    given = asked(Reddish(), discs(40, truth)[0], truth)
    given.classifier.labels = ("grey wolf", "Sled (Dog)")
    ids = [cue.id for cue in patch_cues(given)]
    assert ids and all(each.endswith(("-grey-wolf", "-sled-dog")) for each in ids)


@pytest.mark.parametrize("forwards", [1, 4])
def test_a_network_that_raises_in_the_middle_is_left_as_it_was(forwards: int) -> None:
    truth = torch.arange(60) % 2
    net = Breaking().train()
    given = asked(net, discs(60, truth)[0], truth)
    net.left = iter(range(forwards))
    before = model_state(net)
    with pytest.raises(ModelError, match="broken on purpose"):
        findings(given)
    assert differences(before, model_state(net)) == []


def drawn(count: int = 200) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Scenes, their classes, where the animal is, and what is behind it."""
    made = list(scenes.generate(count, correlation=0.95, seed=11))
    truth = torch.tensor([scenes.LABELS.index(each.label) for each in made])
    return (
        torch.stack([each.pixels for each in made]),
        truth,
        torch.stack([each.mask for each in made]),
        [each.background for each in made],
    )


@pytest.mark.slow
def test_snow_is_the_first_thing_that_is_said_of_huskies_and_wolves() -> None:
    pixels, truth, _, behind = drawn()
    report = ca.audit(ca.load("husky-wolf", device="cpu"), Split(pixels.mul(255).round().byte(), truth))
    assert report.audit is not None and report.audit.skipped == {}
    first = report.audit.findings[0]
    assert (first.verdict, first.nature) == ("confirmed", "shortcut")
    assert "before the background" in " ".join(first.evidence)
    snowy = [behind[int(name)] == "snow" for name in first.concerned]
    share = sum(snowy) / len(snowy)
    assert share > 0.9 if first.label == "wolf" else share < 0.1


@pytest.mark.slow
def test_nothing_is_confirmed_of_the_network_that_looks_at_the_animal() -> None:
    pixels, truth, _, _ = drawn()
    report = ca.audit(ca.load("husky-wolf-fair", device="cpu"), Split(pixels.mul(255).round().byte(), truth))
    assert report.audit is not None
    assert [each.claim for each in report.audit.findings if each.verdict == "confirmed"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "leans"), [("husky-wolf", True), ("husky-wolf-fair", False)])
def test_with_masks_the_background_as_a_whole_tells_the_two_apart(name: str, leans: bool) -> None:
    pixels, truth, masks, _ = drawn()
    net = ca.load(name, device="cpu")
    given = asked(net.network, pixels, truth, masks=masks)
    given = Asked(net, given.pictures, given.survey, 0, given.told)
    found = [finding for _, finding in judged(given, interventions.tested(given, background_cues(given)))]
    assert [each.id for each in found if each.kind == "background"] != []
    assert any(each.verdict == "confirmed" for each in found) == leans
    assert all(each.association > 0.8 for each in found)  # a tool that only correlates would accuse both


def tried(kinds: set[int], pictures: int, effect: float, *, area: float = 0.5) -> patches._Tried:
    present = np.arange(100) < pictures
    candidate = Candidate(
        min(kinds), frozenset(kinds), lambda _: np.zeros((1, 1), bool), False, 0, present, ~present,
        0.9, 9.0, area, 0.5, 1.0,
    )  # fmt: skip
    cue = Cue(f"patch-{min(kinds)}", "patch", "", 0, torch.from_numpy(present), 0.9, lambda *_: None, area=area)
    return patches._Tried(candidate, cue, effect, effect * pictures / 100)


def test_rare_parts_that_do_as_much_as_the_whole_are_chosen_beside_it() -> None:
    whole, often = tried({1, 2, 3, 4, 5}, 90, 0.5), tried({1, 2, 3, 4}, 85, 0.5, area=0.6)
    rare, rarer, weak = tried({1, 2}, 40, 0.48), tried({3}, 20, 0.46), tried({4}, 10, 0.3)
    within, other = tried({1}, 45, 0.49), tried({9}, 50, 0.1)
    chosen = patches._chosen([whole, often, rare, rarer, weak, within, other], 0)
    assert chosen == [whole, rarer, rare, other]
