"""All sections together: what is made, what is left out and why, and that the network stays as it was."""

import json
import sys
from pathlib import Path

import pytest
import torch
from model_state import differences, model_state
from torch import nn

import cnnaudit as ca
from cnnaudit import Classifier, hooks
from cnnaudit.errors import CnnAuditError, LayerError, OptionError
from cnnaudit.inspecting import SECTIONS, running
from cnnaudit.inspection.failing import arose_in
from cnnaudit.report.inspection.page import SECTIONS as SHOWN
from cnnaudit.results import InspectionFacts, Report

sys.path.append(str(Path(__file__).parents[1] / "training"))
import toys


def classifier() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip
    return Classifier(network, input_size=(8, 8), labels=toys.LABELS, channels=1, name="small")


def facts(report: Report) -> InspectionFacts:
    assert report.inspection is not None
    return report.inspection


def test_with_pictures_everything_is_made_and_the_network_stays_as_it_was() -> None:
    asked = classifier()
    before, random = model_state(asked.network), torch.get_rng_state()
    report = ca.inspect_model(asked, data=toys.dataset(), seed=3)
    assert differences(before, model_state(asked.network)) == []
    assert torch.equal(random, torch.get_rng_state())
    found = facts(report)
    assert found.skipped == {}
    assert all(getattr(found, name) is not None for name in SECTIONS)
    assert (report.kind, found.dataset, found.pictures, report.run.seed) == ("inspect", "toy", 60, 3)


def test_every_section_is_on_the_page_and_in_the_twin(tmp_path: Path) -> None:
    page = ca.inspect_model(classifier(), data=toys.dataset()).save(tmp_path / "page.html")
    html, twin = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    for name in SECTIONS:
        assert twin["inspection"][name]
    for name in SHOWN:
        assert f'<div id="{name}">' in html
        assert f'<a href="#{name}">' in html
    assert twin["inspection"]["architecture"]["parameters"] == sum(p.numel() for p in classifier().network.parameters())


def test_without_pictures_what_needs_them_is_left_out_with_the_reason() -> None:
    report = ca.inspect_model(classifier())
    found = facts(report)
    assert found.fields is not None and "noise" in found.fields.source
    html = report.html()
    for name, reason in found.skipped.items():
        assert "--" in reason
        assert f'<div id="{name}">' not in html
    assert ("Not shown" in html) == bool(found.skipped)


def test_the_same_seed_gives_the_same_page() -> None:
    one, two = (ca.inspect_model(classifier(), data=toys.dataset(), seed=5).html() for _ in range(2))
    assert one == two


def test_a_network_without_convolutions_says_so() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    report = ca.inspect_model(
        Classifier(network, input_size=(8, 8), labels=toys.LABELS, channels=1), data=toys.dataset()
    )
    assert "no convolution" in facts(report).skipped["fields"]


def test_progress_tells_of_every_section() -> None:
    told: list[str] = []
    ca.inspect_model(classifier(), data=toys.dataset(), progress=lambda section, _done, _total: told.append(section))
    assert list(dict.fromkeys(told)) == ["layers", *SECTIONS]


def test_a_place_behind_a_layer_is_shown_where_there_are_channels() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU()
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), relu, nn.Conv2d(4, 6, 2), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )
    asked = Classifier(network, input_size=(8, 8), labels=toys.LABELS, channels=1)
    found = facts(ca.inspect_model(asked, data=toys.dataset(), layers=["2:ReLU"]))
    assert found.skipped == {}
    assert found.exemplars is not None and found.ablation is not None and found.activations is not None
    assert [each.layer for each in found.exemplars.layers] == ["2:ReLU"] == [found.ablation.layer]
    assert [each.layer for each in found.activations.layers] == ["2"]


def test_named_layers_are_shown() -> None:
    found = facts(ca.inspect_model(classifier(), layers=["0"]))
    assert found.fields is not None
    assert [field.layer for field in found.fields.fields] == ["0"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": ["features.1"]}, LayerError, "features.1"),
        ({"walk": "nowhere"}, LayerError, "nowhere"),
        ({"walk": "8", "data": toys.dataset()}, LayerError, "Name a convolution"),
        ({"walk": "0"}, OptionError, "no photo"),
        ({"layers": ["0:tanh"]}, LayerError, "does not run"),
        ({"data": "minst"}, OptionError, "mnist"),
        ({"photo": "no.png"}, CnnAuditError, "no.png"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: dict, error: type[Exception], words: str) -> None:
    told: list[str] = []
    with pytest.raises(error, match=words):
        ca.inspect_model(classifier(), progress=lambda section, _done, _total: told.append(section), **options)
    assert told == []


def test_a_fault_of_our_own_is_said_to_be_and_takes_no_other_section_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(running.SECTIONS, "filters", lambda _asked: {}["cue"])
    with pytest.warns(RuntimeWarning, match=r"fault of cnnaudit(.|\n)*Traceback"):
        found = facts(ca.inspect_model(classifier(), data=toys.dataset()))
    assert list(found.skipped) == ["filters"]
    assert "KeyError: 'cue', test_inspect_model.py:" in found.skipped["filters"]
    assert found.ablation is not None


class Picky(nn.Module):
    """Refuses batches, as networks do that were written for one picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise KeyError("one picture at a time")
        return self.head(self.conv(x).relu().mean((2, 3)))


def test_what_a_network_raises_is_no_fault_of_ours() -> None:
    asked = Classifier(Picky(), input_size=(8, 8), labels=toys.LABELS, channels=1, name="picky")
    found = facts(ca.inspect_model(asked, data=toys.dataset()))
    assert "dead_units" in found.skipped
    for reason in found.skipped.values():
        assert reason.startswith("picky fail")
        assert "one picture at a time" in reason


def test_a_hook_of_ours_in_a_network_of_theirs_is_ours() -> None:
    def seen(name: str, _output: object) -> None:
        raise ZeroDivisionError(name)

    network = Picky()
    with pytest.raises(KeyError) as theirs:
        network(torch.rand(4, 1, 8, 8))
    with pytest.raises(ZeroDivisionError) as ours, hooks.watched({"conv": network.conv}, seen):
        network(torch.rand(1, 1, 8, 8))
    assert arose_in(network, theirs.value)
    assert not arose_in(network, ours.value)
