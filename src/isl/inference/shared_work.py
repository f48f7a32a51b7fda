"""Tasks of a run, done by other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from isl.core.errors import ConfigError, IslError, OutputError
from isl.inference.cluster import ClusterPool
from isl.inference.cluster_plan import LocalProcesses, parse_cluster
from isl.inference.memory import default_bytes
from isl.inference.runner import Runner, TaskDone, TaskFailed, is_out_of_memory
from isl.inference.spending import Spent
from isl.inference.tasks import Task
from isl.io.output import FieldWriter, Output, WrittenFile
from isl.io.remote_retry import traffic
from isl.io.staging import explained, host

Written = tuple[tuple[Task, tuple[WrittenFile, ...]], ...]
"""Shards, and the files that hold them."""

Ended = tuple[TaskDone | TaskFailed, Written, Spent]


@dataclass
class TaskWork:
    """What a worker process does; it is sent there once.

    Attributes
    ----------
    runner
        Predicts; its model runs on the same backend as in the process that leads.
    writers
        Of each field.
    own_memory
        Whether the process measures itself how much memory it may take.
    target
        The output, for messages.
    """

    runner: Runner
    writers: Mapping[str, FieldWriter]
    own_memory: bool
    target: Path

    def __call__(self, task: Task) -> Ended:
        """Predict and write one task; with smaller tiles where memory runs out."""
        if self.own_memory:
            device = self.runner.model.choice.backend.device
            memory_bytes = default_bytes(device)
            self.runner = replace(self.runner, memory_bytes=memory_bytes)
            self.own_memory = False
        while True:
            try:
                with explained(self.target, self.writers[task.field].folder):
                    return self._done(task)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self.runner = self.runner.smaller()

    def _done(self, task: Task) -> Ended:
        files: list[tuple[Task, tuple[WrittenFile, ...]]] = []
        waits = self.runner.engine.waits
        started, waited, before = time.perf_counter(), waits.seconds, traffic()
        (ended,) = self.runner.run(
            [task],
            self.writers.__getitem__,
            lambda shard, written: files.append((shard, written)),
            lambda _: None,
        )
        spent = Spent(
            (host(), os.getpid()),
            time.perf_counter() - started,
            waits.seconds - waited,
            traffic().since(before),
        )
        return ended, tuple(files), spent


def share(
    pool: ClusterPool, runner: Runner, tasks: Sequence[Task], output: Output, memory_given: bool
) -> Generator[Ended]:
    """Have tasks done by the processes of a pool.

    Parameters
    ----------
    pool
        The processes; they see the output and the sources under the same paths.
    runner
        As for this process.
    tasks
        What is to be done.
    output
        Where it is written.
    memory_given
        Whether the user said how much memory each process may take.

    Yields
    ------
    tuple
        As tasks end, in any order, the shards that were written for them, and what they cost.
    """
    model = runner.model.on(runner.model.choice.backend.name, runner.model.threads)
    sent = replace(runner, model=model)
    if pool.plans:
        sent = _one_of(len(pool.plans), sent, memory_given)
    fields = dict.fromkeys(task.field for task in tasks)
    if not pool.plans:
        pool.check_paths([str(path) for path in _shared_paths(runner, fields, output)])
    work = TaskWork(
        sent,
        {field: output.field(field) for field in fields},
        own_memory=not (pool.plans or memory_given),
        target=output.path,
    )
    failed: set[str] = set()
    for task, found in pool.run(work, tasks):
        if isinstance(found, OutputError):
            raise found
        if isinstance(found, IslError):
            found = TaskFailed(task, found), (), Spent()
        ended, files, spent = found
        if isinstance(ended, TaskFailed):
            if ended.task.field in failed:
                continue
            failed.add(ended.task.field)
        yield ended, files, spent


def check_share(runner: Runner, cluster: str, memory_given: bool) -> None:
    """Refuse what `open_pool` would, or more processes than the memory is enough for.

    Parameters
    ----------
    runner, memory_given
        As for `share`.
    cluster
        As for `isl.inference.cluster.open_pool`.

    Raises
    ------
    ConfigError
        Naming what to change.
    """
    where = parse_cluster(cluster)
    if not isinstance(where, LocalProcesses) or where.count is None:
        return
    one = _one_of(where.count, runner, memory_given)
    try:
        for job in one.jobs.values():
            one.sides(job)
    except ConfigError as error:
        raise ConfigError(
            f"--cluster {cluster}: for each process {error}; ask for fewer processes"
        ) from error


def _one_of(processes: int, runner: Runner, memory_given: bool) -> Runner:
    """A runner with the memory of one of several processes of this machine."""
    wanted = runner.memory_bytes if memory_given else runner.memory_bytes // processes
    most = psutil.virtual_memory().total // processes
    return replace(runner, memory_bytes=min(wanted, most))


def _shared_paths(runner: Runner, fields: Iterable[str], output: Output) -> Iterator[Path]:
    """What every process has to see, one path for each place."""
    found = {output.field(name).folder for name in fields}
    found |= {runner.jobs[name].fov.path for name in fields}
    yield from sorted(path for path in found if path.exists())
