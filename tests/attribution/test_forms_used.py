"""In which form each perturbation method runs the network, and on which copies a form is tried first."""

import pytest
import torch
from networks import classifier, picture
from torch import Tensor

from cnnaudit import Classifier, explain
from cnnaudit.devices import AS_IS, Form, Forms
from cnnaudit.fills import filled
from cnnaudit.perturbation.stage import Stage

SEGMENTED = ("lime", "kernel_shap", "shapley", "sufficient")
OPTIONS = {"segmentation": "grid", "segments": 20, "samples": 200, "fill": "grey", "precision": "auto"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Form, int]]:
    """The form and the number of copies of each batch that is composed."""
    batches: list[tuple[Form, int]] = []
    scores = Stage.scores

    def seen(stage: Stage, masks: object, start: int, stop: int, room: int) -> Tensor:
        batches.append((stage.form, stop - start))
        return scores(stage, masks, start, stop, room)  # type: ignore[arg-type]

    monkeypatch.setattr(Stage, "scores", seen)
    return batches


@pytest.mark.parametrize("method", SEGMENTED)
def test_all_but_the_first_few_copies_are_asked_about_in_the_fastest_form(
    method: str, given: list[tuple[Form, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest = Form(channels_last=True)
    monkeypatch.setattr("cnnaudit.perturbation.copies.forms", lambda *_: Forms(fastest))
    clf = classifier("in_place")
    explain(clf, picture(clf.input_size), method=method, options=OPTIONS)
    assert sum(count for form, count in given if form == AS_IS) <= 2
    assert sum(count for form, count in given if form == fastest) > 100


@pytest.mark.parametrize("method", SEGMENTED)
def test_a_form_is_tried_on_copies_that_show_a_part(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All shown and nothing shown say little of what less precision does to the copies between."""
    clf = classifier("in_place")
    x, probes = picture(clf.input_size), []

    def seen(_: Classifier, probe: Tensor, __: int) -> None:
        probes.append(probe)

    monkeypatch.setattr("cnnaudit.perturbation.copies.forms", seen)
    explain(clf, x, method=method, options=OPTIONS)
    ends = [clf.normalised(each) for each in (x, filled(x, "grey"))]
    assert [len(probe) for probe in probes] == [4]
    assert not any(torch.equal(copy[None], end) for copy in probes[0] for end in ends)
