"""Run an iterator in a thread, a few results ahead of whoever asks for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T], Iterator[T]):
    """The results of an iterator that a thread runs, in order.

    Parameters
    ----------
    results
        Run in the thread; what it raises is raised where its next result was due.
    depth
        How many results the thread may be ahead, the one that it works on included; at least 1.
    clock
        Gives seconds, to measure how long results are waited for.

    Attributes
    ----------
    waited
        Seconds that results were waited for, all together.

    Examples
    --------
    >>> from contextlib import closing
    >>> with closing(Ahead(iter("abc"), depth=1)) as letters:
    ...     list(letters)
    ['a', 'b', 'c']
    """

    def __init__(
        self, results: Iterator[T], depth: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waited = 0.0
        self._clock = clock
        self._results = results
        self._ready: queue.Queue[tuple[T] | BaseException] = queue.Queue()
        self._free = threading.Semaphore(depth)
        self._stopped = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="isl-reader", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """The next result."""
        if self._ended:
            raise StopIteration
        started = self._clock()
        found = self._ready.get()
        self.waited += self._clock() - started
        self._free.release()
        if isinstance(found, tuple):
            return found[0]
        self._ended = True
        raise found

    def _work(self) -> None:
        try:
            while self._may_go_on():
                self._ready.put((next(self._results),))
        except BaseException as error:
            self._ready.put(error)

    def _may_go_on(self) -> bool:
        """Wait until there is room, and say whether anybody still asks."""
        self._free.acquire()
        return not self._stopped.is_set()

    def close(self) -> None:
        """Let the thread end after the result that it works on."""
        self._ended = True
        self._stopped.set()
        self._free.release()
        self._thread.join()
