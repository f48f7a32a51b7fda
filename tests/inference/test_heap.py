from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from isl.inference import heap

HOLES = """
import sys
import numpy as np, psutil
from isl.inference.heap import give_back_large_blocks

told = give_back_large_blocks() if sys.argv[1] == "told" else None
del (large := [np.ones(1 << 24, np.uint8)])[:]  # after which glibc keeps what is no larger
blocks = [np.ones(1 << 22, np.uint8) for _ in range(60)]
before = psutil.Process().memory_info().rss
del blocks[::2]
print(told, (before - psutil.Process().memory_info().rss) >> 22)
"""


def freed(how: str) -> tuple[str, int]:
    """Of 30 blocks of 4 MB that a process frees between others how many leave it."""
    # Dask sets some, and any of them changes what glibc does by itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    found = subprocess.run(
        [sys.executable, "-c", HOLES, how], capture_output=True, text=True, check=True, env=env
    )
    told, blocks = found.stdout.split()
    return told, int(blocks)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_blocks_between_others_leave_the_process():
    assert freed("not told") == ("None", 0)
    told, blocks = freed("told")
    assert told == "True"
    assert blocks >= 29


def test_systems_without_glibc_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(heap.ctypes, "CDLL", None)
    assert heap.give_back_large_blocks.__wrapped__() is False


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.give_back_large_blocks.__wrapped__() is False
