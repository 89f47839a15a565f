"""KernelSHAP and Shapley values against all permutations, captum, and networks whose values are known."""

import itertools
import math
import sys

import captum.attr
import numpy as np
import pytest
import torch
from networks import classifier, picture, seeded
from test_gradient_methods import TARGET, Normalised
from test_lime import Square
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.designs import every_mask, hadamard, hadamard_pairs, size_pairs
from cnnaudit.attribution.kernel_shap import exact, fit_pairs
from cnnaudit.attribution.segments import grid
from cnnaudit.errors import OptionError, OutOfTimeError
from cnnaudit.fills import filled


def by_permutations(scores: Tensor) -> Tensor:
    """The definition: a segment's mean gain over all orders; the bits of an index say what is shown."""
    count = len(scores).bit_length() - 1
    total = torch.zeros(count, dtype=torch.float64)
    for order in itertools.permutations(range(count)):
        shown = 0
        for segment in order:
            total[segment] += scores[shown | 1 << segment] - scores[shown]
            shown |= 1 << segment
    return total / math.factorial(count)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_exact_values_are_the_mean_gain_over_all_orders(count: int) -> None:
    scores = torch.randn(2**count, generator=torch.Generator().manual_seed(count)).double()
    torch.testing.assert_close(exact(scores).coefficients, by_permutations(scores))


def test_the_glove_game() -> None:
    """One left glove, two right ones, a pair is worth 1: Shapley's values are 2/3, 1/6, 1/6."""
    masks = every_mask(3)
    scores = (masks[:, 0] & (masks[:, 1] | masks[:, 2])).double()
    torch.testing.assert_close(exact(scores).coefficients, torch.tensor([2 / 3, 1 / 6, 1 / 6]).double())


def test_few_segments_give_captums_exact_values() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    regions = grid(x, 6)
    why = explain(clf, x, method="kernel_shap", target=TARGET, options={"regions": regions})
    grey = torch.full_like(x, 0.5)
    with torch.no_grad():
        peer = captum.attr.ShapleyValues(Normalised(clf))
        theirs = peer.attribute(x, grey, TARGET, feature_mask=regions.repeat(1, 3, 1, 1))
    torch.testing.assert_close(why.heatmap, theirs[0, 0], rtol=1e-4, atol=1e-5)
    assert why.facts["samples"] == 64
    assert why.facts["low"] == why.facts["high"] == why.facts["coefficients"]


@pytest.mark.parametrize("method", ["kernel_shap", "shapley"])
def test_estimates_are_those_that_captum_samples(method: str) -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    regions = grid(x, 16)
    options = {"regions": regions, "samples": 2000}
    why = explain(clf, x, method=method, target=TARGET, options=options)
    grey = torch.full_like(x, 0.5)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        peer = captum.attr.ShapleyValueSampling(Normalised(clf))
        mask = regions.repeat(1, 3, 1, 1)
        theirs = peer.attribute(x, grey, TARGET, feature_mask=mask, n_samples=100, perturbations_per_eval=16)
    assert np.corrcoef(why.heatmap.flatten(), theirs[0, 0].flatten())[0, 1] > 0.98


@pytest.mark.parametrize("method", ["kernel_shap", "shapley"])
def test_values_add_up_to_the_score_above_the_fill(method: str) -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    options = {"segmentation": "grid", "segments": 16, "samples": 100, "fill": "blur"}
    why = explain(clf, x, method=method, target=TARGET, versus=TARGET + 1, options=options)
    whole, nothing = (clf.scores(each)[0].double() for each in (x, filled(x, "blur")))
    gain = (whole - nothing)[TARGET] - (whole - nothing)[TARGET + 1]
    assert sum(why.facts["coefficients"]) == pytest.approx(float(gain), abs=1e-5)
    assert why.facts["score_above_fill"] == pytest.approx(float(gain), abs=1e-5)


@pytest.mark.parametrize("method", ["kernel_shap", "shapley"])
def test_a_sum_over_segments_is_found_exactly(method: str) -> None:
    class Weighted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            score = x[:, 0].flatten(1) @ torch.arange(x.shape[2] * x.shape[3], dtype=x.dtype)
            return torch.stack([score, -score], 1)

    x = torch.ones(1, 3, 4, 5)
    options = {"regions": grid(x, 20), "samples": 200, "fill": "black"}
    why = explain(Classifier(Weighted(), input_size=(4, 5)), x, method=method, target=0, options=options)
    torch.testing.assert_close(why.heatmap.flatten(), torch.arange(20.0), rtol=1e-4, atol=1e-4)
    reach = np.subtract(why.facts["high"], why.facts["coefficients"])
    assert np.abs(reach).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("method", "samples"), [("kernel_shap", 400), ("shapley", 500)])
