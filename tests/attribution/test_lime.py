"""LIME against the closed form, an exactly linear network, and the lime package's own explainer."""

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from networks import MEAN, STD, classifier, picture
from scipy.stats import spearmanr
from test_gradient_methods import TARGET
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution import METHODS
from cnnaudit.attribution.lime import _fit, grid, superpixels
from cnnaudit.attribution.query import Query
from cnnaudit.errors import NotApplicableError
from cnnaudit.fills import filled


def kernel(distance: np.ndarray, width: float = 0.25) -> np.ndarray:
    return np.sqrt(np.exp(-(distance**2) / width**2))


def ridge(shown: np.ndarray, scores: np.ndarray, weights: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Weighted ridge regression with a free intercept, by its normal equations."""
    centre = np.average(shown, axis=0, weights=weights)
    x, y = shown - centre, scores - np.average(scores, weights=weights)
    return np.linalg.solve(x.T * weights @ x + alpha * np.eye(x.shape[1]), x.T * weights @ y)


@pytest.mark.parametrize("width", [0.1, 0.25, 5.0])
def test_coefficients_are_the_closed_form(width: float) -> None:
    generator = np.random.default_rng(0)
    shown = generator.random((60, 7)) < 0.5
    shown[0], shown[1] = True, False
    scores = generator.normal(size=60)
    lengths = np.sqrt(shown.sum(1)) * np.sqrt(7)
    cosine = np.divide(shown.sum(1), lengths, out=np.zeros(60), where=lengths > 0)
    expected = ridge(shown.astype(float), scores, kernel(1 - cosine, width))
    ours, r2 = _fit(torch.from_numpy(shown), torch.from_numpy(scores), width)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6, atol=1e-9)
    assert r2 <= 1


class Additive(nn.Module):
    """A score that is exactly linear in which segments are shown."""

    def __init__(self, pixels: Tensor, regions: Tensor, effects: Tensor) -> None:
        super().__init__()
        self.register_buffer("picture", pixels)
        self.register_buffer("regions", regions)
        self.register_buffer("effects", effects)

    def forward(self, x: Tensor) -> Tensor:
        shown = (x == self.picture).all(1).flatten(1)
        score = torch.stack([shown[:, self.regions.flatten() == k].all(1) for k in range(len(self.effects))], 1)
        return torch.stack([score.float() @ self.effects, torch.zeros(len(x))], 1)


def test_an_additive_network_gives_its_own_effects() -> None:
    x = picture((32, 40)) * 0.4  # never grey, so hidden and shown differ
    regions = superpixels(x, 12, 10.0)
    effects = torch.randn(int(regions.max()) + 1, generator=torch.Generator().manual_seed(0)) * 5
    clf = Classifier(Additive(x, regions, effects), input_size=(32, 40))
    options = {"samples": 4000, "segments": 12, "kernel_width": 10.0, "batch": 500}
    why = explain(clf, x, method="lime", target=0, options=options)
    torch.testing.assert_close(why.heatmap, effects[regions], rtol=5e-3, atol=5e-3)  # ridge shrinks by 1 in 1000
    assert why.facts["r2"] > 0.999


@pytest.mark.parametrize("size", [(16, 16), (32, 40), (64, 24)])
@pytest.mark.parametrize("segments", [2, 9, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_segments_are_numbered_from_zero_without_a_gap(size: tuple[int, int], segments: int, channels: int) -> None:
    regions = superpixels(picture(size, channels), segments, 10.0)
    assert regions.shape == size
    assert regions.unique().tolist() == list(range(int(regions.max()) + 1))


@pytest.mark.parametrize("fill", ["grey", "segment_mean"])
def test_every_segment_is_hidden_and_shown(fill: str) -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    regions = superpixels(x, 12, 10.0)
    copies: list[Tensor] = []
    clf.network.register_forward_pre_hook(lambda _, given: copies.append(given[0].clone()))
    METHODS["lime"].function(Query(clf, x, clf.target(0)), samples=40, segments=12, fill=fill)
    batch, x = torch.cat(copies), clf.normalised(x)
    assert torch.equal(batch[:1], x)
    for k in range(int(regions.max()) + 1):
        same = (batch == x).all(1)[:, regions == k]
        hidden = ~same.all(1)
        assert 5 < int(hidden.sum()) < 35  # each about half of the time, the one numbered 0 too
        if fill == "segment_mean":
            mean = x[0, :, regions == k].mean(1)
            torch.testing.assert_close(batch[hidden][:, :, regions == k].mean((0, 2)), mean)


def test_segments_agree_with_the_lime_package_in_their_order() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    regions = superpixels(x, 12, 10.0)

    def scores(pictures: np.ndarray) -> np.ndarray:
        return clf.scores(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()).numpy()

    theirs = LimeImageExplainer(random_state=0).explain_instance(
        x[0].permute(1, 2, 0).double().numpy(), scores, labels=(TARGET,), top_labels=None, hide_color=0.5,
        num_samples=1500, segmentation_fn=lambda _: regions.numpy(), random_seed=0,
    ).local_exp[TARGET]  # fmt: skip
    options = {"samples": 1500, "segments": 12, "fill": "grey"}
    ours = explain(clf, x, method="lime", target=TARGET, options=options).heatmap
    order = [float(ours[regions == k][0]) for k, _ in sorted(theirs)]
    assert spearmanr(order, [value for _, value in sorted(theirs)]).statistic > 0.95


def test_a_poor_fit_is_said() -> None:
    class Parity(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noise = torch.sin(1e4 * x.sum((1, 2, 3)))
            return torch.stack([noise, -noise], 1)

    why = explain(Classifier(Parity(), input_size=(32, 40)), picture((32, 40)), method="lime")
    assert why.facts["r2"] < 0.5
    assert "fits poorly" in why.notes[0]


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (3, 50), (1, 2)])
def test_a_grid_is_complete_and_nearly_even(size: tuple[int, int]) -> None:
    regions = grid(torch.zeros(1, 3, *size), 12)
    counts = torch.bincount(regions.flatten())
    assert regions.shape == size and 2 <= len(counts) <= 16
    assert counts.min() > 0 and counts.max() <= 4 * counts.min()


def test_noise_in_which_slic_sees_one_segment_falls_back_to_a_grid() -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not superpixels(x, 4, 10.0).any()
    clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), input_size=(64, 64))
    why = explain(clf, x, method="lime", options={"segments": 4, "samples": 20})
    assert why.facts["segments"] == 4 and "grid" in why.notes[0]
    assert len(why.heatmap.unique()) == 4


def test_one_segment_cannot_be_compared() -> None:
    clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), input_size=(1, 1), mean=MEAN, std=STD)
    with pytest.raises(NotApplicableError, match="one segment"):
        explain(clf, torch.full((1, 3, 1, 1), 0.3), method="lime")


@pytest.mark.parametrize("fill", ["black", "grey", "white", "mean", "blur"])
@pytest.mark.parametrize("size", [(32, 40), (5, 60), (1, 7), (1, 1)])
def test_fills(fill: str, size: tuple[int, int]) -> None:
    x = picture((max(size[0], 2), max(size[1], 2)))[:, :, : size[0], : size[1]]
    nothing = filled(x, fill)  # type: ignore[arg-type]
    assert nothing.shape == x.shape
    assert nothing.min() >= 0
    assert nothing.max() <= 1
    level = {"black": 0.0, "grey": 0.5, "white": 1.0}.get(fill)
    if level is not None:
        assert bool((nothing == level).all())
    elif fill == "mean":
        torch.testing.assert_close(nothing, x.mean((2, 3), keepdim=True).expand_as(x))
    else:
        assert nothing.std() <= x.std() or x.numel() == 3
