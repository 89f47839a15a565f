"""Memory that is kept between batches: counted in page faults, by the operating system."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from cnnaudit import memory

LARGE = 64 << 20
FEWEST = LARGE // (2 << 20)
"""Faults for so much memory where the system gives pages of 2 MB; as a rule it gives 4 kB."""

needs_glibc = pytest.mark.skipif(memory._mallopt() is None, reason="not glibc, or the environment sets its thresholds")


def faults() -> int:
    """Pages faulted in by filling and freeing a large array several times, after the first."""
    np.empty(LARGE, dtype=np.uint8).fill(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.empty(LARGE, dtype=np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@needs_glibc
def test_freed_memory_is_kept_inside_only() -> None:
    assert faults() >= 4 * FEWEST
    with memory.kept():
        with memory.kept():
            assert faults() < FEWEST
        assert faults() < FEWEST
    assert faults() >= 4 * FEWEST


@needs_glibc
def test_it_is_given_back_after_an_exception() -> None:
    with pytest.raises(RuntimeError, match="ours"), memory.kept():
        raise RuntimeError("ours")
    assert faults() >= 4 * FEWEST


def test_the_users_own_thresholds_stand() -> None:
    code = "from cnnaudit import memory; print(memory._mallopt())"
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "1000000"}
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).strip() == "None"
