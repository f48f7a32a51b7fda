"""Bounded submission of tasks to a Dask scheduler, and what becomes of each."""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.protocol.pickle import loads

from isl.core.errors import ClusterError, IslError, WorkerDiedError
from isl.inference.cluster_connect import LOST
from isl.inference.cluster_worker import Crashed, Outcome, Refused, run_task

logger = logging.getLogger(__name__)

TASKS_PER_WORKER = 2
"""Tasks in the hands of the scheduler for each worker: one that runs and one that waits."""
BEAT_S = 1.0
"""How often the workers are counted while no task finishes."""
SAY_S = 10.0
"""After how long without any worker the run says so; a process that died is back before."""
LOGGED_CRASHES = 3
"""Unexpected errors that are logged in full; a broken installation makes one per task."""


def name_of(item: Any) -> str:
    """What messages call a task: its key where it has one."""
    return str(getattr(item, "key", item))


@dataclass
class Window:
    """The tasks of one run that are submitted and not yet finished.

    Attributes
    ----------
    client
        Connection to the scheduler.
    run
        Name under which the workers know the work.
    wait_s
        How long there may be no worker before the run gives up.
    """

    client: Client
    run: str
    wait_s: float
    crashes: list[str] = field(default_factory=list)
    suspects: list[Any] = field(default_factory=list)
    _heard: queue.SimpleQueue[tuple[str, bytes | None]] = field(default_factory=queue.SimpleQueue)
    _pending: dict[str, tuple[Future[Any], Any]] = field(default_factory=dict)
    _submitted: int = 0
    _size: int = TASKS_PER_WORKER
    _last_seen: float = field(default_factory=time.monotonic)
    _said: bool = False

    def run_all(self, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result, or with its error, as they finish.

        A task that dies with its worker is not to blame when it shared the worker with another;
        such tasks are tried once more, alone, when all others are done.

        Raises
        ------
        ClusterError
            Where the scheduler or all workers are gone; at the end, where tasks met unexpected
            errors.
        """
        yield from self._run(items)
        for item in self.suspects:
            yield from self._run([item], alone=True)
        if self.crashes:
            raise ClusterError(
                f"{len(self.crashes)} tasks met an unexpected error, the first: "
                f"{self.crashes[0]}; the others are done, and the same command goes on with these"
            )

    def _run(self, items: Sequence[Any], *, alone: bool = False) -> Iterator[tuple[Any, Any]]:
        waiting = deque(items)
        self._count_workers()
        try:
            while waiting or self._pending:
                while waiting and len(self._pending) < self._size:
                    self._submit(waiting.popleft())
                heard = self._next()
                if heard is not None:
                    yield from self._receive(*heard, alone=alone)
        finally:
            self._cancel()

    def _submit(self, item: Any) -> None:
        key = f"{self.run}-{self._submitted}"
        self._submitted += 1
        future = self.client.submit(run_task, self.run, key, item, key=key, pure=False)
        self._pending[key] = (future, item)
        future.add_done_callback(lambda ended: self._heard.put((ended.key, None)))

    def hear(self, key: str, outcome: bytes) -> None:
        """Take in what a worker sent about a task; called by the thread of the client."""
        self._heard.put((key, outcome))

    def _next(self) -> tuple[str, bytes | None] | None:
        """The next task that ended, and its outcome; None where nothing happened for a while."""
        try:
            return self._heard.get(timeout=BEAT_S)
        except queue.Empty:
            self._count_workers()
            return None

    def _receive(self, key: str, sent: bytes | None, *, alone: bool) -> Iterator[tuple[Any, Any]]:
        """What became of a task, as zero or one pair.

        Without an outcome the task did not end by itself: the outcome comes before the end.
        """
        if key not in self._pending:
            return
        future, item = self._pending.pop(key)
        if sent is not None:
            result = self._outcome(item, loads(sent))
        elif future.status == "cancelled":
            raise ClusterError(LOST)
        else:
            result = self._failure(future, item, alone=alone)
        if result is not None:
            yield item, result[0]

    def _outcome(self, item: Any, outcome: Outcome) -> tuple[Any] | None:
        if isinstance(outcome, Crashed):
            self._crash(item, outcome)
            return None
        return (outcome.error,) if isinstance(outcome, Refused) else (outcome.value,)

    def _failure(self, future: Future[Any], item: Any, *, alone: bool) -> tuple[IslError] | None:
        error = future.exception() if future.status == "error" else None
        if not isinstance(error, KilledWorker):
            text = f"{type(error).__name__}: {error}" if error else "it ended without an outcome"
            self._crash(item, Crashed("unknown", text, str(error)))
        elif alone:
            return (WorkerDiedError(_death(item)),)
        else:
            self.suspects.append(item)
        return None

    def _crash(self, item: Any, crash: Crashed) -> None:
        self.crashes.append(f"{name_of(item)} on worker {crash.worker}: {crash.message}")
        if len(self.crashes) <= LOGGED_CRASHES:
            logger.error("%s\n%s", self.crashes[-1], crash.details)

    def _count_workers(self) -> None:
        """Fit the window to the workers that there are; give up where there are none for long."""
        try:
            workers = len(self.client.nthreads())
        except (OSError, TimeoutError):
            workers = 0
        gone_s = time.monotonic() - self._last_seen
        if workers:
            self._last_seen, self._said = time.monotonic(), False
            self._size = TASKS_PER_WORKER * workers
            return
        if gone_s > SAY_S and not self._said:
            self._said = True
            logger.warning(
                "no worker is left; waiting up to %.0f s for one to come back", self.wait_s
            )
        if gone_s > self.wait_s:
            raise ClusterError(
                f"the scheduler {self.client.scheduler_info()['address']} has had no worker for "
                f"{self.wait_s:.0f} s; look into the logs of the workers, start them again, and "
                "the same command goes on with the tasks that are left"
            )

    def _cancel(self) -> None:
        """Let the scheduler forget what is not finished, as when the caller stops early."""
        futures = [future for future, _ in self._pending.values()]
        self._pending.clear()
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)


def _death(item: Any) -> str:
    return (
        f"{name_of(item)}: each worker process that took this task died, also when it worked on "
        "nothing else; most likely memory ran out: pass a smaller --memory or fewer processes; "
        "else predict the field by itself to see the crash"
    )
