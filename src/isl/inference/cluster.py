"""Tasks on several processes: of this machine, or of a Dask cluster."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from isl.core.errors import IslError
from isl.core.extras import require
from isl.inference.cluster_plan import LocalProcesses, Scheduler, WorkerPlan, parse_cluster

if TYPE_CHECKING:
    from distributed import Client

    from isl.inference.cluster_window import Window

T = TypeVar("T")
R = TypeVar("R")

WAIT_S = 600.0
"""How long a scheduler may be without workers, as when jobs wait in the queue of a cluster."""
CONNECT_S = 15.0
"""How long a scheduler may take to answer."""
LOCAL_WAIT_S = 60.0
"""The same for processes of this machine, which are started anew within seconds."""


class TaskPool(Protocol):
    """Something that does work on several items at once."""

    @property
    def workers(self) -> int:
        """Processes at the start."""
        ...

    def run(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[T, R | IslError]]:
        """Do the work on each item; yield them as they finish."""
        ...

    def check_paths(self, paths: Sequence[str]) -> None:
        """Refuse workers that do not see these files."""
        ...


@dataclass(frozen=True)
class ClusterPool:
    """Worker processes that are ready; see `open_pool`.

    Attributes
    ----------
    client
        Connection to the scheduler.
    plans
        What each process of this machine got; empty for a cluster that ran already.
    wait_s
        How long there may be no worker before a run gives up.
    windows
        Of the runs that go on, by their names.
    """

    client: Client
    plans: tuple[WorkerPlan, ...]
    wait_s: float
    windows: dict[str, Window] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """Processes that there are now."""
        return len(self.client.nthreads())

    def run(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[T, R | IslError]]:
        """Do the work on each item, in the worker processes.

        Parameters
        ----------
        work
            A picklable callable.  It is sent to each process once and lives there as long as the
            run, so that what it loads and keeps (a model, say) is loaded once per process.  A
            method ``close`` is called at the end, where it has one.  Called by one thread at a
            time.
        items
            Small picklable values; messages call them by their attribute ``key``, if any.

        Yields
        ------
        tuple
            An item, and its result, or the `IslError` that the work raised, or `WorkerDiedError`
            where the task brought down each process that took it.  In the order of finishing.

        Raises
        ------
        ClusterError
            Where the scheduler or all workers are gone; at the end, where tasks met unexpected
            errors, which are logged with the names of their workers.
        """
        from distributed.protocol.pickle import dumps

        from isl.inference.cluster_connect import ask_workers
        from isl.inference.cluster_window import Window
        from isl.inference.cluster_worker import WorkPlugin

        run = f"isl-{uuid.uuid4().hex[:8]}"
        ask_workers(self.client.register_plugin, WorkPlugin(run, dumps(work)))
        self.windows[run] = window = Window(self.client, run, self.wait_s)
        try:
            yield from window.run_all(items)
        finally:
            del self.windows[run]
            # A worker that is dead has nothing to forget.
            with suppress(OSError):
                if self.client.status == "running":
                    self.client.unregister_worker_plugin(run)

    def hear(self, event: tuple[float, tuple[str, str, bytes]]) -> None:
        """Hand an outcome to its run; those of others that share the scheduler come here too."""
        _, (run, key, outcome) = event
        window = self.windows.get(run)
        if window is not None:
            window.hear(key, outcome)

    def check_paths(self, paths: Sequence[str]) -> None:
        """Refuse workers that do not see these files, see `cluster_connect.check_paths`."""
        from isl.inference.cluster_connect import check_paths

        check_paths(self.client, paths)


@contextmanager
def open_pool(
    cluster: str, *, wait_s: float | None = None, connect_s: float = CONNECT_S
) -> Iterator[ClusterPool]:
    """Start worker processes of this machine, or connect to those of a Dask cluster.

    Parameters
    ----------
    cluster
        ``"local:4"`` for 4 processes of this machine, ``"local"`` for one per GPU (else one per
        four cores), ``"tcp://host:8786"`` for a Dask scheduler, or the ``.json`` file it wrote.
    wait_s
        How long there may be no worker; 60 s for this machine, 600 s for a cluster by default.
    connect_s
        How long a scheduler may take to answer.

    Yields
    ------
    ClusterPool
        Local processes end with the block, those of a cluster stay.

    Raises
    ------
    ConfigError
        Where ``cluster`` is none of these.
    MissingExtraError
        Where Dask is not installed.
    ClusterError
        Where the scheduler cannot be reached or its workers cannot be used.

    Examples
    --------
    >>> with open_pool("local:4") as pool:                          # doctest: +SKIP
    ...     for task, result in pool.run(runner, tasks): ...
    """
    where = parse_cluster(cluster)
    require("distributed", "cluster", "--cluster")
    from isl.inference.cluster_connect import ask_workers, quiet
    from isl.inference.cluster_worker import OUTCOMES

    with quiet(), _client(where, wait_s, connect_s) as pool:
        # Not undone: another run may share the workers, and nobody hears what is sent to no one.
        ask_workers(pool.client.forward_logging, "isl", logging.WARNING)
        pool.client.subscribe_topic(OUTCOMES, pool.hear)
        yield pool


@contextmanager
def _client(
    where: LocalProcesses | Scheduler, wait_s: float | None, connect_s: float
) -> Iterator[ClusterPool]:
    from isl.inference.cluster_connect import connected
    from isl.inference.cluster_local import local_processes

    if isinstance(where, LocalProcesses):
        with local_processes(where.count) as (client, plans):
            yield ClusterPool(client, plans, LOCAL_WAIT_S if wait_s is None else wait_s)
    else:
        wait = WAIT_S if wait_s is None else wait_s
        with connected(where, wait, connect_s) as client:
            yield ClusterPool(client, (), wait)
