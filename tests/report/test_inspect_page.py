"""The page of an inspection: its frame, its opening, its contents, and the twin beside it."""

import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from test_report_page import Tags
from torch import nn
from train_reading import Cells

from cnnaudit import Classifier, inspect_model
from cnnaudit.data.splits import Split
from cnnaudit.errors import CnnAuditError
from cnnaudit.inspection import summarize
from cnnaudit.models import ARCHITECTURES
from cnnaudit.report import decode_heatmap
from cnnaudit.report.inspection import page
from cnnaudit.report.inspection.opening import opening
from cnnaudit.report.training import layers
from cnnaudit.results import (
    Change,
    DeadUnits,
    EffectiveField,
    EffectiveFields,
    InspectionFacts,
    Meaning,
    ReceptiveField,
    Report,
    Share,
    UnitAblation,
)

HOSTILE = '</style><script>alert("x")</script>'


def classifier(*, channels: int = 3) -> Classifier:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2),
    )  # fmt: skip
    return Classifier(network, input_size=(20, 24), labels=("cat", "dog"), channels=channels, name="small")


@cache
def whole() -> Report:
    rng = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (24, 3, 20, 24), generator=rng, dtype=torch.uint8)
    return inspect_model(classifier(), data=Split(images, torch.arange(24) % 2))


def facts(of: Report) -> InspectionFacts:
    assert of.inspection is not None
    return of.inspection


def changed(**changes: object) -> Report:
    return replace(whole(), inspection=replace(facts(whole()), **changes))  # type: ignore[arg-type]


def test_the_contents_lead_to_every_section_in_the_order_of_the_page() -> None:
    html = whole().html()
    tags = Tags(html).tags
    links = [each["href"] for tag, each in tags if tag == "a"]
    places = [each["id"] for tag, each in tags if tag == "div" and each.get("id") in {*page.SECTIONS, "layers"}]
    assert links == [f"#{place}" for place in places]
    assert places == ["layers", *(name for name in page.SECTIONS if getattr(facts(whole()), name) is not None)]


def test_ids_are_given_once() -> None:
    ids = [str(each["id"]) for _, each in Tags(whole().html()).tags if "id" in each]
    assert sorted(ids) == sorted(set(ids))


def test_the_table_has_memory_and_all_of_the_receptive_field() -> None:
    rows = Cells(whole().html()).rows("layers")
    assert rows[0][2] == "kernel / stride / padding"
    assert rows[0][-4:] == ["multiply-adds", "memory", "receptive field / jump / offset", "dead units"]
    deeper = rows[4]
    assert deeper[:3] == ["3", "Conv2d", "3 × 3 / 1 / 0"]
    assert deeper[-3:-1] == ["1.51 kB", "8 × 8 / 2 / 3.5"]


def test_sides_that_differ_are_both_given_and_dilations_where_there_are_any() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, (3, 5), stride=(1, 2), dilation=(2, 1)), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 20, 24))
    clf = Classifier(network, input_size=(20, 24), labels=("cat", "dog"), channels=3, name="small")
    first = layers.table(summarize(clf), detailed=True).rows[0]
    assert (first.window, first.seen) == ("3 × 5 / 1 × 2 / 0 / 2 × 1", "5 × 5 / 1 × 2 / 2")


def test_sentences_are_apart() -> None:
    text = re.sub(r"<[^>]*>", "", " ".join(re.findall(r"<p class=.*?</p>", whole().html(), re.DOTALL)))
    assert re.findall(r".{20}[a-z)][.;:][A-Z].{20}", text) == []


def test_a_signal_s_table_has_one_number_where_a_picture_s_has_two() -> None:
    clf = Classifier(ARCHITECTURES["mnist1d-cnn"](), input_size=(1, 40), channels=1)
    rows = {row.name: row for row in layers.table(summarize(clf), detailed=True).rows}
    assert rows["conv3"].seen == "15 / 8 / 7"


def test_a_signal_s_input_is_in_values() -> None:
    model = replace(whole().model, input_size=(1, 40))
    html = replace(whole(), model=model).html()
    assert "<dd>40 values</dd>" in html and "of the input, in values;" in html
    assert "<dd>20 × 24 pixels</dd>" in whole().html()


def test_dead_units_are_counted_in_the_table() -> None:
    dead = {"0": DeadUnits("0", "1", 4, (2,), 24), "3": DeadUnits("3", "4", 6, (), 24)}
    rows = Cells(changed(dead_units=dead).html()).rows("layers")
    assert [row[-1] for row in rows] == ["dead units", "1 of 4", "", "", "0", "", "", "", "", "1 of 10"]
    assert "1 of its 10 units is dead" in changed(dead_units=dead).html()


def test_without_a_sure_unit_the_opening_is_the_network_s_size() -> None:
    assert opening(replace(facts(whole()), ablation=None)).claim is None
    assert "has 348 parameters in" in " ".join(changed(ablation=None).html().split())


