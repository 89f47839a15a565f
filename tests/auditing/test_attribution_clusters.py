"""Attribution clusters against strategies that were planted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from tagged_pictures import Reddish, asked, tag
from torch import Tensor

from cnnaudit.auditing import interventions
from cnnaudit.auditing.attribution_clusters import attended, attribution_cues, spectra, strategies
from cnnaudit.auditing.judging import judged
from cnnaudit.auditing.segments import map_layer

N = 160


def told_by_red(tagged: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Grey pictures of two classes: the second is red all over a band, or, where asked for, has a small red tag."""
    draw = torch.Generator().manual_seed(seed)
    truth = torch.arange(N) % 2
    pixels = 0.4 + 0.1 * torch.rand(N, 1, 32, 32, generator=draw).expand(-1, 3, -1, -1).clone()
    for k in (truth == 1).nonzero().squeeze(1).tolist():
        row, column = (int(torch.randint(26, (1,), generator=draw)) for _ in range(2))
        if tagged[k]:
            pixels[k, :, row : row + 6, column : column + 6] = tag()
        else:
            away = (torch.arange(32) - row).abs()[None, :, None] / (4 + 4 * torch.rand(1, generator=draw))
            shade = (0.9 - 0.5 * away) * (0.8 + 0.2 * torch.rand(1, 32, 32, generator=draw))
            red = shade * torch.tensor([1.0, 0.1, 0.1])[:, None, None]
            pixels[k] = torch.where(away < 1, red, pixels[k])
    return pixels, truth


def test_a_strategy_that_a_few_pictures_are_told_by_is_a_cue() -> None:
    tags = torch.arange(N) % 10 == 1
    pixels, truth = told_by_red(tags)
    given = asked(Reddish(), pixels, truth)
    (cue,) = attribution_cues(given)
    own = truth == 1
    assert cue.kind == "attribution" and cue.label == 1
    assert adjusted_rand_score(tags[own], cue.present[own]) >= 0.9
    assert not bool((cue.present & ~own).any())
    (_, finding), *_ = judged(given, interventions.tested(given, [cue]))
    assert finding.verdict == "confirmed" and finding.nature == "shortcut"


def test_who_has_a_cue_is_told_of_all_classes_and_whatever_the_answer() -> None:
    draw = torch.Generator().manual_seed(3)
    pixels, truth = told_by_red(torch.arange(N) % 6 == 1)
    tags = (torch.arange(N) % 6 == 1) | (torch.arange(N) % 32 == 0)
    for k in (tags & (truth == 0)).nonzero().squeeze(1).tolist():
        pixels[k, :, 9:15, 13:19] = tag()
    given = asked(Reddish(), pixels, truth)
    wrong = torch.rand(N, generator=draw) < 0.2  # of all alike: it has nothing to do with the tag
    answers = torch.where(wrong, 1 - truth, truth)
    (cue,) = attribution_cues(replace(given, survey=replace(given.survey, predicted=answers)))
    assert adjusted_rand_score(tags, cue.present) >= 0.9
    assert (cue.present & wrong & (truth == 1)).sum() >= 3 and (cue.present & (truth == 0)).sum() >= 4
    assert cue.association == pytest.approx(roc_auc_score(truth == 1, cue.present))
    assert "4 of 80 pictures of other classes" in cue.evidence[1] or "5 of 80" in cue.evidence[1]


def test_what_goes_with_the_other_class_more_often_is_no_cue_of_this_one() -> None:
    pixels, truth = told_by_red(torch.arange(N) % 10 == 1)
    for k in (truth == 0).nonzero().squeeze(1).tolist():
        pixels[k, :, 9:15, 13:19] = tag()
    assert attribution_cues(asked(Reddish(), pixels, truth)) == []


@pytest.mark.parametrize("seed", range(3))
def test_one_strategy_is_none(seed: int) -> None:
    pixels, truth = told_by_red(torch.zeros(N, dtype=torch.bool), seed=seed)
    assert attribution_cues(asked(Reddish(), pixels, truth)) == []


def test_two_kinds_of_maps_are_told_apart_wherever_they_lie() -> None:
    rows, truth = _maps(seed=0, kinds=2)
    assert adjusted_rand_score(truth, strategies(rows, seed=0)) >= 0.9


def test_maps_of_one_kind_are_not_cut_into_parts() -> None:
    for seed in range(10):
        rows, _ = _maps(seed=seed, kinds=1)
        assert not strategies(rows, seed=0).any()


def _maps(*, seed: int, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of bumps of one width, or of two, anywhere."""
    draw = np.random.default_rng(seed)
    truth = np.arange(100) % 4 == 0 if kinds == 2 else np.zeros(100, bool)
    rows, columns = np.mgrid[:32, :32]
    maps = np.empty((100, 32, 32), np.float32)
    for k in range(100):
        (row, column), width = (
            draw.uniform(12, 20, 2),
            2.0 + 0.1 * draw.normal() if truth[k] else 4 + 0.2 * draw.normal(),
        )
        bump = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
        maps[k] = bump * draw.uniform(0.9, 1.1, (32, 32))
    return spectra(torch.from_numpy(maps)), truth


def test_magnitudes_do_not_change_with_a_shift() -> None:
    maps = torch.zeros(2, 32, 32)
    maps[0, 4:10, 6:12], maps[1, 16:22, 20:26] = 1, 1
    one, other = spectra(maps)
    assert one == pytest.approx(other)
    assert one[0] == pytest.approx(1)


def test_what_speaks_for_the_answer_is_the_red_of_the_picture() -> None:
    pixels, truth = told_by_red(torch.arange(N) % 2 == 1)
    given = asked(Reddish(), pixels, truth)
    layer = map_layer(given.classifier)
    assert layer is not None
    seen = attended(given.classifier, pixels[1:2], layer, 1)[0]
    red = (pixels[1, 0] - pixels[1, 1] - pixels[1, 2] - 0.3).clamp(min=0)
    assert torch.allclose(seen, red / red.sum(), atol=1e-5)
