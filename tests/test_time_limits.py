"""Perturbation methods through `explain`: time limits, progress, batches, and scores that are not finite."""

from typing import Any

import pytest
import torch
from networks import MEAN, STD, Alternating, network, picture, seeded
from test_explaining import LABELS, QUICK
from torch import Tensor, nn

from cnnaudit import Classifier, explain, explain_all
from cnnaudit.attribution import METHODS
from cnnaudit.errors import NotFiniteError, OptionError, OutOfTimeError
from cnnaudit.explaining import Step


@pytest.fixture
def clf() -> Classifier:
    return Classifier(network("in_place"), input_size=(32, 40), mean=MEAN, std=STD, labels=LABELS)


@pytest.fixture
def pixels() -> Tensor:
    return picture((32, 40))


def test_progress_counts_altered_pictures(clf: Classifier, pixels: Tensor) -> None:
    told: list[Step] = []
    explain(clf, pixels, method="lime", options={"samples": 40, "batch": 10}, progress=told.append)
    assert [(step.asked, step.expected) for step in told] == [(0, 0), (10, 40), (20, 40), (30, 40), (40, 40)]
    assert {(step.method, step.finished) for step in told} == {("lime", 0)}
    told.clear()
    explain_all(
        clf, [pixels], methods=["edges", "lime"], options={"lime": QUICK["lime"]}, target="top2", progress=told.append
    )
    assert [step.finished for step in told if not step.expected] == [0, 1, 2, 3]


SAMPLED = ("lime", "kernel_shap", "shapley", "rise", "score_cam", "smoothgrad", "integrated_gradients", "sufficient")
WHOLE = ("occlusion", "ablation_cam")


def by_the_batch(method: str, limit: int) -> dict[str, Any]:
    """Arguments with which time is up after so many batches: a clock that only the network moves."""
    sizes = {"sufficient": 100, "shapley": 78, "score_cam": 1, "smoothgrad": 2}
    options = {"batch": sizes.get(method, 10), "segments": 20, "segmentation": "grid", "tolerance": 1e-9}
    known = METHODS[method].function.__kwdefaults__ or {}
    return {"options": {key: value for key, value in options.items() if key in known}, "time_limit": float(limit)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("cnnaudit.perturbation.budget.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("method", SAMPLED)
def test_time_ends_what_is_sampled(method: str, clf: Classifier, pixels: Tensor, clock: list[float]) -> None:
    clf.network.register_forward_pre_hook(lambda *_: clock.__setitem__(0, clock[0] + 1))
    target = clf.predict(picture((32, 40), seed=3))[0].index if method == "sufficient" else None
    x = picture((32, 40), seed=3) if method == "sufficient" else pixels
    given = by_the_batch(method, 9)
    whole = explain(clf, x, method=method, target=target, options=given["options"])
    clock[0] = 0.0
    part = explain(clf, x, method=method, target=target, **given)
    assert part.facts["stopped_by_time_limit"] is True
    assert part.forward_passes < whole.forward_passes
    assert any("Time was up" in note or "when time was up" in note for note in part.notes)
    assert part.heatmap.isfinite().all()
    assert not any("ime was up" in note for note in whole.notes)


@pytest.mark.parametrize("method", WHOLE)
def test_what_needs_all_of_its_parts_says_so(method: str, clf: Classifier, pixels: Tensor, clock: list[float]) -> None:
    clf.network.register_forward_pre_hook(lambda *_: clock.__setitem__(0, clock[0] + 1))
    with pytest.raises(OutOfTimeError, match=r"Time was up after \d+ of \d+ .* all"):
        explain(clf, pixels, method=method, options={"batch": 2}, time_limit=5.0)
    clock[0] = 0.0
    report = explain_all(clf, [pixels], methods=["edges", method], options={method: {"batch": 2}}, time_limit=5.0)
    assert [(d.card.name, d.flag) for d in report.images[0].declined] == [(method, "out_of_time")]
    assert [e.method for e in report.images[0].explanations] == ["edges"]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in (*SAMPLED, *WHOLE, "edges", "random")])
def test_a_pass_or_two_are_not_cut_short(method: str, pixels: Tensor, clock: list[float]) -> None:
    clf = Classifier(seeded(Alternating), input_size=(32, 32))
    clf.network.register_forward_pre_hook(lambda *_: clock.__setitem__(0, clock[0] + 1))
    x = picture((32, 32))
    why = explain(clf, x, method=method, time_limit=0.5)
    assert why.notes[-1] == "This took longer than the time limit of 0.5 s: nothing of it could be left out."
    assert torch.equal(why.heatmap, explain(clf, x, method=method).heatmap)


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_that_is_not_met_changes_nothing(method: str, clf: Classifier, pixels: Tensor) -> None:
    options = QUICK.get(method)
    free, limited = (explain(clf, pixels, method=method, options=options, time_limit=s) for s in (None, 1e6))
    assert torch.equal(free.heatmap, limited.heatmap)
    assert (dict(free.facts), free.notes) == (dict(limited.facts), limited.notes)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_no_time_stops_before_any_picture_is_read(clf: Classifier, limit: float) -> None:
    for ask in (explain, explain_all):
        with pytest.raises(OptionError, match="above 0"):
            ask(clf, "no such file.png", time_limit=limit)


BATCHED = (
    "lime",
    "kernel_shap",
    "shapley",
    "rise",
    "occlusion",
    "score_cam",
    "ablation_cam",
    "sufficient",
    "smoothgrad",
)


@pytest.mark.parametrize("method", BATCHED)
def test_the_batch_does_not_decide_the_answer(method: str, clf: Classifier, pixels: Tensor) -> None:
    options = {"samples": 100, "segments": 12, "cells": 4}
    known = METHODS[method].function.__kwdefaults__ or {}
    options = {key: value for key, value in options.items() if key in known}
    first, *others = (
        explain(clf, pixels, method=method, options=options | {"batch": batch}).heatmap for batch in (1, 7, 64)
    )
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-4 * float(first.abs().max()))


def test_scores_that_are_not_finite_are_a_flag_and_no_picture(pixels: Tensor) -> None:
    class Breaking(nn.Module):
        """Overflows where the upper left pixel is hidden."""

        def __init__(self) -> None:
            super().__init__()
            self.body = network("in_place")

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) / (x[:, :, 0, 0] != 0.5).all(1, keepdim=True)

    clf = Classifier(Breaking(), input_size=(32, 40))
    report = explain_all(clf, [pixels], methods=["lime", "occlusion", "sufficient", "edges"])
    declined = {d.card.name: d.flag for d in report.images[0].declined}
    assert declined == dict.fromkeys(["lime", "occlusion", "sufficient"], "not_finite")
    assert [e.method for e in report.images[0].explanations] == ["edges"]
    with pytest.raises(NotFiniteError):
        explain(clf, pixels, method="occlusion")
