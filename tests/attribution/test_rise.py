"""RISE against the exact expectation over all masks, the published formula, and NumPy's covariance."""

import itertools
import math

import numpy as np
import pytest
import torch
from networks import classifier, picture, seeded
from test_gradient_methods import TARGET, close
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.query import Query
from cnnaudit.attribution.rise import _drawn
from cnnaudit.errors import OptionError
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Grid


class Small(nn.Module):
    """A network for pictures of 8 x 8, far from linear."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return 20 * self.head(self.body(x))


def masks_of(grid: Grid) -> Tensor:
    masks = torch.empty(len(grid), *grid.size)
    grid.paint(0, len(grid), masks)
    return masks


def scores_behind(clf: Classifier, x: Tensor, fill: Tensor, masks: Tensor) -> Tensor:
    with borrowed(clf.network), torch.no_grad():
        return clf.logits(masks[:, None] * x + (1 - masks[:, None]) * fill)[:, TARGET].double()


def test_map_and_standard_error_are_those_of_the_expectation_over_all_masks() -> None:
    """2 x 2 cells and 4 x 4 shifts: 256 masks, each with its probability."""
    clf, x, keep = Classifier(seeded(Small), input_size=8), picture((8, 8)), 0.3
    patterns = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(-1, 2, 2)
    shifts = torch.tensor(list(itertools.product(range(4), repeat=2)))
    each = Grid(patterns.repeat_interleave(16, 0), (8, 8), shifts.repeat(16, 1))
    chance = (keep ** each.cells.sum((1, 2)) * (1 - keep) ** (4 - each.cells.sum((1, 2))) / 16).double()
    assert float(chance.sum()) == pytest.approx(1)
    masks = masks_of(each)
    scores = scores_behind(clf, x, torch.zeros_like(x), masks)
    shown = torch.einsum("n,n,nhw->hw", chance, scores, masks.double()) / keep  # equation 5 of the paper
    exact = (shown - chance @ scores).float()

    options = {"samples": 1000, "cells": 2, "keep": keep, "fill": "black", "batch": 500}
    off, means = [], []
    for seed in range(12):
        why = explain(clf, x, method="rise", target=TARGET, options=options, seed=seed)
        off.append((why.heatmap - exact) / why.parts["standard error"])
        means.append(why.facts["mean_score"])
    assert torch.stack(off).abs().max() < 4.5
    assert 0.5 < torch.stack(off).square().mean() < 1.8
    assert torch.stack(off).mean(0).abs().max() < 4 / 12**0.5  # no bias
    assert np.mean(means) == pytest.approx(float(chance @ scores), abs=4 * float(scores.std()) / 12000**0.5)


def test_map_is_the_published_one_less_its_mean() -> None:
    """sum_i s_i M_i / (N p), Petsiuk's own estimator, differs by what is known of the masks that were drawn."""
    clf, x, n = classifier("in_place"), picture((32, 40)), 60
    why = explain(clf, x, method="rise", target=TARGET, options={"samples": n, "cells": 4, "fill": "black"})
    masks = masks_of(_drawn(Query(clf, x, clf.target(TARGET), image_id=why.image.sha256), n, 4, 0.5))
    scores = scores_behind(clf, x, torch.zeros_like(x), masks)
    published = torch.einsum("n,nhw->hw", scores, masks.double()) / n / 0.5
    ours = why.heatmap * (n - 1) / n + float(scores.mean()) * masks.mean(0) / 0.5
    close(ours, published)


def test_covariance_and_standard_error_are_numpys() -> None:
    clf, x, n = classifier("in_place"), picture((32, 40)), 300  # more than one block
    why = explain(clf, x, method="rise", target=TARGET, options={"samples": n, "keep": 0.4})
    masks = masks_of(_drawn(Query(clf, x, clf.target(TARGET), image_id=why.image.sha256), n, 7, 0.4)).double().numpy()
    scores = scores_behind(clf, x, filled(x, "grey"), torch.from_numpy(masks).float()).numpy()
    about = (scores - scores.mean())[:, None, None] * (masks - masks.mean(0))
    close(why.heatmap, torch.from_numpy(about.sum(0) / (n - 1) / 0.4), 1e-4)
    error = about.std(0, ddof=1) / math.sqrt(n) / 0.4
    close(why.parts["standard error"], torch.from_numpy(error), 1e-4)
    assert why.facts["standard_error"] == pytest.approx(error.mean(), rel=1e-4)
    assert why.facts["signal_to_noise"] == pytest.approx(
        float(why.heatmap.double().std(correction=0)) / error.mean(), rel=1e-4
    )


class Corner(nn.Module):
    """The mean of the upper left quarter."""

    def forward(self, x: Tensor) -> Tensor:
        quarter = x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].mean((1, 2, 3))
        return torch.stack([quarter, -quarter], 1)


def test_what_the_network_looks_at_stands_out() -> None:
    why = explain(Classifier(Corner(), input_size=64), torch.ones(1, 3, 64, 64), method="rise", target=0)
    inside, outside = why.heatmap[:32, :32].mean(), why.heatmap[40:, 40:].abs().mean()
    assert inside > 8 * outside
    assert why.notes == ()
    assert why.facts["samples"] == 1000


def test_noise_is_said_to_be_noise() -> None:
    why = explain(classifier("in_place"), picture((32, 40)), method="rise", options={"samples": 8})
    assert "draw more masks" in why.notes[0]


def test_time_ends_it_with_the_masks_so_far() -> None:
    options = {"samples": 1000, "batch": 10}
    why = explain(classifier("in_place"), picture((32, 40)), method="rise", options=options, time_limit=1e-9)
    assert why.facts["samples"] == why.forward_passes == 10
    assert why.notes[0].startswith("Time was up after 10 of 1000 samples")
    assert why.facts["stopped_by_time_limit"] is True


def test_a_network_that_says_the_same_of_everything_has_no_evidence() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), 3, device=x.device)

    why = explain(Classifier(Constant(), input_size=16), picture((16, 16)), method="rise", options={"samples": 20})
    assert why.is_empty
    assert (why.facts["standard_error"], why.facts["signal_to_noise"], why.facts["mean_score"]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("options", [{"samples": 1}, {"cells": 0}, {"keep": 0.0}, {"keep": 1.0}, {"keep": math.nan}])
def test_meaningless_values_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        explain(classifier("in_place"), picture((32, 40)), method="rise", options=options)


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (28, 28)])
def test_small_pictures_have_fewer_cells(size: tuple[int, int]) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], 2))
    why = explain(Classifier(net, input_size=size), picture((30, 30))[:, :, : size[0], : size[1]], method="rise")
    assert np.isfinite(why.heatmap.numpy()).all()
