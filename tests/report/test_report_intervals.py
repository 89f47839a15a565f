"""Facts as rows: values of segments with the ends of their intervals, arrays by their size."""

import numpy as np
import pytest
import torch

from cnnaudit.numbers import fact
from cnnaudit.report.intervals import rows
from cnnaudit.report.plain import plain

FACTS = {"r2": 0.5, "coefficients": (0.1, -2.0), "low": (-0.05, -2.5), "high": (0.25, -1.5), "samples": 1000}


def test_intervals_stand_beside_their_values_largest_first() -> None:
    assert dict(rows(FACTS)) == {
        "r2": "0.5",
        "coefficients, 95 % intervals": "−2 (−2.5 to −1.5), +0.1 (−0.05 to +0.25)",
        "samples": "1\u202f000",
    }


@pytest.mark.parametrize("missing", ["coefficients", "low", "high"])
def test_facts_that_are_no_intervals_stay_as_they_are(missing: str) -> None:
    facts = {name: value for name, value in FACTS.items() if name != missing}
    assert dict(rows(facts)) == {name: fact(value) for name, value in facts.items()}


@pytest.mark.parametrize("array", [np.zeros((2, 3), int), torch.zeros(2, 3)])
def test_arrays_are_named_by_their_size(array: object) -> None:
    assert fact(array) == plain({"regions": array})["regions"] == "2 × 3 numbers"
