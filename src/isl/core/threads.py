"""Threads that an interruption, which only the main thread hears of, must not leave at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import _threads_queues as threads_of_pools
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

_SECONDS_TO_END = 10.0


@contextmanager
def threads_ended() -> Iterator[None]:
    """Where the block ends with an exception, wait for the threads that were begun in it.

    Not for daemons, which end with the process whatever they do, and not for the threads of pools,
    which stay when they have nothing to do: a pool is ended by the block that opened it. Threads
    that take longer than some seconds are left to themselves.
    """
    before = set(threading.enumerate())
    try:
        yield
    except BaseException:
        give_up = time.monotonic() + _SECONDS_TO_END
        for thread in set(threading.enumerate()) - before:
            if not thread.daemon and thread not in threads_of_pools:
                with suppress(RuntimeError):  # another thread is just about to start it
                    thread.join(max(give_up - time.monotonic(), 0.0))
        raise


def to_the_end(work: Callable[..., T], *arguments: object) -> T:
    """Let a library do something in threads of its own, and wait for the end, interrupted or not.

    Only the main thread hears of an interruption, and would leave the threads of the library at
    work. So the library is called in another thread, which is waited for before the interruption
    goes on.

    Parameters
    ----------
    work
        Called once.
    *arguments
        What it is called with.

    Returns
    -------
    T
        What ``work`` returns.
    """
    with ThreadPoolExecutor(1, "isl-to-the-end") as pool:
        # A pool that is interrupted while it starts a thread does not know it, and would not wait.
        pool.submit(_nothing).result()
        return pool.submit(work, *arguments).result()


def _nothing() -> None:
    """Ends when the thread that runs it is known to its pool."""
