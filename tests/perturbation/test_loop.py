"""How large batches become."""

import pytest

from cnnaudit.perturbation import BatchSize


def grown(seconds: dict[int, float], first: int = 8, largest: int = 64) -> BatchSize:
    """The size that is settled on when a picture takes these seconds in batches of each size."""
    size = BatchSize(first, largest)
    for _ in range(20):
        size.took(size.size, size.size * seconds[size.size])
    return size


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        ({8: 1.0, 16: 0.5, 32: 0.3, 64: 0.2}, 64),
        ({8: 1.0, 16: 0.5, 32: 0.49}, 16),
        ({8: 1.0, 16: 1.0}, 8),
        ({8: 1.0, 16: 0.9, 32: 1.5}, 16),
    ],
)
def test_a_batch_doubles_while_that_pays(seconds: dict[int, float], size: int) -> None:
    found = grown(seconds)
    assert (found.size, found.settled) == (size, True)


def test_the_better_of_two_times_counts_and_part_batches_do_not() -> None:
    size = BatchSize(8, 16)
    for pictures, seconds in ((8, 80.0), (3, 0.0), (8, 8.0), (16, 160.0), (16, 15.0)):
        size.took(pictures, seconds)
    assert (size.size, size.settled) == (16, True)


def test_halving_is_for_good() -> None:
    size = BatchSize(8, 64)
    size.halve()
    for _ in range(5):
        size.took(4, 0.001)
    assert (size.size, size.settled) == (4, True)
