"""Memory that is kept between batches: the allocator itself says which blocks it got from the system directly."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from cnnaudit import memory

needs_glibc = pytest.mark.skipif(
    memory._mallopt() is None or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="not glibc of at least 2.33, or the environment sets its thresholds",
)

GIVEN_BACK = """
import ctypes
import numpy as np
from cnnaudit import memory

LARGE = 64 << 20

class Mallinfo2(ctypes.Structure):  # see mallinfo(3)
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo2

def given_back():
    np.empty(LARGE, dtype=np.uint8)  # what was kept before is trimmed when this is freed
    before = mallinfo2().hblkhd
    block = np.empty(LARGE, dtype=np.uint8)
    return mallinfo2().hblkhd - before >= LARGE
"""
"""Whether a large block comes from the system, and so goes back to it as soon as it is freed."""


def in_a_process_of_its_own(code: str, **environment: str) -> str:
    """What it prints. In a process that has worked, a block may come from what others left."""
    return subprocess.check_output([sys.executable, "-c", code], text=True, env=os.environ | environment).strip()


@needs_glibc
def test_freed_memory_is_kept_inside_only() -> None:
    code = """
found = [given_back()]
with memory.kept():
    with memory.kept():
        found.append(given_back())
    found.append(given_back())
print(*found, given_back())
"""
    assert in_a_process_of_its_own(GIVEN_BACK + code) == "True False False True"


@needs_glibc
def test_it_is_given_back_after_an_exception() -> None:
    code = """
try:
    with memory.kept():
        raise RuntimeError("ours")
except RuntimeError:
    print(given_back())
"""
    assert in_a_process_of_its_own(GIVEN_BACK + code) == "True"


def test_the_users_own_thresholds_stand() -> None:
    code = "from cnnaudit import memory; print(memory._mallopt())"
    assert in_a_process_of_its_own(code, MALLOC_TRIM_THRESHOLD_="1000000") == "None"


@needs_glibc
def test_rows_in_one_block_leave_the_room_of_a_batch_whole() -> None:
    """What the allocator took in MB: gathered in a list, 4 MB of rows cost 480 in most processes."""
    code = """
import torch

def batches():
    for _ in range(200):
        large = torch.rand(64, 1 << 14).mul(255).round().byte()
        yield large[:, :300].clone()

def taken(gather):
    before, kept = mallinfo2(), gather()
    after = mallinfo2()
    return (after.arena + after.hblkhd - before.arena - before.hblkhd) >> 20

torch.set_num_threads(1)
with memory.kept():
    print(taken(lambda: memory.rows_of(batches(), 200 * 64)))
"""
    assert int(in_a_process_of_its_own(GIVEN_BACK + code)) < 100


def test_rows_are_those_of_all_batches_in_their_order() -> None:
    rows = torch.arange(70).view(35, 2)
    assert torch.equal(memory.rows_of(iter(rows.split(8)), 35), rows)
    for batches, count in ((rows.split(8), 36), (rows.split(8), 34), ((), 0)):
        with pytest.raises(ValueError, match=f"{count} were announced"):
            memory.rows_of(batches, count)
