"""Candidates: rank statistics against SciPy and scikit-learn, covers against counting, and what was planted."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score
from tagged_pictures import Reddish, asked, discs, grey, tagged
from torch import Tensor

from cnnaudit.auditing import candidates as module
from cnnaudit.auditing.candidates import FEWEST, Covers, candidates
from cnnaudit.auditing.segments import Segmented


@pytest.mark.parametrize("ties", [2, 5, 1000])
def test_going_with_a_class_is_the_roc_area_and_mann_and_whitney_s_z(ties: int) -> None:
    draw = np.random.default_rng(ties)
    own = draw.random(90) < 0.3
    values = np.floor((draw.random(90) + 0.1 * own) * ties)
    area, errors = module._goes_with(module._ranks(values), own)
    assert area == pytest.approx(roc_auc_score(own, values))
    p = mannwhitneyu(values[own], values[~own], alternative="greater", use_continuity=False, method="asymptotic").pvalue
    assert errors == pytest.approx(norm.isf(p), rel=1e-6)


def test_what_never_varies_goes_with_nothing() -> None:
    assert module._goes_with(module._ranks(np.ones(20)), np.arange(20) < 7) == (0.5, 0.0)


def test_covers_and_attribution_are_counted_pixel_by_pixel() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 5, (12, 12)).astype(np.uint8)
    area = np.bincount(labels.ravel()) / labels.size
    border, attribution = np.array([0, 0.2, 0, 0.8, 0]), draw.dirichlet(np.ones(5))
    none = np.zeros((5, 0), np.float32)
    part = Segmented(labels, area.astype(np.float32), border.astype(np.float32), none, none, attribution)
    found, kinds, copies = Covers.empty(1, 4), np.array([2, 0, 2, 1, 0]), draw.random((12, 12)) < 0.1
    module._count(found, 0, part, kinds)
    module._count_copies(found, 0, part, copies, 3)
    for column, where in enumerate([*(kinds[labels] == k for k in range(3)), copies]):
        share = attribution[labels] / (area * labels.size)[labels]
        assert found.cover[0, column] == pytest.approx(where.mean())
        assert found.outer[0, column] == pytest.approx((where & (border[labels] > 0)).mean())
        assert found.attribution[0, column] == pytest.approx(share[where].sum(), rel=1e-5)


@pytest.mark.slow
def test_a_tag_in_one_of_twenty_pictures_of_a_class_comes_first_where_it_is() -> None:
    truth = torch.arange(400) % 2
    present = (truth == 1) & (torch.arange(400) % 40 == 1)
    pixels, _ = tagged(grey(400, size=24), present)
    scenery, sample, found = candidates(asked(Reddish(), pixels, truth))
    first = found[0]
    assert (first.copied, first.label, sample) == (True, 1, tuple(range(400)))
    assert (first.present == present.numpy()).all() and (first.absent == ~present.numpy()).all()
    assert first.area == pytest.approx(36 / 24**2, rel=1e-4) and first.attribution > 5
    view = scenery.views([int(present.nonzero()[0])])[0]
    assert first.where(view).sum() == 36
    order = [(not each.copied, -each.standard_errors) for each in found]
    assert order == sorted(order)


def blobs(rare: int) -> tuple[Tensor, Tensor]:
    truth = (torch.arange(60) < rare).long()
    return discs(60, truth)[0], truth


def test_a_class_with_too_few_pictures_has_no_candidates() -> None:
    for rare in (0, FEWEST - 1):
        pixels, truth = blobs(rare)
        assert all(each.label == 0 for each in candidates(asked(Reddish(), pixels, truth))[2])
    pixels, truth = blobs(30)
    found = candidates(asked(Reddish(), pixels, truth))[2]
    assert {each.label for each in found} == {0, 1}
    for each in found:
        assert (each.present & (truth == each.label).numpy()).sum() >= FEWEST
        assert not (each.present & each.absent).any() and each.association > 0.5


def test_of_pictures_outside_the_sample_no_more_than_a_row_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's memory is traced: that of 48 more pictures, each of whose segments take 4 KB."""
    monkeypatch.setattr(module, "SAMPLE", 16)

    def peak(n: int) -> int:
        pixels, truth = discs(n, torch.arange(n) % 2, size=64)[0], torch.arange(n) % 2
        given = asked(Reddish(), pixels, truth)
        tracemalloc.start()
        candidates(given)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(24)  # what is imported and compiled once
    assert (peak(72) - peak(24)) / 48 < 1500
