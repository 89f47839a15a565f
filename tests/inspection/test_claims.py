"""Which changes of log-odds are told of."""

import pytest

from cnnaudit.inspection.ablation import _doubted
from cnnaudit.inspection.claims import claim
from cnnaudit.inspection.paired import difference
from cnnaudit.results import Change, Loss
from cnnaudit.training.metrics import share


def loss(change: float, p: float, activity: float = 0.0) -> Loss:
    odds, right = Change(change, change - 0.01, change + 0.01), share(900, 1000)
    return Loss("wolf", right, right, difference(1000, 900, 0, 0), 0, 0, 1.0, activity, odds, odds, 2.0, p)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([loss(5.0, 1e-300), loss(0.1, 1.0)], 0),
        ([loss(1.0, 1e-9), loss(5.0, 1e-9), loss(-0.2, 1e-9)], 2),
        ([loss(-1.0, 1e-9, 0.1), loss(-0.2, 1e-9, 0.3)], 1),
        ([loss(-0.001, 1e-300), loss(0.01, 1e-300)], None),
        ([loss(-5.0, 0.04)], None),
        ([], None),
    ],
)
def test_a_fall_comes_first_then_the_largest_rise(classes: list[Loss], told: int | None) -> None:
    assert _doubted(classes, 2) == told


def test_what_a_claim_says() -> None:
    classes = [loss(5.0, 1e-300), loss(-0.5, 1e-300)]
    said = [claim("conv4", 3, classes, None, place, None, labelled=True) for place in (0, 1, None)]
    assert said == [
        "Without channel 3 of conv4, the mean log-odds of wolf in its pictures rise from 2.00 to 7.00.",
        "Without channel 3 of conv4, the mean log-odds of wolf in its pictures fall from 2.00 to 1.50.",
        "Without channel 3 of conv4, no recall and no log-odds change much by more than chance.",
    ]
    assert "no answers and no log-odds" in claim("conv4", 3, classes, None, None, None, labelled=False)
