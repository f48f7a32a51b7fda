"""Bring the tasks of a plan to an output."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from isl.core.progress import Progress, ProgressCallback
from isl.inference.cluster import ClusterPool
from isl.inference.jobs import Job
from isl.inference.model import Model
from isl.inference.run_plan import RunPlan
from isl.inference.runner import TaskDone, TaskFailed, is_out_of_memory
from isl.inference.shared_work import share
from isl.inference.single_pass import SinglePassDifference, measure_single_pass
from isl.inference.spending import Spending
from isl.inference.summary import PredictSummary, Reports
from isl.inference.tasks import Task, around
from isl.io.output import Output, WrittenFile
from isl.io.remote_retry import Traffic, traffic
from isl.models.isl2018.labeling import Isl2018Labeling

logger = logging.getLogger(__name__)


class Work:
    """The tasks of a plan on their way to an output."""

    def __init__(
        self, plan: RunPlan, output: Output, reports: Reports, progress: ProgressCallback
    ) -> None:
        self._plan, self._output, self._reports, self._progress = plan, output, reports, progress
        self._runner = plan.runner
        self._left: dict[str, set[Task]] = {name: set() for name in plan.runner.jobs}
        for task in plan.tasks:
            self._left[task.field].update(plan.runner.shards(task))
        self._said: list[TaskDone] = []
        self._failed: set[str] = set()
        self._parts_left: Counter[str] = Counter()
        for task, parts in plan.parts.items():
            self._parts_left[task.field] += parts
        self._total = self._parts_left.total()
        self._pixels = self._resumed = 0
        self._waited = 0.0
        self._traffic = Traffic()
        self._elsewhere = Spending()

    def run(self, pool: ClusterPool | None, memory_given: bool) -> None:
        """Predict what is not done yet, with smaller tiles where memory runs out."""
        started, before = time.perf_counter(), traffic()
        self._take_up()
        while not self._predicted(pool, memory_given):
            self._runner = self._runner.smaller()
        for name in self._failed:
            self._output.drop(name)
        self._reports.require(set(self._runner.jobs) - self._failed)
        engine = self._runner.model.engine_for(self._runner.statistics)
        seconds, waited = time.perf_counter() - started, engine.waits.seconds
        self._traffic = traffic().since(before)
        if pool is not None:
            seconds, waited = self._elsewhere.seconds, self._elsewhere.waited_s
            self._traffic = self._elsewhere.traffic
        self._waited = waited / max(seconds, 1e-9)

    def _take_up(self) -> None:
        """Count what an interrupted run had done."""
        for task in self._plan.tasks:
            done = [shard for shard in self._runner.shards(task) if self._output.is_done(shard.key)]
            if done:
                left = self._missing(task)
                parts_left = self._plan.count_parts(left) if left else 0
                self._advance(task.field, self._plan.parts[task] - parts_left)
            for shard in done:
                self._resumed += 1
                self._leave(shard)

    def _missing(self, task: Task) -> Task | None:
        """The part of a task that is not done; None where all of it is."""
        shards = [
            shard for shard in self._runner.shards(task) if not self._output.is_done(shard.key)
        ]
        if not shards:
            return None
        return replace(task, write=around([shard.write for shard in shards]))

    def _todo(self) -> list[Task]:
        missing = (self._missing(task) for task in self._plan.tasks)
        return [task for task in missing if task and task.field not in self._failed]

    def _predicted(self, pool: ClusterPool | None, memory_given: bool) -> bool:
        """Predict what is not done yet; False where memory ran out."""
        try:
            if pool is None:
                here = self._runner.run(
                    self._todo(),
                    self._output.field,
                    self._commit,
                    lambda task: self._advance(task.field, 1),
                )
                with closing(here):  # an interruption ends its threads before it goes on
                    for ended in here:
                        self._note(ended)
            else:
                self._share(pool, memory_given)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("memory ran out; going on with tiles half as large (%s)", error)
            return False
        return True

    def _share(self, pool: ClusterPool, memory_given: bool) -> None:
        """Have other processes predict."""
        todo = self._todo()
        parts = {task: self._plan.count_parts(task) for task in todo}
        shared = share(pool, self._runner, todo, self._output, memory_given)
        with closing(shared):
            for ended, written, spent in shared:
                self._elsewhere.add(spent)
                self._note(ended)
                for shard, files in written:
                    self._commit(shard, files)
                if isinstance(ended, TaskDone):
                    self._advance(ended.task.field, parts[ended.task])

    def _note(self, ended: TaskDone | TaskFailed) -> None:
        """Remember how a task ended."""
        if isinstance(ended, TaskFailed):
            self._failed.add(ended.task.field)
            self._reports.refuse(ended.task.field, ended.error)
            self._advance(ended.task.field, self._parts_left[ended.task.field])
        else:
            self._said.append(ended)
            predicted = self._runner.box(ended.task.field)
            self._pixels += ended.task.write.intersect(predicted).size

    def _commit(self, shard: Task, written: tuple[WrittenFile, ...]) -> None:
        """Note that a shard is written, and finish its field where it is the last one.

        What is missing of a task is predicted as one box, so that shards that were done may come
        once more.
        """
        self._output.mark_done(shard.key, written)
        self._leave(shard)

    def _leave(self, shard: Task) -> None:
        self._left[shard.field].discard(shard)
        if not self._left[shard.field]:
            self._output.finish_field(shard.field)

    def _advance(self, field: str, parts: int) -> None:
        """Report tiles; where they had to be smaller, they are more than was said at first."""
        parts = min(parts, self._parts_left[field])
        if parts > 0:
            self._parts_left[field] -= parts
            done = self._total - self._parts_left.total()
            self._progress(Progress(done, self._total, "tile", field))

    def summary(self, seconds: float) -> PredictSummary:
        """What came of it."""
        runner = self._runner
        names = [name for name in runner.jobs if name not in self._failed]
        return PredictSummary(
            self._output.path,
            tuple(names),
            tuple(self._reports.bad),
            _notes([runner.jobs[name] for name in names], self._said),
            self._pixels,
            seconds,
            tuple(map(runner.box, names)) if runner.border == "valid" else (),
            _compare_single_pass(runner.model, runner.jobs[names[0]]),
            self._plan.run_by,
            self._resumed,
            self._waited,
            self._traffic,
        )


def _notes(jobs: Sequence[Job], said: Sequence[TaskDone]) -> tuple[str, ...]:
    """Guessed sources and resampling, each once, and the first of what concerns an image."""
    known = dict.fromkeys(note for job in jobs for note in job.notes)
    missing = [note for job in jobs for note in job.plane_notes]
    names = {job.fov.name for job in jobs}
    blank = {done.task.field: done.left_out for done in said if done.left_out}
    doubts = {(done.task.field, done.task.t): done.doubt for done in said if done.doubt}
    return (
        *known,
        *_first(missing, "fields"),
        *_first([note for name, note in blank.items() if name in names], "fields"),
        *_first([note for (name, _), note in doubts.items() if name in names], "images"),
    )


def _first(notes: Sequence[str], of: str) -> tuple[str, ...]:
    """The first of several notes, and how many there are more."""
    more = f" ({len(notes) - 1} more such {of})" if len(notes) > 1 else ""
    return tuple(f"{note}{more}" for note in notes[:1])


def _compare_single_pass(model: Model, job: Job) -> SinglePassDifference | None:
    """Measure what a single pass costs in the first field; None where it is not used."""
    network = model.network
    if not isinstance(network, Isl2018Labeling) or network.stitching != "single-pass":
        return None
    return measure_single_pass(model, job.stack(model.card))
