"""LIME against exact enumeration, scikit-learn, an exactly linear network, and the lime package's own explainer."""

import numpy as np
import pytest
import torch
from lime.lime_base import LimeBase
from lime.lime_image import ImageExplanation, LimeImageExplainer
from networks import classifier, picture, seeded
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, Ridge
from test_gradient_methods import TARGET
from test_segments import slic
from torch import Tensor, nn

from cnnaudit import Classifier, Explanation, explain
from cnnaudit.attribution import METHODS
from cnnaudit.attribution.designs import every_mask, hadamard_pairs
from cnnaudit.attribution.lime_package import to_lime_package
from cnnaudit.attribution.query import Query
from cnnaudit.attribution.regression import _jackknife, check_width, fit_all, fit_pairs, ridge
from cnnaudit.attribution.segments import grid
from cnnaudit.errors import MethodError, OptionError, OutOfTimeError


def kernel(distance: np.ndarray, width: float = 0.25) -> np.ndarray:
    return np.sqrt(np.exp(-(distance**2) / width**2))


def distances(shown: np.ndarray) -> np.ndarray:
    """Cosine distances to the mask that shows all."""
    lengths = np.sqrt(shown.sum(1)) * np.sqrt(shown.shape[1])
    return 1 - np.divide(shown.sum(1), lengths, out=np.zeros(len(shown)), where=lengths > 0)


@pytest.mark.parametrize("width", [0.1, 0.25, 5.0])
def test_classic_is_the_packages_own_estimator(width: float) -> None:
    generator = np.random.default_rng(0)
    shown = generator.random((60, 7)) < 0.5
    shown[0], shown[1] = True, False
    scores = generator.normal(size=60)
    away = distances(shown)
    ours, r2 = ridge(torch.from_numpy(shown), torch.from_numpy(scores), width)
    base = LimeBase(lambda distance: kernel(distance, width), random_state=np.random.RandomState(0))
    theirs = base.explain_instance_with_data(shown * 1.0, scores[:, None], away, 0, 100_000)
    np.testing.assert_allclose(ours.numpy(), [value for _, value in sorted(theirs[1])], rtol=1e-6, atol=1e-9)
    assert r2 == pytest.approx(theirs[2], abs=1e-9)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_all_masks_give_sklearns_weighted_least_squares(count: int) -> None:
    shown, scores = every_mask(count), torch.randn(2**count, generator=torch.Generator().manual_seed(0)).double()
    fit = fit_all(shown, scores, 0.25)
    weights = kernel(distances(shown.numpy()))
    theirs = LinearRegression().fit(shown.numpy(), scores.numpy(), weights)
    np.testing.assert_allclose(fit.coefficients.numpy(), theirs.coef_, rtol=1e-9, atol=1e-12)
    assert fit.r2 == pytest.approx(theirs.score(shown.numpy(), scores.numpy(), weights))
    assert not fit.unsettled().any() and fit.reach is not None and not fit.reach.any()


