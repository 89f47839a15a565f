"""Memory that is kept between batches: the allocator itself says which blocks it got from the system directly."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from cnnaudit import memory

LARGE = 64 << 20


class _Mallinfo2(ctypes.Structure):
    """The result of glibc's mallinfo2; see its manual page, mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


_mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2:
    _mallinfo2.restype = _Mallinfo2

needs_glibc = pytest.mark.skipif(
    memory._mallopt() is None or _mallinfo2 is None,
    reason="not glibc of at least 2.33, or the environment sets its thresholds",
)


def given_back() -> bool:
    """Whether a large block comes from the system, and so goes back to it as soon as it is freed."""
    assert _mallinfo2 is not None
    np.empty(LARGE, dtype=np.uint8)  # what an earlier loop kept is trimmed when this is freed
    before = _mallinfo2().hblkhd
    block = np.empty(LARGE, dtype=np.uint8)
    grown = _mallinfo2().hblkhd - before
    del block
    assert grown == 0 or grown >= LARGE
    return grown > 0


@needs_glibc
def test_freed_memory_is_kept_inside_only() -> None:
    assert given_back()
    with memory.kept():
        with memory.kept():
            assert not given_back()
        assert not given_back()
    assert given_back()


@needs_glibc
def test_it_is_given_back_after_an_exception() -> None:
    with pytest.raises(RuntimeError, match="ours"), memory.kept():
        raise RuntimeError("ours")
    assert given_back()


def test_the_users_own_thresholds_stand() -> None:
    code = "from cnnaudit import memory; print(memory._mallopt())"
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "1000000"}
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).strip() == "None"
