"""A slice that was planted is found; none where errors are spread at random; its p against SciPy's."""

import numpy as np
import pytest
import torch
from made_up import asked_about, clouds
from scipy import stats
from test_hurting import cue
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.slices import slices

N = 600


def features(seed: int) -> Tensor:
    """Eight numbers a picture: five groups in each of two classes."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 8, generator=draw) * 2
    return centres[torch.arange(N) % 10] + torch.randn(N, 8, generator=draw)


def answered(wrong: Tensor, seed: int, *, dark: Tensor | None = None) -> Asked:
    truth, pixels = torch.arange(N) % 2, clouds(N, size=16)
    if dark is not None:
        pixels[dark] -= 0.15
    return asked_about(pixels, truth, predicted=torch.where(wrong, 1 - truth, truth), embeddings=features(seed))


def at_random(share: float, seed: int) -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(1000 + seed)) < share


def test_a_planted_slice_is_found_and_named() -> None:
    group = torch.arange(N) % 10 == 4
    found = slices(answered(at_random(0.04, 0) | (group & at_random(0.7, 1)), 0, dark=group))
    assert len(found) == 1
    (only,) = found
    inside = [int(name[:3]) % 10 == 4 for name in only.names]
    assert np.mean(inside) > 0.9 and only.pictures == len(only.names) > 20
    assert only.right.value < 0.5 < 0.9 < only.elsewhere.value
    assert only.name.startswith("cat answered dog: dark pictures")
    assert len(only.samples) == 8 and only.samples[0].shape == (16, 16, 3)


def test_p_is_fishers() -> None:
    group = torch.arange(N) % 10 == 4
    (only,) = slices(answered(at_random(0.04, 0) | (group & at_random(0.7, 1)), 0))
    rows = [[share.n - share.right, share.right] for share in (only.right, only.elsewhere)]
    p = float(np.asarray(stats.fisher_exact(rows, alternative="greater"))[1])
    assert p * 0.999 <= only.p_adjusted <= 8 * p  # of at most eight groups


def test_the_cues_that_a_slice_has_more_often_are_told_confirmed_ones_first() -> None:
    group = torch.arange(N) % 10 == 4
    snow, water = group & at_random(0.9, 2), group | at_random(0.2, 3)
    tested = [cue(water, "water", "inconclusive"), cue(~group, "rare")]
    tested += [cue(at_random(0.5, 4), "chance"), cue(snow)]
    (only,) = slices(answered(at_random(0.04, 0) | (group & at_random(0.7, 1)), 0), tested)
    assert [(each.finding, each.verdict) for each in only.cues] == [("snow", "confirmed"), ("water", "inconclusive")]
    assert only.cues[0].inside.n == only.pictures and only.cues[0].elsewhere.n == only.elsewhere.n
    rows = [[each.right, each.n - each.right] for each in (only.cues[1].inside, only.cues[1].elsewhere)]
    p = float(np.asarray(stats.fisher_exact(rows, alternative="greater"))[1])
    assert p * 0.999 <= only.cues[1].p_adjusted <= 4 * p  # of four cues


@pytest.mark.slow
def test_errors_at_random_make_no_slices() -> None:
    alarms = sum(bool(slices(answered(at_random((0.08, 0.3)[seed % 2], seed), seed))) for seed in range(40))
    assert alarms <= 2


def test_few_errors_and_lost_pictures_settle_nothing() -> None:
    given = answered(torch.arange(N) < 4, 0)
    given.survey.predicted[100:300] = -1
    given.survey.embeddings[100:300] = torch.nan
    assert slices(given) == ()


def test_many_classes_with_few_errors_each_are_looked_at_together() -> None:
    truth = torch.arange(N) % 60
    embeddings = torch.randn(N, 4, generator=torch.Generator().manual_seed(2))
    embeddings[:60] += 6
    wrong = at_random(0.03, 5) | (torch.arange(N) < 60)
    given = asked_about(
        clouds(N, size=16),
        truth,
        predicted=torch.where(wrong, (truth + 1) % 60, truth),
        embeddings=embeddings,
        labels=tuple(map(str, range(60))),
    )
    (only,) = slices(given)
    assert "classes answered" in only.name and all(int(name[:3]) < 60 for name in only.names)
