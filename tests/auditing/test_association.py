"""Links with a class, against scikit-learn and scipy."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from cnnaudit.auditing.association import links, within_classes
from cnnaudit.auditing.together import together


def test_areas_are_scikit_learns_and_bits_the_g_statistic() -> None:
    draw = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 100)
    column = np.round(draw.normal(size=300) + (truth == 1), 1)  # with ties
    column[:5] = np.nan
    (found,) = [link for link in links({"p": column}, truth, truth) if link.label == 1]
    known, own = np.isfinite(column), truth == 1
    assert found.area == pytest.approx(roc_auc_score(own[known], column[known]))
    table = [[(own & found.present)[known].sum(), (own & ~found.present)[known].sum()]]
    table += [[(~own & found.present)[known].sum(), (~own & ~found.present)[known].sum()]]
    g = float(np.asarray(stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")[0]))
    assert found.bits == pytest.approx(g / (2 * math.log(2)))
    assert found.sign == 1 and not found.present[:5].any()


def test_a_cue_in_a_twentieth_of_a_class_is_found() -> None:
    draw = np.random.default_rng(1)
    truth = np.repeat(np.arange(5), 200)
    column = draw.normal(size=1000)
    column[:10] += 8
    (found,) = links({"p": column}, truth, truth)
    assert (found.label, found.sign) == (0, 1) and found.area < 0.56
    assert found.present[:10].all() and found.present.sum() <= 12


def test_chance_makes_no_links() -> None:
    draw = np.random.default_rng(2)
    truth = np.repeat(np.arange(4), 100)
    found = [links({str(k): draw.normal(size=400) for k in range(10)}, truth, truth) for _ in range(20)]
    assert sum(map(bool, found)) <= 1


def test_few_pictures_of_a_class_settle_nothing() -> None:
    truth = np.repeat(np.arange(20), 5)
    assert links({"p": truth.astype(float)}, truth, truth) == []


def test_within_one_class_it_is_the_rank_sum_of_scipy() -> None:
    draw = np.random.default_rng(3)
    present, towards = draw.random(60) < 0.4, np.round(draw.random(60), 1)
    found = within_classes(present, np.ones(60, bool), towards)
    p = stats.mannwhitneyu(towards[present], towards[~present], method="asymptotic", use_continuity=False).pvalue
    assert found is not None and 2 * stats.norm.sf(abs(found)) == pytest.approx(p)
    assert within_classes(np.ones(60, bool), np.ones(60, bool), towards) is None


def test_all_properties_together_are_held_out() -> None:
    draw = np.random.default_rng(4)
    truth = np.repeat([0, 1], 300)
    noise = {str(k): draw.normal(size=600) for k in range(8)}
    guessed, told = together(noise, truth, 0), together(noise | {"cue": truth + 0.7 * draw.normal(size=600)}, truth, 0)
    assert guessed is not None and told is not None
    assert guessed.accuracy == pytest.approx(0.5, abs=0.06) and guessed.useful == ()
    assert told.accuracy == pytest.approx(stats.norm.cdf(0.5 / 0.7), abs=0.04)  # of the best threshold there is
    assert told.useful == ("cue",)
    assert together({"p": truth.astype(float)}, np.arange(600), 0) is None
