"""Numbers as a reader sees them."""

import pytest

from cnnaudit import numbers
from cnnaudit.errors import CnnAuditError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.12374, "0.124"),
        (-3.1, "−3.1"),
        (12345.6, "12300"),
        (1e-4, "0.0001"),
        (2e-7, "2\u00a0×\u00a010⁻⁷"),
        (-1.238e9, "−1.24\u00a0×\u00a010⁹"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (1.0, "100"),
        (0.9999999, "99.99"),
        (0.9312, "93"),
        (0.0417, "4.2"),
        (0.00421, "0.42"),
        (0.00003, "< 0.01"),
        (0.0, "0"),
    ],
)
def test_percent_never_claims_certainty(probability: float, text: str) -> None:
    assert numbers.percent(probability) == f"{text}\u202f%"


def test_signed_shows_the_plus_and_count_groups_thousands() -> None:
    assert numbers.signed(0.5) == "+0.5"
    assert numbers.signed(-0.5) == "−0.5"
    assert numbers.count(3_504_872) == "3\u202f504\u202f872"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (None, "none"), ("mean", "mean"), ((32, 32), "32, 32"), (0.002171, "0.002171")],
)
def test_fact(value: object, text: str) -> None:
    assert numbers.fact(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_never_shown(value: float) -> None:
    with pytest.raises(CnnAuditError, match="finite"):
        numbers.number(value)
