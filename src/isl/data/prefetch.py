"""What later steps need, made ready by threads while the present step runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
_DEPTH_PER_THREAD = 2


class Prefetcher(Generic[T], Iterator[T]):
    """The results of a function for one step after another, without end.

    Threads are ahead of whoever iterates by twice their number of results, and no further.  An
    error is raised where its result was due.  `close` lets them end; what has not begun by then is
    dropped.

    Parameters
    ----------
    make
        Called with the number of a step, in any thread.
    first
        The first step.
    threads
        Number of threads; 0 to make each result when it is asked for.
    clock
        Gives seconds, to measure how long results are waited for.

    Attributes
    ----------
    waited
        Seconds that the last result was waited for.

    Examples
    --------
    >>> from contextlib import closing
    >>> with closing(Prefetcher(lambda step: step * step, first=3, threads=2)) as squares:
    ...     [next(squares) for _ in range(3)]
    [9, 16, 25]
    """

    def __init__(
        self,
        make: Callable[[int], T],
        first: int,
        threads: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waited = 0.0
        self._clock = clock
        self._make, self._next = make, first
        self._depth = _DEPTH_PER_THREAD * threads
        self._ready: deque[Future[T]] = deque()
        self._threads = ThreadPoolExecutor(threads, "isl-loader") if threads else None

    def __next__(self) -> T:
        """The result of the next step."""
        started = self._clock()
        try:
            return self._result()
        except BaseException:
            self.close()
            raise
        finally:
            self.waited = self._clock() - started

    def _result(self) -> T:
        if self._threads is None:
            self._next += 1
            return self._make(self._next - 1)
        while len(self._ready) < self._depth:
            self._submit(self._threads)
        result = self._ready.popleft().result()
        self._submit(self._threads)
        return result

    def _submit(self, threads: ThreadPoolExecutor) -> None:
        self._ready.append(threads.submit(self._make, self._next))
        self._next += 1

    def close(self) -> None:
        """Let the threads end after what they do now; nothing can be asked for afterwards."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._ready.clear()


class WaitShare:
    """Share of the time of training steps that they wait for data.

    Attributes
    ----------
    value
        From 0 to 1; 0 before the first step.
    """

    def __init__(self) -> None:
        self._waited = self._worked = 0.0

    def add(self, waited_seconds: float, worked_seconds: float) -> None:
        """Count one step."""
        self._waited += waited_seconds
        self._worked += worked_seconds

    @property
    def value(self) -> float:
        """From 0 to 1; 0 before the first step."""
        return self._waited / max(self._waited + self._worked, 1e-12)
