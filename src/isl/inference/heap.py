"""Have the C library give large blocks of memory back at once."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE_BYTES = 1 << 22


@cache
def give_back_large_blocks() -> bool:
    """Have every freed block of four megabytes or more leave the process; later calls do nothing.

    By default glibc keeps freed blocks of up to 32 MB, and those of one size leave holes that the
    next size does not fit in: a run that goes on for long takes more and more memory, a few
    per cent whenever an image is twice as large. It holds for the whole process from then on;
    what the blocks cost anew cannot be measured beside a network.

    Returns
    -------
    bool
        Whether the C library has been told; False where it is not glibc, which needs it alone.

    References
    ----------
    mallopt(3), ``M_MMAP_THRESHOLD``.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE_BYTES) == 1)
