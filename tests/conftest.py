"""What the tests of the whole package share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small networks lose time on many threads, and a fixed number makes sums repeatable."""
    torch.set_num_threads(1)