def test_the_jackknife_is_that_of_leaving_pairs_out_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    shown = hadamard_pairs(30, 5, generator)
    scores = torch.randn(60, generator=generator, dtype=torch.float64)
    columns, weights = torch.cat([torch.ones(60, 1), shown], 1).double(), torch.rand(60, generator=generator).double()

    def solved(kept: Tensor) -> np.ndarray:
        model = LinearRegression(fit_intercept=False)
        return model.fit(columns[kept].numpy(), scores[kept].numpy(), weights[kept].numpy()).coef_

    every = torch.arange(60)
    whole = solved(every)
    changes = np.stack([solved(every[every // 2 != pair]) - whole for pair in range(30)])
    ours = _jackknife(columns, scores - columns @ torch.from_numpy(whole), weights)
    np.testing.assert_allclose(ours.numpy(), 29 / 30 * changes.T @ changes, rtol=1e-6, atol=1e-12)


class Square(nn.Module):
    """For pictures of 2 x 5 pixels, each a segment: far from linear, with interactions of every order."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
        self.head = nn.Linear(40, 4)

    def forward(self, x: Tensor) -> Tensor:
        return 10 * self.head(self.body(x))


@pytest.mark.slow
@pytest.mark.parametrize("segments", [12, 30, 100])
def test_fewer_pairs_than_segments_give_numpys_shortest_solution(segments: int) -> None:
    masks = hadamard_pairs(12, segments, torch.Generator().manual_seed(0))
    scores = torch.rand(24, generator=torch.Generator().manual_seed(1)).double()
    root = (-((1 - masks.double().mean(1).sqrt()) ** 2) / 0.25**2).exp().sqrt().sqrt()
    columns = torch.cat([torch.ones(24, 1), masks.double()], 1).double()
    solved = np.linalg.lstsq((root[:, None] * columns).numpy(), (root * (scores - scores[0])).numpy(), rcond=None)[0]
    if segments > 12:  # or else powers of the size stand beside the segments
        np.testing.assert_allclose(fit_pairs(masks, scores, 0.25).coefficients.numpy(), solved[1:], atol=1e-9)
    model = Ridge(alpha=1.0).fit(masks.numpy(), scores.numpy(), sample_weight=(root**2).numpy())
    np.testing.assert_allclose(ridge(masks, scores, 0.25)[0].numpy(), model.coef_, atol=1e-9)


@pytest.mark.parametrize(("width", "segments"), [(1e-300, 4), (1e-9, 4096), (0.01, 40), (0.05, 40), (0.01, 2)])
def test_a_kernel_that_leaves_hardly_a_sample_is_refused(width: float, segments: int) -> None:
    with pytest.raises(OptionError, match=f"kernel_width = {width:g} is so narrow"):
        check_width(width, segments)


@pytest.mark.parametrize("segments", [2, 5, 40, 4096])
def test_usual_kernels_are_taken(segments: int) -> None:
    for width in (0.1, 0.25, 1.0, 1e6):
        check_width(width, segments)


def test_a_narrow_kernel_is_refused_before_the_network_is_asked() -> None:
    with pytest.raises(OptionError, match=r"0\.25 is usual"):
        explain(classifier("in_place"), picture((32, 40)), method="lime", options={"kernel_width": 0.02})


def test_intervals_cover_the_exact_coefficients() -> None:
    """200 (picture, class) pairs, 10 segments each; the exact ones are from all 1,024 masks."""
    clf, regions = Classifier(seeded(Square), input_size=(2, 5)), torch.arange(10).view(2, 5)
    covered = []
    for seed in range(50):
        x = torch.rand(1, 3, 2, 5, generator=torch.Generator().manual_seed(seed))
        for target in range(4):
            exact, drawn = (
                explain(clf, x, method="lime", target=target, options={"samples": samples, "regions": regions})
                for samples in (1024, 320)
            )
            assert exact.facts["samples"] == 1024 and drawn.facts["samples"] <= 320
            ends = zip(drawn.facts["low"], exact.facts["coefficients"], drawn.facts["high"], strict=True)
            covered += [low <= value <= high for low, value, high in ends]
    assert 0.90 <= np.mean(covered) <= 0.98


def test_sampling_ends_when_the_order_is_settled() -> None:
    x = picture((8, 40))
    clear = Additive(x, grid(x, 20), torch.arange(20.0))
    why = explain(Classifier(clear, input_size=(8, 40)), x, method="lime", target=0, options={"regions": grid(x, 20)})
    assert why.facts["samples"] == why.forward_passes == 250


def test_time_ends_it_with_the_samples_so_far() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    why = explain(clf, x, method="lime", options={"batch": 100}, time_limit=1e-9)
    assert why.facts["samples"] == why.forward_passes == 100
    assert why.facts["stopped_by_time_limit"] is True
    assert "Time was up after 100 of 1000 samples: the errors given are those of so few." in why.notes
    patient = explain(clf, x, method="lime", options={"samples": 500})
    assert "stopped_by_time_limit" not in patient.facts
    assert reach(why) > 1.5 * reach(patient)  # the intervals are as wide as so few samples make them


def reach(why: Explanation) -> float:
    low, high = (np.array(why.facts[name]) for name in ("low", "high"))
    return float((high - low).mean() / 2)


def test_few_segments_are_a_fair_sample_of_all_masks_when_time_is_up() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    options = {"segmentation": "grid", "segments": 9, "batch": 128}
    full = explain(clf, x, method="lime", options=options)
    part = explain(clf, x, method="lime", options=options, time_limit=1e-9)
    assert (full.facts["samples"], part.facts["samples"]) == (512, 128)
    assert (reach(full), part.facts["stopped_by_time_limit"]) == (0.0, True)
    ends = zip(part.facts["low"], full.facts["coefficients"], part.facts["high"], strict=True)
    assert sum(low <= value <= high for low, value, high in ends) >= 8


def test_one_sample_is_too_few() -> None:
    for options in ({"batch": 1}, {"batch": 1, "segments": 4, "segmentation": "grid"}):
        with pytest.raises(OutOfTimeError, match="before the second sample"):
            explain(classifier("in_place"), picture((32, 40)), method="lime", options=options, time_limit=1e-9)


def test_classic_takes_the_first_of_the_packages_masks_when_time_is_up() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    regions = grid(x, 20)
    options = {"classic": True, "regions": regions, "batch": 50}
    why = explain(clf, x, method="lime", options=options, time_limit=1e-9)
    fewer = explain(clf, x, method="lime", options=options | {"samples": 50})
    np.testing.assert_allclose(why.facts["coefficients"], fewer.facts["coefficients"], rtol=1e-4, atol=1e-6)


def test_unsettled_segments_are_marked() -> None:
    why = explain(classifier("in_place"), picture((32, 40)), method="lime", options={"samples": 150})
    low, high, values = (np.array(why.facts[name]) for name in ("low", "high", "coefficients"))
    unsettled = (low <= 0) & (high >= 0)
    assert 0 < unsettled.sum() < len(values)
    assert any(f"{unsettled.sum()} of {len(values)} segments is not settled" in note for note in why.notes)
    np.testing.assert_allclose((low + high) / 2, values, atol=1e-12)
    assert why.unsettled is not None
    for marked, chosen in ((why.unsettled, unsettled), (~why.unsettled, ~unsettled)):
        assert set(why.heatmap[marked].unique().tolist()) == set(values[chosen].astype(np.float32).tolist())
    assert why.parts == {}


def test_where_all_is_settled_nothing_is_marked() -> None:
    x = picture((8, 40))
    regions = grid(x, 20)
    clear = Classifier(Additive(x, regions, 1 + torch.arange(20.0)), input_size=(8, 40))
    for options in ({}, {"classic": True}):
        why = explain(clear, x, method="lime", target=0, options={"regions": regions, "samples": 250} | options)
        assert why.unsettled is None


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
    regions = slic(x, 12)
    effects = torch.randn(int(regions.max()) + 1, generator=torch.Generator().manual_seed(0)) * 5
    clf = Classifier(Additive(x, regions, effects), input_size=(32, 40))
    options = {"samples": 2000, "segments": 12, "batch": 500}
    why = explain(clf, x, method="lime", target=0, options=options)
    torch.testing.assert_close(why.heatmap, effects[regions], rtol=1e-4, atol=1e-4)
    assert why.facts["r2"] > 0.999


@pytest.mark.parametrize("fill", ["grey", "segment_mean", "inpaint", "noise"])
def test_every_segment_is_hidden_and_shown(fill: str) -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    regions = slic(x, 12)
    copies: list[Tensor] = []
    clf.network.register_forward_pre_hook(lambda _, given: copies.append(given[0].clone()))
    METHODS["lime"].function(Query(clf, x, clf.target(0)), samples=40, segments=12, fill=fill)
    batch, x = torch.cat(copies), clf.normalised(x)
    for k in range(int(regions.max()) + 1):
        same = (batch == x).all(1)[:, regions == k]
        hidden = ~same.all(1)
        assert int(hidden.sum()) == 20  # one of each pair of opposites
        if fill == "segment_mean":
            mean = x[0, :, regions == k].mean(1)
            torch.testing.assert_close(batch[hidden][:, :, regions == k].mean((0, 2)), mean)


def lime_package(clf: Classifier, x: Tensor, regions: Tensor, samples: int) -> ImageExplanation:
    def scores(pictures: np.ndarray) -> np.ndarray:
        return clf.scores(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()).numpy()

    return LimeImageExplainer(random_state=5).explain_instance(
        x[0].permute(1, 2, 0).double().numpy(), scores, labels=(TARGET,), top_labels=None, hide_color=0.5,
        num_samples=samples, segmentation_fn=lambda _: regions.numpy(), random_seed=5,
    )  # fmt: skip


def test_classic_gives_the_packages_own_coefficients() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    theirs = lime_package(clf, x, slic(x, 12), 200)
    options = {"samples": 200, "segments": 12, "classic": True, "precision": "float32"}
    why = explain(clf, x, method="lime", target=TARGET, options=options, seed=5)
    expected = [value for _, value in sorted(theirs.local_exp[TARGET])]
    np.testing.assert_allclose(why.facts["coefficients"], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert why.facts["r2"] == pytest.approx(theirs.score, abs=1e-6)
    assert "low" not in why.facts and not why.parts


def test_segments_agree_with_the_lime_package_in_their_order() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    theirs = lime_package(clf, x, slic(x, 12), 1500).local_exp[TARGET]
    ours = explain(clf, x, method="lime", target=TARGET, options={"segments": 12}).facts["coefficients"]
    assert spearmanr(ours, [value for _, value in sorted(theirs)]).statistic > 0.95


def test_a_poor_fit_is_said() -> None:
    class Parity(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noise = torch.sin(1e4 * x.sum((1, 2, 3)))
            return torch.stack([noise, -noise], 1)

    why = explain(Classifier(Parity(), input_size=(32, 40)), picture((32, 40)), method="lime")
    assert why.facts["r2"] < 0.5
    assert "fits poorly" in why.notes[0]


# As the lime package's own


@pytest.mark.parametrize("segmentation", ["slic", "grid"])
def test_an_explanation_converts_to_the_packages_own(segmentation: str) -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    options = {"segments": 12, "segmentation": segmentation, "samples": 100}
    why = explain(clf, x, method="lime", target=TARGET, options=options)
    made = to_lime_package(why)
    shown, mask = made.get_image_and_mask(TARGET, positive_only=True, num_features=3, hide_rest=True)
    top = sorted(set(why.heatmap.unique().tolist()))[-3:]
    np.testing.assert_array_equal(mask == 1, np.isin(why.heatmap.numpy(), [v for v in top if v > 0]))
    np.testing.assert_allclose(shown[mask == 1], x[0].permute(1, 2, 0).numpy()[mask == 1])
    assert made.score == why.facts["r2"] and made.top_labels == [TARGET]


def test_a_grey_picture_and_own_segments_convert_too() -> None:
    clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 3)), input_size=28, channels=1)
    x, labels = picture((28, 28), channels=1), np.arange(28 * 28).reshape(28, 28) // 100
    made = to_lime_package(explain(clf, x, method="lime", target=1, options={"regions": labels}))
    np.testing.assert_array_equal(made.segments, labels)
    assert made.get_image_and_mask(1, positive_only=False)[0].shape == (28, 28, 3)


def test_other_methods_do_not_convert() -> None:
    with pytest.raises(MethodError, match="occlusion"):
        to_lime_package(explain(classifier("in_place"), picture((32, 40)), method="occlusion"))
