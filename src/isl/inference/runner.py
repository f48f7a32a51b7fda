"""Predict tasks in this process: reading, the network and writing at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Border
from isl.core.errors import ChannelError, DamagedFileError, DataError, IslError
from isl.inference.engine import Engine, Failure, Found, Part, Request
from isl.inference.heap import give_back_large_blocks
from isl.inference.jobs import Job, left_out_note
from isl.inference.memory import HELD_SHARE, Sides
from isl.inference.model import Model
from isl.inference.pieces import Piece
from isl.inference.source_stack import SourceStack
from isl.inference.statistics import Statistic, compute_statistics
from isl.inference.task_image import TaskImage
from isl.inference.tasks import Task
from isl.inference.tiles import plan_boxes
from isl.io.output import FieldWriter, WrittenFile, prepare_to_write

BAD_FIELD = (DataError, DamagedFileError, ChannelError)
"""Errors that concern one field and leave the others alone."""

Commit = Callable[[Task, tuple[WrittenFile, ...]], None]

_MOST_WAITING = 1  # blocks to be written, so that a slow disk holds the network up
_OUT_OF_MEMORY = ("not enough memory", "out of memory", "bad_alloc", "bad allocation", "allocate")


@dataclass(frozen=True)
class TaskDone:
    """A task whose pixels are written.

    Attributes
    ----------
    task
        The task.
    doubt, left_out
        What a reader should know of the source; empty where there is nothing to say.
    """

    task: Task
    doubt: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class TaskFailed:
    """A task whose source cannot be used."""

    task: Task
    error: IslError


@dataclass(frozen=True)
class Runner:
    """Predicts tasks.

    Attributes
    ----------
    model
        The model, with its backend.
    statistics
        What is written.
    jobs
        Each field and its source.
    block_yx
        Of each field the rows and columns of its shards in the output.
    border, tile_px, memory_bytes
        As for `isl.inference.predict.predict_fovs`.
    halved
        How many times tiles are half as large as the memory would allow.
    """

    model: Model
    statistics: tuple[Statistic, ...]
    jobs: Mapping[str, Job]
    block_yx: Mapping[str, tuple[int, int]]
    border: Border = "reflect"
    tile_px: int | None = None
    memory_bytes: int = 2_000_000_000
    halved: int = 0

    @property
    def engine(self) -> Engine:
        """What predicts."""
        engine = self.model.engine_for(self.statistics)
        sides = [self.sides(job) for job in self.jobs.values()]
        return replace(engine, band_px=min(side.band_px for side in sides))

    def sides(self, job: Job) -> Sides:
        """Bands and tiles of a field."""
        sides = self.model.sides(job, self.memory_bytes, self.tile_px, len(self.statistics))
        for _ in range(self.halved):
            sides = sides.half(self.model.network.stride)
        return sides

    def box(self, field: str) -> Box:
        """Part of a field that is predicted; the rest is NaN."""
        job = self.jobs[field]
        return self.model.grid(job, self.border).valid or job.fov.box

    def pieces(self, task: Task) -> tuple[Piece, ...]:
        """What covers a task; worked out once."""
        if task not in self._pieces:
            job = self.jobs[task.field]
            self._pieces[task] = self.model.plan(job, self.border, task.write, self.sides(job))
        return self._pieces[task]

    @cached_property
    def _pieces(self) -> dict[Task, tuple[Piece, ...]]:
        return {}

    def shards(self, task: Task, box: Box | None = None) -> tuple[Task, ...]:
        """The shards that a task writes, or those of a part of it."""
        boxes = plan_boxes(box or task.write, (1, 1), self.block_yx[task.field])
        return tuple(replace(task, write=shard) for shard in boxes)

    def image(self, task: Task, pieces: Sequence[Piece]) -> TaskImage:
        """What the parts of a task are put together in."""
        channels = len(self.statistics) * len(self.model.card.targets)
        return TaskImage(task, pieces, channels, self.block_yx[task.field][0])

    def compute(self, found: Found) -> NDArray[np.float32]:
        """Statistics (C, Y, X) of what is predicted."""
        computed = compute_statistics(found, self.statistics, self.model.card.targets)
        images: NDArray[np.float32] = computed.numpy()
        return images

    def run(
        self,
        tasks: Iterable[Task],
        writer: Callable[[str], FieldWriter],
        commit: Commit,
        advance: Callable[[Task], None],
    ) -> Generator[TaskDone | TaskFailed]:
        """Predict tasks and write them.

        Parameters
        ----------
        tasks
            Taken one by one, in the thread that reads; those of a field that failed are left out.
        writer
            From the name of a field to its writer; called, as the writer is, in a third thread.
        commit
            Called in that thread with each shard that has been written, and its files.
        advance
            Called with a task when a part of it has been predicted.

        Yields
        ------
        TaskDone or TaskFailed
            As tasks end.
        """
        give_back_large_blocks()
        with ThreadPoolExecutor(1, "isl-writer") as pool:
            try:
                yield from _Going(self, pool, writer, commit, advance).through(tasks)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def smaller(self) -> Runner:
        """The same with half as much of an image at a time.

        Raises
        ------
        MemoryError
            Where tiles cannot be smaller.
        """
        smaller = replace(self, halved=self.halved + 1)
        for job in self.jobs.values():
            smaller.sides(job)
        return smaller


@dataclass
class _Going:
    """Tasks on their way through one call of `Runner.run`."""

    runner: Runner
    pool: ThreadPoolExecutor
    writer: Callable[[str], FieldWriter]
    commit: Commit
    advance: Callable[[Task], None]
    requested: list[tuple[Task, Piece]] = field(default_factory=list)
    images: dict[Task, TaskImage] = field(default_factory=dict)
    stacks: dict[tuple[str, int], SourceStack] = field(default_factory=dict)
    said: dict[Task, TaskDone] = field(default_factory=dict)
    blank: list[Task] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    writing: deque[tuple[TaskDone | None, Future[None]]] = field(default_factory=deque)

    def through(self, tasks: Iterable[Task]) -> Iterator[TaskDone | TaskFailed]:
        """Predict all, and give out what has ended."""
        engine = self.runner.engine
        self.writing.append((None, self.pool.submit(prepare_to_write)))
        for part in engine.stream(self._requests(tasks)):
            task, piece = self.requested[part.request]
            if isinstance(part, Failure):
                if not isinstance(part.error, BAD_FIELD):
                    raise part.error
                if task.field not in self.failed:
                    self.failed.add(task.field)
                    yield TaskFailed(task, part.error)
            elif task.field not in self.failed:
                self._add(task, piece, part)
                self.advance(task)
            yield from self._written(_MOST_WAITING)
        for task in self.blank:
            self._finish(task, self.images[task].blank())
        yield from self._written(0)

    def _requests(self, tasks: Iterable[Task]) -> Iterator[Request]:
        """What the engine is asked for; runs in the thread that reads."""
        for task in tasks:
            if task.field in self.failed:
                continue
            pieces = self.runner.pieces(task)
            self.images[task] = self.runner.image(task, pieces)
            predicted = [piece for piece in pieces if piece.tile.kept.size]
            if not predicted:
                self.blank.append(task)
            for piece in predicted:
                self.requested.append((task, piece))
                yield Request(piece.tile, partial(self._stack, task))

    def _stack(self, task: Task) -> SourceStack:
        """Source of a task; the last one is kept, as tasks of an image follow each other."""
        key, job = (task.field, task.t), self.runner.jobs[task.field]
        if key not in self.stacks:
            stack = job.stack(
                self.runner.model.card, task.t, int(self.runner.memory_bytes * HELD_SHARE / 2)
            )
            self.stacks = {key: stack}
        stack = self.stacks[key]
        left_out = left_out_note(job, stack) if stack.left_out else ""
        self.said[task] = TaskDone(task, stack.normalizer.doubt, left_out)
        return stack

    def _add(self, task: Task, piece: Piece, part: Part) -> None:
        """Write the blocks that a part completes."""
        image = self.images[task]
        self._finish(task, image.add(piece, part.box, self.runner.compute(part.found)))

    def _finish(self, task: Task, blocks: Iterable[tuple[Box, NDArray[np.float32]]]) -> None:
        for box, cyx in blocks:
            self.writing.append((None, self.pool.submit(self._write, task, box, cyx)))
        if self.images[task].complete:
            del self.images[task]
            self.writing.append((self.said.pop(task, TaskDone(task)), self.pool.submit(_nothing)))

    def _write(self, task: Task, box: Box, cyx: NDArray[np.float32]) -> None:
        writer = self.writer(task.field)
        for shard in self.runner.shards(task, box):
            pixels = cyx[(..., *shard.write.relative_to(box).slices)]
            self.commit(shard, writer.write(shard.t, shard.write, pixels))

    def _written(self, most_waiting: int) -> Iterator[TaskDone]:
        """Tasks that are written; waits until no more than some blocks wait."""
        while self.writing and (len(self.writing) > most_waiting or self.writing[0][1].done()):
            done, written = self.writing.popleft()
            written.result()
            if done is not None:
                yield done


def _nothing() -> None:
    """Ends when all that was to be written before it is."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused, whichever library raised it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)
