"""Integrated gradients against captum, linear networks and completeness."""

import captum.attr
import pytest
import torch
from networks import ARCHITECTURES, classifier, network, picture
from test_gradient_methods import TARGET, Normalised, close
from torch import nn

from cnnaudit import Classifier, explain
from cnnaudit.fills import Fill, filled


@pytest.mark.parametrize("baseline", ["black", "grey", "blur"])
@pytest.mark.parametrize("architecture", ["in_place", "densenet", "vit"])
def test_equal_steps_are_captums_trapezoid(architecture: str, baseline: Fill) -> None:
    clf = classifier(architecture)
    x, steps = picture(clf.input_size), 12
    theirs = captum.attr.IntegratedGradients(Normalised(clf), multiply_by_inputs=True).attribute(
        x, filled(x, baseline), TARGET, n_steps=steps + 1, method="riemann_trapezoid"
    )
    options = {"baselines": (baseline,), "steps": steps, "max_steps": steps}
    ours = explain(clf, x, method="integrated_gradients", target=TARGET, options=options).heatmap
    close(ours, theirs[0].sum(0) * (steps + 1) / steps, 1e-4)  # captum's weights add up to steps / (steps + 1)


def test_refined_steps_tend_to_captums_many() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    theirs = captum.attr.IntegratedGradients(Normalised(clf)).attribute(
        x, torch.zeros_like(x), TARGET, n_steps=2000, method="riemann_middle", internal_batch_size=100
    )[0].sum(0)  # fmt: skip
    errors = []
    for tolerance in (0.1, 1e-4):
        options = {"baselines": ("black",), "tolerance": tolerance, "max_steps": 600, "batch": 32}
        ours = explain(clf, x, method="integrated_gradients", target=TARGET, options=options).heatmap
        errors.append(float((ours - theirs).norm() / theirs.norm()))
    assert errors[1] < 0.05
    assert errors[1] <= errors[0]


def test_a_linear_network_is_exact_at_one_step() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))
    clf = Classifier(net, input_size=(8, 8), mean=[0.4], std=[0.2])
    x = picture((8, 8))
    options = {"baselines": ("grey",), "steps": 1, "max_steps": 1}
    why = explain(clf, x, method="integrated_gradients", target=1, options=options)
    exact = ((x - 0.5)[0] * net[1].weight[1].view(3, 8, 8) / 0.2).sum(0)
    close(why.heatmap, exact)
    assert why.facts["completeness_error"][0] < 1e-4


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "mobilenet_v2"])
def test_completeness_is_reached_and_reported(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    why = explain(clf, x, method="integrated_gradients", target=TARGET)
    assert set(why.parts) == {"black", "grey", "blur"}
    torch.testing.assert_close(torch.stack(list(why.parts.values())).mean(0), why.heatmap)
    rows = zip(("black", "grey", "blur"), why.facts["completeness_error"], why.facts["steps"], strict=True)
    for name, reported, steps in rows:
        difference = float((clf.scores(x) - clf.scores(filled(x, name)))[0, TARGET])
        error = abs(float(why.parts[name].double().sum()) - difference) / abs(difference)
        assert error == pytest.approx(reported, rel=0.02, abs=2e-3)
        assert reported < 0.01 or (steps == 256 and name in why.notes[0])


def test_a_reached_cap_is_said() -> None:
    clf = Classifier(network("in_place"), input_size=(32, 40))
    options = {"tolerance": 1e-9, "steps": 4, "max_steps": 11, "baselines": ("black", "white")}
    why = explain(clf, picture((32, 40)), method="integrated_gradients", options=options)
    assert why.facts["steps"] == (11.0, 11.0)
    assert "11 steps for: black, white" in why.notes[0]
    assert why.forward_passes == 24