def test_a_sure_unit_s_claim_opens_the_page_one_with_a_meaning_before_others() -> None:
    found = facts(whole()).ablation
    assert found is not None
    one = replace(found.units[0], hurt=None, meaning=None)
    two = replace(one, unit=one.unit + 1)
    unsure = replace(found, units=(one, two))
    assert opening(replace(facts(whole()), ablation=unsure)).claim is None
    sure = replace(found, units=(one, replace(two, hurt=0, claim="Without channel 5, the recall of dog falls.")))
    report = changed(ablation=sure)
    assert '<h1 class="claim long"><bdi>Without channel 5, the recall of dog falls</bdi></h1>' in report.html()
    assert json.loads(report.json())["inspection"]["opening"]["claim"] == "Without channel 5, the recall of dog falls"


def test_the_unit_that_a_class_needs_most_is_named_where_it_is_known_what_it_fires_on() -> None:
    found = facts(whole()).ablation
    assert found is not None

    def unit(channel: int, place: int, change: float, sure: bool) -> UnitAblation:
        loss = replace(found.units[0].classes[place], odds=Change(change, change - 0.1, change + 0.1))
        classes = tuple(loss if i == place else each for i, each in enumerate(found.units[0].classes))
        meaning = Meaning("snow", Share(9, 9, 1.0, 0.7, 1.0), 0.2, sure)
        return replace(
            found.units[0], unit=channel, classes=classes, doubted=place, meaning=meaning, claim=f"Channel {channel}."
        )

    units = (unit(0, 0, -0.9, False), unit(1, 0, -0.2, True), unit(2, 0, -0.4, True), unit(3, 1, 0.5, True))
    said = opening(replace(facts(whole()), ablation=replace(found, units=units))).sentences
    assert [each for each in said if each.startswith("Channel")] == ["Channel 2."]
    units = (*units, unit(4, 1, -0.5, True))
    said = opening(replace(facts(whole()), ablation=replace(found, units=units))).sentences
    assert [each for each in said if each.startswith("Channel")] == ["Channel 4.", "Channel 2."]


def test_what_is_left_out_is_named_with_its_reason() -> None:
    html = changed(embedding=None, skipped={"embedding": "It has <no> last layer.", "dead_units": "None."}).html()
    assert "Not shown" in html
    assert "It has &lt;no&gt; last layer." in html
    assert "<dt>Dead units</dt>" in html
    assert 'href="#embedding"' not in html


def test_foreign_strings_stay_strings() -> None:
    report = changed(dataset=HOSTILE, notes=(HOSTILE,), skipped={"embedding": HOSTILE})
    report = replace(report, model=replace(report.model, name=HOSTILE))
    html = report.html()
    assert "<script>alert" not in html
    assert html.count("<script>") == 1


def test_every_number_is_finite_or_it_is_said() -> None:
    fields = facts(whole()).fields
    assert fields is not None
    broken = replace(fields.fields[0], share=float("nan"))
    with pytest.raises(CnnAuditError):
        changed(fields=replace(fields, fields=(broken,))).html()


# Where layers look


def field(strength: np.ndarray, **others: object) -> EffectiveField:
    made = EffectiveField(
        layer="conv", position=(3, 3), exact=ReceptiveField((5, 30), (1.0, 1.0), (0.0, 0.0)), extent=(1, 0, 5, 23),
        strength=strength.astype(np.float32), box=(2, 4, 4, 9), spread=(1.0, 2.0), share=0.25, pictures=3,
    )  # fmt: skip
    return replace(made, **others)  # type: ignore[arg-type]


def drawn(*fields: EffectiveField, photo: bool = True) -> str:
    pixels = np.full((3, 20, 24), 0.5, np.float32) if photo else None
    return " ".join(changed(fields=EffectiveFields(fields, 0.95, "3 pictures", pixels)).html().split())


def test_frames_and_words_say_what_was_found() -> None:
    html = drawn(field(np.eye(20, 24)))
    assert '<rect class="outer" x="0" y="1" width="24" height="5"/>' in html
    assert '<rect class="inner" x="4" y="2" width="6" height="3"/>' in html
    assert "can see 5 × 30, cut off at the edges" in html
    assert "looks at 3 × 6; 25 % of what it can see" in html


def test_a_position_that_is_off_has_no_dashed_frame() -> None:
    html = drawn(field(np.zeros((20, 24)), box=None, share=0.0))
    assert 'class="inner"' not in html
    assert "changes with nothing" in html


def test_a_signal_has_values_and_no_rows() -> None:
    html = drawn(field(np.ones((1, 24)), exact=ReceptiveField((1, 7), (0.0, 2.0), (0.0, 3.0)), box=(0, 4, 0, 9)))
    assert "can see 7" in html and "looks at 6;" in html
    assert "for a value from 0 to 1" in html


def test_fields_are_drawn_without_a_photo_too() -> None:
    assert "The photo lies underneath" in drawn(field(np.eye(20, 24)))
    assert "The photo lies underneath" not in drawn(field(np.eye(20, 24)), photo=False)


def test_the_twin_has_the_strengths() -> None:
    made = field(np.linspace(0, 2, 480).reshape(20, 24))
    report = changed(fields=EffectiveFields((made,), 0.95, "3 pictures", None))
    record = json.loads(report.json())["inspection"]["fields"]["layers"][0]
    assert decode_heatmap(record["strength"]) == pytest.approx(made.strength, abs=1e-4)
    assert (record["extent"], record["box"], record["share"]) == ([1, 0, 5, 23], [2, 4, 4, 9], 0.25)
    assert record["display_limit"] == pytest.approx(2, rel=0.02)
