"""What runs in the worker processes of a cluster: the work, held once per process."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker
from distributed.protocol.pickle import dumps

from isl.core.errors import ClusterError, IslError

logger = logging.getLogger(__name__)

OUTCOMES = "isl-outcomes"
"""Topic of the scheduler's events under which workers send what became of their tasks."""


@dataclass(frozen=True)
class Done:
    """A task that is finished."""

    value: Any


@dataclass(frozen=True)
class Refused:
    """A task that met an error of this package, which concerns its images or its output."""

    error: IslError


@dataclass(frozen=True)
class Crashed:
    """A task that met an unexpected error, which is a bug or a broken installation."""

    worker: str
    message: str
    details: str


Outcome = Done | Refused | Crashed


@dataclass
class _Work:
    """Work that this process knows; unpickled by its first task, one task at a time."""

    payload: bytes
    function: Callable[[Any], Any] | None = None
    is_over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, item: Any) -> Any:
        with self.lock:
            if self.function is None:
                self.function = pickle.loads(self.payload)
            try:
                return self.function(item)
            finally:
                if self.is_over:
                    self.free()

    def end(self) -> None:
        """Free what the work holds: now, or when the task that runs is done."""
        self.is_over = True
        if self.lock.acquire(blocking=False):
            try:
                self.free()
            finally:
                self.lock.release()

    def free(self) -> None:
        """Let the work close what it holds, where it knows how."""
        close = getattr(self.function, "close", None)
        if close is not None:
            close()


_known: dict[str, _Work] = {}


class WorkPlugin(WorkerPlugin):  # type: ignore[misc]
    """Brings the work of a run to each worker, also to those that start later or anew."""

    def __init__(self, run: str, payload: bytes) -> None:
        self.name = run
        self.payload = payload

    def setup(self, worker: Worker) -> None:
        """Remember the work, and let numerical libraries use the threads of this worker."""
        _known[self.name] = _Work(self.payload)
        set_threads(int(os.environ.get("ISL_THREADS", worker.state.nthreads)))

    def teardown(self, worker: Worker) -> None:
        """Forget the work and what it holds: models, compiled networks, open files."""
        work = _known.pop(self.name, None)
        if work is not None:
            with suppress(Exception):
                work.end()


class IgnoreInterrupts(WorkerPlugin):  # type: ignore[misc]
    """Leaves Ctrl-C, which a terminal sends to all processes, to the main process."""

    name = "isl-ignore-interrupts"

    def setup(self, worker: Worker) -> None:
        """Ignore the signal where this is the main thread of a process of its own."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def set_threads(count: int) -> None:
    """Let numerical libraries use this many threads, whether they are loaded already or not."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(count)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)


def run_task(run: str, key: str, item: Any) -> None:
    """Do the work of a run for one item, and send off what became of it.

    A result that waits in the memory of a worker is lost with it, and fetching one from a worker
    that has just died takes as long as a connection may take. So the outcome travels as an event,
    on the stream on which the worker tells that the task has ended, and before that: whoever hears
    of the end has the outcome.

    Parameters
    ----------
    run
        Name of the run, as registered with `WorkPlugin`.
    key
        Of the task.
    item
        What the work is called with.
    """
    outcome = dumps(_outcome(run, item))
    get_worker().log_event(OUTCOMES, (run, key, outcome))


def _outcome(run: str, item: Any) -> Outcome:
    """What becomes of an item; errors are values, so that Dask does not take them for its own."""
    try:
        return Done(_known[run](item))
    except IslError as error:
        return Refused(_portable(error))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Crashed(_worker_name(), text, traceback.format_exc())


def _portable(error: IslError) -> IslError:
    """The error, or what it says where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ClusterError(str(error))
    return error


def _worker_name() -> str:
    worker = get_worker()
    return f"{worker.name} ({worker.address})"
