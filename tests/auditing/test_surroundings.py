"""What surroundings have of a property, against scipy and scikit-learn; a tint of all, and contrast of the object."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import asked_about
from scipy import stats
from sklearn.metrics import roc_auc_score

from cnnaudit.auditing.association import SURE_Z
from cnnaudit.auditing.measures import contrast
from cnnaudit.auditing.surroundings import around, of_surroundings

N = 200


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def z_of(has: torch.Tensor, own: torch.Tensor) -> float:
    """The square root of chi squared of the table of two by two."""
    table = np.histogram2d(has.numpy(), own.numpy(), 2)[0]
    return float(stats.chi2_contingency(table, correction=False).statistic) ** 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_the_area_of_scikit_learn_and_chi_squared_of_scipy(sign: int) -> None:
    own = torch.arange(N) % 2 == 0
    present = own ^ (torch.rand(N, generator=draw()) < 0.2)
    values = sign * (present + 0.5 * torch.randn(N, generator=draw()))
    values[:3] = torch.nan
    found = around(present, values, sign, [own])
    assert found is not None
    known = torch.arange(3, N)
    most = (sign * values[known]).argsort(descending=True)[: int(present[known].sum())]
    has = torch.zeros(N - 3, dtype=torch.bool)
    has[most] = True
    assert found.told == pytest.approx(roc_auc_score(present[known], sign * values[known]))
    assert found.whole == pytest.approx(z_of(present[known], own[known]))
    assert found.link == pytest.approx(z_of(has, own[known]))
    assert found.object_share == pytest.approx(1 - found.link / found.whole)


def test_of_two_sides_the_one_counts_that_the_property_goes_with() -> None:
    own = torch.arange(N) % 2 == 0
    values = own + 0.1 * torch.randn(N, generator=draw())
    chance = torch.rand(N, generator=draw()) < 0.5
    assert around(own, values, 1, [chance, own]) == around(own, values, 1, [own])


@pytest.mark.parametrize("turned", [1, -1])
def test_what_is_equal_does_not_go_with_the_class_that_comes_first(turned: int) -> None:
    own = (torch.arange(N) < N // 2) == (turned > 0)
    present = own ^ (torch.rand(N, generator=draw()) < 0.1)
    flat = around(present, torch.zeros(N), 1, [own])
    assert flat is not None and (flat.told, flat.link, flat.object_share) == (0.5, 0.0, 1.0)
    some = around(present, (torch.arange(N) % 10 == 0).float(), 1, [own])
    assert some is not None and abs(some.link) < 1e-9


def test_a_large_object_makes_no_surroundings_smooth() -> None:
    """The ground is as sharp everywhere; over a large object it is painted, and paint is smooth."""
    truth = torch.arange(N) % 2
    pixels = 0.5 + 0.1 * torch.randn(N, 3, 32, 32, generator=draw())
    stands = torch.zeros(N, 32, 32, dtype=torch.bool)
    stands[truth == 0, 12:20, 12:20] = True
    stands[truth == 1, 4:28, 4:28] = True
    pixels = torch.where(stands[:, None], torch.tensor(0.5), pixels).clamp(0, 1)
    asked = asked_about(pixels, truth)
    asked = replace(asked, pictures=replace(asked.pictures, masks=lambda places: stands[list(places)]))
    places, values = of_surroundings(asked)
    found = around((truth == 1)[places], values["sharpness"], -1, [truth[places] == 1])
    assert found is not None and found.whole > 10
    assert abs(found.link) < 2.6 and found.object_share > 0.8


def test_few_pictures_and_a_faint_link_tell_nothing() -> None:
    own = torch.arange(N) % 2 == 0
    assert around(torch.arange(N) < 9, torch.rand(N), 1, [own]) is None
    chance = torch.arange(N) % 4 < 2
    assert abs(z_of(chance, own)) < SURE_Z
    assert around(chance, chance.float(), 1, [own]) is None


@pytest.mark.parametrize("tinted", [True, False], ids=["a tint of one class", "the object, and a tint of both"])
def test_a_tint_says_where_the_object_shows_but_goes_with_no_class(tinted: bool) -> None:
    """All are pale where a veil lies over them. It lies over one class, or over half of both, and then the objects of
    the other have more contrast."""
    truth = torch.arange(N) % 2
    veiled = truth == 0 if tinted else torch.arange(N) % 4 < 2
    noise = 0.5 + 0.15 * torch.randn(N, 3, 32, 32, generator=draw())
    bright = torch.where(truth == 1, 1.0, 0.55) if not tinted else torch.full((N,), 0.8)
    stands = torch.zeros(N, 32, 32, dtype=torch.bool)
    stands[:, 10:22, 10:22] = True
    noise = torch.where(stands[:, None], bright.view(-1, 1, 1, 1), noise)
    pixels = torch.where(veiled.view(-1, 1, 1, 1), 0.5 + 0.6 * (noise - 0.5), noise).clamp(0, 1)
    asked = asked_about(pixels, truth)
    asked = replace(asked, pictures=replace(asked.pictures, masks=lambda places: stands[list(places)]))
    places, values = of_surroundings(asked)
    strong = contrast(pixels) > contrast(pixels).quantile(0.5 if tinted else 0.75)
    found = around(strong[places], values["contrast"], 1, [truth[places] == 1])
    assert found is not None and found.whole > 5
    assert found.told > 0.8
    assert found.object_share < 0.1 if tinted else found.object_share > 0.65