def test_intervals_cover_the_exact_values(method: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 (picture, class) pairs, 10 segments each; the exact values are from all 1,024 masks."""
    clf, regions = Classifier(seeded(Square), input_size=(2, 5)), torch.arange(10).view(2, 5)
    covered = []
    for seed in range(50):
        x = torch.rand(1, 3, 2, 5, generator=torch.Generator().manual_seed(seed))
        for target in range(4):
            true = explain(clf, x, method="kernel_shap", target=target, options={"regions": regions})
            with monkeypatch.context() as patch:
                patch.setattr(sys.modules[exact.__module__], "_ENUMERATED", 0)  # the function has the module's name
                options = {"samples": samples, "regions": regions}
                drawn = explain(clf, x, method=method, target=target, options=options)
            ends = zip(drawn.facts["low"], true.facts["coefficients"], drawn.facts["high"], strict=True)
            covered += [low <= value <= high for low, value, high in ends]
    assert 0.90 <= np.mean(covered) <= 0.98


def test_too_few_samples_for_two_pairs_of_orders_are_refused() -> None:
    with pytest.raises(OptionError, match="62 samples for 16"):
        options = {"segmentation": "grid", "segments": 16, "samples": 61}
        explain(classifier("in_place"), picture((32, 40)), method="shapley", options=options)


@pytest.mark.parametrize(("method", "least"), [("kernel_shap", 10), ("shapley", 78)])
def test_time_ends_it_with_the_samples_so_far(method: str, least: int) -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    ticks = itertools.count()

    def tick(*_: object) -> None:
        next(ticks)

    clf.network.register_forward_pre_hook(tick)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnaudit.perturbation.budget.time.monotonic", lambda: float(next(ticks)))
        options = {"segmentation": "grid", "segments": 20, "samples": 1000, "batch": 38}
        why = explain(clf, x, method=method, options=options, time_limit=20.0)
    assert least < why.facts["samples"] < 900
    assert why.facts["stopped_by_time_limit"] is True
    assert why.notes[0].startswith(f"Time was up after {why.facts['samples']} of 1000 samples")


def test_fewer_pairs_than_segments_give_the_shortest_values_and_say_so() -> None:
    masks = size_pairs(10, 40, torch.Generator().manual_seed(0))
    scores = torch.rand(20, generator=torch.Generator().manual_seed(1)).double()
    fit = fit_pairs(masks, scores, torch.tensor([0.0, 2.0]))
    z = masks[::2].double() - 0.5
    target = (scores[::2] - scores[1::2]) / 2 - z.mean(1) * 2.0
    centred = (z - z.mean(1, keepdim=True)).numpy()  # the shortest solution whose sum is 0
    expected = 2.0 / 40 + np.linalg.lstsq(centred, target.numpy(), rcond=None)[0]
    np.testing.assert_allclose(fit.coefficients.numpy(), expected, atol=1e-9)
    assert fit.covariance is None
    options = {"segments": 20, "segmentation": "grid", "samples": 20}
    why = explain(classifier("in_place"), picture((32, 40)), method="kernel_shap", options=options)
    assert any("samples are few for 20 segments" in note for note in why.notes)


def test_exact_values_take_all_masks() -> None:
    options = {"segmentation": "grid", "segments": 6, "batch": 16}
    with pytest.raises(OutOfTimeError, match="after 16 of 64 pictures, and all are needed"):
        explain(classifier("in_place"), picture((32, 40)), method="kernel_shap", options=options, time_limit=1e-9)


# Designs


@pytest.mark.parametrize("least", [2, 4, 5, 10, 13, 40, 61, 200])
def test_hadamard_matrices_are_orthogonal(least: int) -> None:
    signs = torch.where(hadamard(least), -1.0, 1.0)
    order = len(signs)
    assert least <= order <= least + 30
    assert torch.equal(signs @ signs.T, order * torch.eye(order))


def test_a_block_is_an_orthogonal_array_of_strength_3() -> None:
    masks = hadamard_pairs(12, 11, torch.Generator().manual_seed(0))
    assert torch.equal(masks[::2], ~masks[1::2])
    for columns in itertools.combinations(range(11), 3):
        assert len(masks[:, columns].unique(dim=0, return_counts=True)[1]) == 8
        assert (masks[:, columns].unique(dim=0, return_counts=True)[1] == 3).all()


def test_each_row_of_the_design_is_uniform_over_all_masks() -> None:
    first = torch.cat([hadamard_pairs(1, 4, torch.Generator().manual_seed(seed))[:1] for seed in range(1600)])
    counts = first.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 16
    assert float(((counts - 100) ** 2 / 100).sum()) < 37.7  # chi-squared, 15 degrees, one in a thousand


def test_sizes_follow_shapleys_kernel() -> None:
    masks = size_pairs(1000, 9, torch.Generator().manual_seed(0))
    shares = torch.tensor([1 / (m * (9 - m)) for m in range(1, 9)])
    expected = 2000 * shares / shares.sum()
    found = torch.bincount(masks.sum(1), minlength=9)[1:]
    assert (found - expected).abs().max() < 4
    assert (masks.float().mean(0) - 0.5).abs().max() < 1e-6
