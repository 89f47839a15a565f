"""The section of ablation: its claims, its axis, and its twin."""

from dataclasses import replace

import pytest

from cnnaudit.inspection.claims import claim
from cnnaudit.report.html import _environment
from cnnaudit.report.inspection import ablation
from cnnaudit.report.plain import plain
from cnnaudit.results import Ablation, Change, Loss, Meaning, Share, UnitAblation

FIRES = "Channel 37 of conv4 fires on snow; without it, "
SNOW = Meaning("snow", Share(9, 9, 1.0, 0.7, 1.0), 0.3, True)


def share(right: int) -> Share:
    return Share(right, 100, right / 100, max(0.0, right / 100 - 0.05), min(1.0, right / 100 + 0.05))


def loss(label: str | None, before: int, after: int) -> Loss:
    value = (after - before) / 100
    change = Change(value, value - 0.1, value + 0.08)
    lost, won = max(0, before - after), max(0, after - before)
    odds = None if label is None else change
    return Loss(label, share(before), share(after), change, lost, won, 0.001, 0.5, odds, odds, 3.31, 0.001)


def facts(
    *classes: Loss,
    hurt: int | None = None,
    doubted: int | None = None,
    meaning: Meaning | None = None,
    labelled: bool = True,
) -> Ablation:
    said = claim("conv4", 37, classes, hurt, doubted, meaning, labelled=labelled)
    unit = UnitAblation(37, 0.2, 1.5, loss(None, 98, 80), classes, hurt, doubted, meaning, said)
    return Ablation("conv4", 128, 200, labelled, True, (unit,), ())


def page(found: Ablation) -> str:
    module = _environment().get_template("inspect_ablation.jinja").module
    return str(module.section_of(ablation.view(found)))  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("hurt", "meaning", "labelled", "says"),
    [
        (
            1,
            SNOW,
            True,
            f"{FIRES}the recall of wolf falls from 97\u202f% to 61\u202f%.",
        ),
        (1, None, True, "Without channel 37 of conv4, the recall of wolf falls from 97\u202f% to 61\u202f%."),
        (0, None, True, "Without channel 37 of conv4, the recall of husky rises from 90\u202f% to 99\u202f%."),
        (1, None, False, "Without channel 37 of conv4, only 61\u202f% of the answers “wolf” stay."),
    ],
)
def test_claims(hurt: int | None, meaning: Meaning | None, labelled: bool, says: str) -> None:
    found = facts(loss("husky", 90, 99), loss("wolf", 97, 61), hurt=hurt, meaning=meaning, labelled=labelled)
    assert found.units[0].claim == says
    assert says in page(found)


def test_a_unit_that_changes_nothing_is_one_line_of_a_closed_table() -> None:
    quiet = facts(loss("husky", 90, 91), loss("wolf", 97, 97), meaning=SNOW).units[0]
    assert quiet.claim == f"{FIRES}no recall and no log-odds change much by more than chance."
    loud = facts(loss("husky", 90, 91), loss("wolf", 97, 61), hurt=1).units[0]
    chosen = replace(quiet, chosen_for="wolf")
    text = page(Ablation("conv4", 128, 200, True, True, (loud, chosen), ()))
    assert text.count('<tr class="claimed">') == 1 and "<details class" in text
    assert "More channels and groups without which nothing changes by more than chance: 1" in text
    assert "channel 37 of conv4, firing on snow</th><td><bdi>wolf</bdi></td><td>−18 (−28 to −10)</td>" in text
    alone = page(Ablation("conv4", 128, 200, True, True, (chosen,), ()))
    assert '<table class="ablated">' not in alone and "Drawn is" not in alone


def test_a_tiny_change_of_log_odds_is_not_written_as_none() -> None:
    tiny = replace(loss("husky", 90, 60), odds=Change(-2e-3, -3.14159e-3, -1e-3))
    assert ablation.view(facts(tiny, hurt=0)).rows[0].lines[1].odds == "−0.002 (−0.00314 to −0.001)"


def test_columns_that_would_be_empty_are_left_out() -> None:
    single = [replace(loss(name, 90, 60), odds=None, logit=None) for name in ("husky", "wolf")]
    text = page(facts(*single, hurt=1))
    assert "log-odds</th>" not in text and "logit</th>" not in text and 'colspan="6"' in text
    assert 'colspan="8"' in page(facts(loss("husky", 90, 60), hurt=0))


def test_where_recall_stays_the_log_odds_speak() -> None:
    found = facts(loss("husky", 100, 100), loss("wolf", 100, 96), doubted=1, meaning=SNOW)
    assert found.units[0].claim == f"{FIRES}the mean log-odds of wolf in its pictures fall from 3.31 to 3.27."
    view = ablation.view(found)
    assert view.draws_odds
    assert [line.whisker is None for line in view.rows[0].lines] == [True, False, False]
    assert view.rows[0].lines[2].odds == "−0.04 (−0.14 to +0.04)"


def test_the_axis_holds_all_intervals_and_zero() -> None:
    view = ablation.view(facts(loss("husky", 90, 91), loss("wolf", 97, 61), hurt=1))
    whiskers = [line.whisker for line in view.rows[0].lines if line.whisker]
    assert len(whiskers) == 3
    assert all(0 <= each.low <= each.at <= each.high <= 100 for each in whiskers)
    assert 0 <= view.zero <= 100
    wolf = view.rows[0].lines[2]
    assert (wolf.change, wolf.is_named) == ("−36 (−46 to −28)", True)
    assert not view.draws_odds
    assert wolf.answers == "36 / 0 / 100"


def test_of_many_classes_those_that_change_most_are_shown() -> None:
    view = ablation.view(facts(*(loss(f"class {n}", 90, 90 - n) for n in range(10)), hurt=9))
    lines = view.rows[0].lines
    assert [line.label for line in lines] == [None, "class 9", "class 8", "class 7", "class 6"]
    assert view.rows[0].left_out == 6
    assert "6 other classes change less" in page(facts(*(loss(f"class {n}", 90, 90 - n) for n in range(10)), hurt=9))


def test_the_twin_has_every_class() -> None:
    record = plain(ablation.twin(facts(*(loss(f"class {n}", 90, 90 - n) for n in range(10)), hurt=9, meaning=SNOW)))
    unit = record["units"][0]
    assert len(unit["classes"]) == 10
    assert unit["classes"][9]["change"]["value"] == pytest.approx(-0.09)
    assert unit["meaning"]["part"] == "snow"
    assert unit["claim"].startswith("Channel 37")
