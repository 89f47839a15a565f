"""The page of an audit, and the twin beside it: what is said, how much, and of whom."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from audit_samples import edit, effect, facts, finding, noise, others, report
from report_opened import Opened
from report_samples import HOSTILE
from test_report_browser import CONTRASTS
from test_report_page import Tags
from train_reading import Cells

from cnnaudit.errors import CnnAuditError
from cnnaudit.report.auditing import page, twin
from cnnaudit.report.auditing.findings import CLASSES
from cnnaudit.report.auditing.opening import opening
from cnnaudit.results import Compared, CuePatch, Hurt, Presence, Share
from cnnaudit.training.metrics import share

Opener = Callable[..., Opened]


@cache
def whole() -> str:
    return " ".join(report().html().split())


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


# The answer


def test_the_answer_is_one_sentence() -> None:
    found = facts()
    assert opening(found).claim == "This network leans on snow to say wolf: confirmed"
    assert '<h1 class="claim long"><bdi>This network leans on snow to say wolf: confirmed</bdi></h1>' in whole()
    two = replace(found, findings=(finding(), finding(id="place-corner", name="a tag"), *others()))
    assert opening(two).claim == "This network leans on snow to say wolf, and on one other shortcut: confirmed"
    none = replace(found, findings=others())
    assert opening(none).claim == "No shortcut was confirmed among 4 cues tested"
    assert opening(replace(found, findings=others()[:1])).claim == "No shortcut was confirmed in the one cue tested"
    assert opening(replace(found, findings=())).claim == "No cue was found that could be tested"


def test_what_follows_are_accuracy_worst_group_and_what_a_person_must_say() -> None:
    said = " ".join(opening(facts()).sentences)
    assert "96.2 % of its answers to 2\u202f000 pictures of husky-wolf are right." in said.replace("\u202f%", " %")
    assert "Of husky with snow, 21.2" in said
    assert "One cue affects its answers" in said
    alone = opening(facts(findings=(), hurt=Hurt((), None, None))).sentences
    assert len(alone) == 1


def test_a_person_is_asked_only_of_cues_that_are_proved_to_do_something() -> None:
    doubted, none = others()[0], replace(others()[0], id="patch-8", severity="none")
    assert not any("a person must say" in each for each in opening(facts(findings=(none, *others()[1:]))).sentences)
    assert opening(facts(findings=(doubted, none))).sentences[-1].startswith("One cue affects its answers")
    low = replace(doubted, id="patch-9", severity="low")
    assert opening(facts(findings=(doubted, none, low))).sentences[-1].startswith("2 cues affect its answers")


def test_where_cue_and_class_are_never_apart_the_edits_speak() -> None:
    hurt = Hurt((), None, None, ("patch-3",))
    [effect] = [each for each in finding().effects if each.operation == "insert"]
    said = " ".join(opening(facts(hurt=hurt)).sentences)
    assert (
        f"hardly ever apart from wolf in them; where it was put into {effect.pictures} others, {effect.flips}" in said
    )
    untested = finding(effects=(), strongest=None)
    assert "no picture tells" in " ".join(opening(facts(hurt=hurt, findings=(untested,))).sentences)


# Findings


def test_confirmed_comes_first_then_what_a_person_must_judge_then_the_rest_in_a_table() -> None:
    view = page.view(facts())
    assert [each.facts.id for each in view.proved] == ["patch-3"]
    assert [each.facts.id for each in view.unsettled] == ["patch-7"]
    assert [each.facts.id for each in view.tested] == ["place-border", "property-brightness", "attribution-1"]
    rows = Cells(report().html()).rows("tested")
    assert rows[1][-6:] == ["put in", "+0.001", "+0.002", "−0.001 (−0.06 to +0.05)", "0.94", "412"]
    assert "could not be edited" in text(whole())


def test_an_effect_stands_beside_its_placebo_on_one_scale() -> None:
    view = page.view(facts())
    row = view.proved[0].effects[0]
    assert (row.effect.says, row.effect.interval) == ("+0.61", "+0.55 to +0.66")
    assert (row.placebo.says, row.difference.says) == ("+0.03", "+0.58")
    assert (row.pictures, row.p, row.is_strongest) == ("412 pictures", "< 0.001", True)
    assert "268 become wolf; 9 by the placebo" in row.flips
    few = replace(view.proved[0].facts.effects[0], donors=7)
    edited = replace(facts(), findings=(replace(view.proved[0].facts, effects=(few,)),))
    assert page.view(edited).proved[0].effects[0].pictures == "412 pictures (the cue is taken from 7)"
    assert row.effect.low < row.effect.at < row.effect.high
    assert row.placebo.low < view.zero < row.placebo.high
    again = view.unsettled[0].effects[0]
    assert again.effect.at < view.zero


def test_every_operation_has_a_picture_before_and_after_with_its_probabilities() -> None:
    shown = page.view(facts()).proved[0].edits
    assert [each.done for each in shown] == ["snow put in", "snow taken out", "snow put in", "snow taken out"]
    assert [state.probability.replace("\u202f", " ") for state in shown[0].states] == ["12 %", "85 %", "14 %"]


def test_presence_has_the_finding_s_class_first_where_there_are_many() -> None:
    many = tuple(Presence(f"class {k}", 10, k % 10, share(1, 2), None) for k in range(40))
    view = page.view(facts(findings=(finding(label="class 20", presence=many),)))
    rows = view.proved[0].presence
    assert (rows[0].label, len(rows), view.proved[0].left_out) == ("class 20", CLASSES, 40 - CLASSES)
    assert rows[0].right_without is None


def test_a_cue_that_could_not_be_edited_says_so() -> None:
    found = replace(others()[3], verdict="inconclusive", severity="low")
    assert "nothing is proved" in report(findings=(found,)).html()


# The rest


def test_groups_have_their_accuracy_and_the_worst_is_marked() -> None:
    view = page.view(facts())
    assert [row.is_worst for row in view.groups] == [True, False, False, False, False]
    assert [row.undecided for row in view.groups] == [False, False, True, False, False]
    assert "cannot be told" in text(report(hurt=Hurt((), None, None)).html())


def test_cues_that_are_seldom_apart_from_their_class_are_named() -> None:
    def said(*doubtful: str) -> str:
        return text(report(hurt=replace(facts().hurt, doubtful=doubtful)).html())

    assert "Snow is seldom seen apart from its class: in the few pictures where it seems to be" in said("patch-3")
    assert "Snow and pointed ears are seldom seen apart from their classes" in said("patch-3", "patch-7")
    assert "seldom seen apart" not in said()


def test_what_is_not_there_is_not_shown() -> None:
    small = facts(slices=(), problems=(), robustness=(), unread=(), skipped={}, notes=(), findings=(), classes=())
    html = report(**{name: getattr(small, name) for name in small.__slots__}).html()
    for name in ("slices", "problems", "robustness", "compared", "left-out"):
        assert f'id="{name}"' not in html
        assert f'href="#{name}"' not in html


def test_the_contents_lead_to_every_section() -> None:
    tags = Tags(report(compared=Compared(("snow is new",), (), (), ())).html()).tags
    links = [str(each["href"]) for tag, each in tags if tag == "a"]
    ids = [str(each["id"]) for _, each in tags if "id" in each]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert len(links) == 8
    assert len(ids) == len(set(ids))


def test_what_becomes_of_pairs_that_swap_the_cue_is_said() -> None:
    assert (
        "Of 400 pairs drawn at random, one of wolf with it and one of another class without it, both answers change "
        "sides in 75.0 % (70.5 to 79.0 %) when it is taken out of the one and put into the other; with the placebos in "
        "1.0 %."
    ) in text(whole())


def test_problems_and_slices_have_their_pictures_and_names() -> None:
    said = text(whole())
    assert "husky/0004.png ( husky ), wolf/0005.png ( wolf )" in said
    assert "huskies that look like wolves on snow" in said
    assert "92.3 % have “ snow ” (confirmed), elsewhere 5.0 %." in said
    assert "The file is cut off after 812 of 20,112 bytes." in said


def test_foreign_strings_stay_strings() -> None:
    hostile = finding(
        name=HOSTILE, label=HOSTILE, claim=HOSTILE, evidence=(HOSTILE,), concerned=(HOSTILE,),
        edits=(replace(edit(0, "insert"), name=HOSTILE),), presence=(Presence(HOSTILE, 2, 1, share(1, 1), None),),
    )  # fmt: skip
    html = report(
        findings=(hostile, replace(hostile, verdict="not confirmed")), dataset=HOSTILE, notes=(HOSTILE,)
    ).html()
    assert "<script>alert" not in html
    assert html.count("<script>") == 1


def test_a_number_that_is_not_finite_is_refused() -> None:
    broken = finding(effects=(effect(value=float("nan")),))
    with pytest.raises(CnnAuditError):
        report(findings=(broken,)).html()
    with pytest.raises(CnnAuditError):
        report(accuracy=Share(1, 2, float("inf"), 0.0, 1.0)).json()


def test_fifteen_findings_of_noise_stay_below_five_megabytes() -> None:
    shots = [noise(224, seed) for seed in range(8)]
    each = finding(
        patches=tuple(CuePatch("p", shot) for shot in shots),
        edits=tuple(
            replace(edit(0, "insert"), before=shots[k], after=shots[k + 1], placebo=shots[k + 2]) for k in range(6)
        ),
    )
    found = tuple(replace(each, id=f"patch-{k}") for k in range(15))
    assert len(report(findings=found).html().encode()) < 5_000_000  # noise is what no format makes small


def test_signals_are_lines_and_tiny_pictures_keep_their_pixels() -> None:
    signal, tiny = np.arange(40, dtype=np.uint8).reshape(1, 40, 1), noise(8, 0)
    both = tuple(CuePatch("p", pixels) for pixels in (signal, tiny))
    edits = (replace(edit(0, "insert"), before=signal, after=signal, placebo=signal),)
    html = report(findings=(finding(patches=both, edits=edits),)).html()
    assert html.count("<polyline") == 4
    assert 'class="squares" src="data:image/png' in html


# The twin


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_the_twin_has_a_row_a_finding() -> None:
    record = json.loads(report().json())
    assert record["findings"][0] == {
        "id": "patch-3", "kind": "patch", "claim": finding().claim, "severity": "high", "verdict": "confirmed",
        "effect": 0.61, "ci95": [0.55, pytest.approx(0.66)], "placebo": 0.03, "p_adjusted": 2e-4, "n": 412,
        "evidence": list(finding().evidence),
    }  # fmt: skip
    assert record["findings"][-1]["effect"] is None
    assert [each["id"] for each in record["findings"]] == [each["id"] for each in twin.findings(facts())]


def test_the_twin_has_all_numbers_and_no_pictures() -> None:
    text = report().json()
    record = json.loads(text)["audit"]
    found = set(numbers(record))
    for each in (0.941, 1.32, 0.123, 0.847, 0.141, 268, 9, 2e-9, 411 / 500, 1311 / 2000):
        assert any(abs(each - value) < 1e-12 for value in found), each
    assert record["findings"][0]["edits"][0]["name"] == "husky/0000.png"
    assert record["opening"]["claim"].startswith("This network leans on snow")
    assert "numbers" not in text
    assert len(text) < 100_000


def test_the_same_audit_gives_the_same_bytes() -> None:
    assert report().html() == report().html()
    assert report().json() == report().json()


# In a browser


CUT_OFF = "name => (box => box.scrollWidth - box.clientWidth)(document.querySelector(name).parentElement)"


def test_nothing_is_fetched_nothing_complained_about_nothing_sticks_out(open_page: Opener) -> None:
    opened = open_page(report())
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in (360, 390, 768, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        assert opened.evaluate(CUT_OFF, ".robustness") <= 0, width
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Opener, scheme: str) -> None:
    opened = open_page(report(), color_scheme=scheme)
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert [text for ratio, text in opened.evaluate(CONTRASTS) if ratio < 4.5] == []


def test_the_table_of_cues_can_be_sorted_and_read_without_a_script(open_page: Opener) -> None:
    opened = open_page(report())
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    names = (
        "[...document.querySelectorAll('.tested')[0].tBodies[0].rows].map(row => row.querySelector('b').textContent)"
    )
    before = opened.evaluate(names)
    opened.page.locator(".tested button", has_text="AUC").first.click()
    after = opened.evaluate(names)
    assert sorted(before) == sorted(after)
    assert after[-1] == "a border"
    still = open_page(report(), java_script_enabled=False)
    assert still.page.locator(".finding h3").first.is_visible()
    assert still.page.locator(".tested button").count() == 0
