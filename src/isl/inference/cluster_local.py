"""Worker processes on this machine."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, SpecCluster, Status
from distributed.system import MEMORY_LIMIT

from isl.core.threads import to_the_end
from isl.inference.cluster_connect import ask_workers
from isl.inference.cluster_plan import WorkerPlan, cuda_devices, plan_workers
from isl.inference.cluster_worker import IgnoreInterrupts

HOST = "127.0.0.1"
STARTS = 3
"""How often a worker is started at first; later its nanny starts it anew whenever it died."""
KILL_S = 0.5
"""How long a worker that still works is asked to stop before it is ended; its task is lost anyway,
as the caller does not wait for it."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,
    # Pausing a worker that is short of memory would stop the run without a word.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.scheduler.worker-ttl": "5 minutes",
    # Nannies start anew what died. The cluster looks this long after a death whether a process is
    # there, and would end the nanny for good where it has just died again or is slow to start.
    "distributed.deploy.lost-worker-timeout": "52 weeks",
}


@contextmanager
def local_processes(count: int | None) -> Iterator[tuple[Client, tuple[WorkerPlan, ...]]]:
    """Start worker processes, and end them with the block, whatever happens in it.

    Parameters
    ----------
    count
        Processes; by default one for each GPU, else one for each four cores.

    Yields
    ------
    tuple of Client and WorkerPlan
        The connection, and what each process got.
    """
    plans = plan_workers(count, CPU_COUNT, int(MEMORY_LIMIT), cuda_devices())
    with dask.config.set(SETTINGS), _start(plans) as cluster:
        client = Client(cluster, set_as_default=False)
        try:
            ask_workers(client.register_plugin, IgnoreInterrupts())
            yield client, plans
        finally:
            _end_workers(cluster)
            client.close()


@contextmanager
def _start(plans: Sequence[WorkerPlan]) -> Iterator[SpecCluster]:
    """Scheduler in this process, one nanny with a worker process for each plan."""
    scheduler = {
        "cls": Scheduler,
        "options": {"host": HOST, "port": 0, "dashboard": False, "dashboard_address": ":0"},
    }
    workers = {i: {"cls": _Nanny, "options": _options(plan)} for i, plan in enumerate(plans)}
    made: list[SpecCluster] = []

    def make() -> None:
        made.append(SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL, name="isl"))

    try:
        # Half a cluster could not be closed: its processes and semaphores would stay when Ctrl-C
        # comes while they start.
        to_the_end(make)
        yield made[0]
    finally:
        for cluster in made:
            cluster.close()


class _Nanny(Nanny):  # type: ignore[misc]
    """Starts processes that never hear Ctrl-C, not even before they can ignore it."""

    async def start_unsafe(self) -> Nanny:
        """Block the signal in this thread, which is that of the event loop, and start.

        What a thread blocks is blocked in the threads and processes that it starts.
        """
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # which would lift the block where it starts
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return await super().start_unsafe()

    async def instantiate(self) -> Status:
        """Start the process, and once more where it dies before it is ready."""
        status = await super().instantiate()
        for _ in range(STARTS - 1):
            if status == Status.running or self.status == Status.running:
                break
            status = await super().instantiate()
        return status


def _options(plan: WorkerPlan) -> dict[str, Any]:
    return {
        "host": HOST,
        "nthreads": 1,
        "memory_limit": plan.memory_bytes,
        "env": plan.environment,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }


def _end_workers(cluster: SpecCluster) -> None:
    """End the processes without waiting for tasks that nobody waits for."""

    async def end() -> None:
        nannies = list(cluster.workers.values())
        await asyncio.gather(*(nanny.close(timeout=KILL_S) for nanny in nannies))

    cluster.sync(end)
