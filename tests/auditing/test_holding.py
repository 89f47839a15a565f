"""Holding against a list that is searched from the end."""

import random
from dataclasses import dataclass

import pytest

from cnnaudit.auditing.holding import Holding


@dataclass(frozen=True)
class Thing:
    nbytes: int


@pytest.mark.parametrize("most", [0, 10, 40, 1000])
def test_the_last_ones_asked_for_that_fit_are_held(most: int) -> None:
    draw = random.Random(most)
    sizes = [draw.randint(1, 15) for _ in range(30)]
    holding, order = Holding[Thing](most), []
    for _ in range(500):
        key = draw.randrange(30)
        found = holding.get(key)
        assert (found is not None) == (key in order)
        if found is None:
            holding.put(key, Thing(sizes[key]))
        order = [*(other for other in order if other != key), key]
        while sum(sizes[other] for other in order) > most:
            order.pop(0)
        assert len(holding) == len(order) and holding.nbytes == sum(sizes[other] for other in order)
