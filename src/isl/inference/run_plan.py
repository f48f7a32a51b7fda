"""What a run will do, before it does it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isl.core.axes import Box
from isl.inference.engine import Engine
from isl.inference.going_on import Begun
from isl.inference.jobs import Job
from isl.inference.memory import HELD_SHARE, PROCESS_BYTES, WRITTEN_BYTES
from isl.inference.runner import Runner
from isl.inference.source_stack import KEEP_BYTES
from isl.inference.tasks import Task
from isl.inference.tiles import plan_boxes
from isl.models.density import DensityNetwork

TASK_PX = 4096
"""Largest side of what is predicted and written at once, and done again after an interruption."""

_PYRAMID = 4 / 3
_SAMPLE_PX = 512


@dataclass(frozen=True)
class RunPlan:
    """Tasks of a run, and what they cost.

    Attributes
    ----------
    runner
        What will predict them.
    tasks
        In order.
    itemsize
        Bytes of a pixel of the output.
    begun_with
        Backend that was taken because an interrupted run began with it; None where there is none.
    begun
        What an interrupted run has left; None where that is nothing, or nobody looked.
    """

    runner: Runner
    tasks: tuple[Task, ...]
    itemsize: int
    begun_with: str | None = None
    begun: Begun | None = None

    @classmethod
    def of(cls, runner: Runner, itemsize: int) -> RunPlan:
        """Plan the tasks of all jobs of a runner, in the order of the jobs."""
        tasks = (task for job in runner.jobs.values() for task in _tasks(runner, job))
        return cls(runner, tuple(tasks), itemsize)

    @property
    def run_by(self) -> str:
        """What runs the network, and why."""
        if self.begun_with is not None:
            return f"{self.begun_with}, as the unfinished output began"
        return self.runner.model.choice.reason

    @property
    def done_tasks(self) -> int:
        """Tasks of which nothing is left to do."""
        done = self._done
        return sum(all(s.key in done for s in self.runner.shards(task)) for task in self.tasks)

    @cached_property
    def done_share(self) -> float:
        """Share of the pixels, from 0 to 1, that an interrupted run has written."""
        done = self._done
        shards = (
            (shard for task in self.tasks for shard in self.runner.shards(task)) if done else ()
        )
        return sum(s.write.size for s in shards if s.key in done) / max(self.pixels, 1)

    @property
    def _done(self) -> frozenset[str]:
        if self.begun is None or self.begun.reason:
            return frozenset()
        return self.begun.tasks

    @cached_property
    def parts(self) -> dict[Task, int]:
        """In how many parts each task is predicted."""
        return {task: self.count_parts(task) for task in self.tasks}

    def count_parts(self, task: Task) -> int:
        """In how many parts a task is predicted."""
        engine = self._engine
        return sum(engine.count_parts(piece.tile) for piece in self.runner.pieces(task))

    @cached_property
    def _engine(self) -> Engine:
        return self.runner.engine

    @property
    def pixels(self) -> int:
        """Pixels written, targets not counted."""
        return sum(task.write.size for task in self.tasks)

    @property
    def computed_pixels(self) -> int:
        """Pixels that pass through the network; more, as tiles overlap."""
        return sum(
            piece.tile.shown.size for task in self.tasks for piece in self.runner.pieces(task)
        )

    def count_wasted(self) -> float:
        """How often pixels pass through the network where tiles are smaller than its margin.

        Returns
        -------
        float
            Of a task in the middle of the run; 1 where tiles are larger.
        """
        task = self.tasks[len(self.tasks) // 2]
        sides = self.runner.sides(self.runner.jobs[task.field])
        if min(sides.side_yx) >= self.runner.model.network.margin_px:
            return 1.0
        tiles = [piece.tile for piece in self.runner.pieces(task) if piece.tile.kept.size]
        wanted = sum(tile.kept.size for tile in tiles)
        return sum(tile.shown.size for tile in tiles) / max(wanted, 1)

    @property
    def source_bytes(self) -> int:
        """Bytes of the source, as they are in memory."""
        return sum(map(_source_bytes, self.runner.jobs.values()))

    @property
    def output_bytes(self) -> int:
        """Most bytes that the output takes on the disk; compression makes them fewer."""
        channels = len(self.runner.statistics) * len(self.runner.model.card.targets)
        return int(self.pixels * channels * self.itemsize * _PYRAMID)

    @property
    def memory_bytes(self) -> int:
        """Memory that the process is expected to take at most."""
        network = self.runner.model.network
        channels = len(self.runner.statistics)
        most = 0.0
        for task in self._one_per_shape():
            job = self.runner.jobs[task.field]
            planes = job.fov.channel(job.source).planes
            shown = max(piece.tile.shown.size for piece in self.runner.pieces(task))
            pixels = min(shown, self.runner.sides(job).band_px)
            held = min(shown * planes * 4, KEEP_BYTES, self.runner.memory_bytes * HELD_SHARE)
            per_pixel = network.bytes_per_pixel(planes) + WRITTEN_BYTES * channels
            most = max(most, pixels * per_pixel + held)
        return int(PROCESS_BYTES + most)

    def _one_per_shape(self) -> Iterable[Task]:
        return {task.write.shape: task for task in self.tasks}.values()

    def measure_speed(self) -> float:
        """Predict some noise; megapixels per second of the network alone."""
        engine = self.runner.engine
        job = next(iter(self.runner.jobs.values()))
        planes = job.fov.channel(job.source).planes
        side = _SAMPLE_PX if isinstance(engine.network, DensityNetwork) else _SAMPLE_PX // 4
        noise = np.random.default_rng(0).standard_normal((planes, side, side), np.float32)
        engine.predict(noise[:, : side // 4])
        started = time.perf_counter()
        engine.predict(noise)
        return side * side / 1e6 / (time.perf_counter() - started)


def _tasks(runner: Runner, job: Job) -> list[Task]:
    """Tasks of a field: as wide as a strip, so that each is one tile that flows through."""
    block_yx = runner.block_yx[job.fov.name]
    columns = min(TASK_PX, runner.sides(job).side_yx[1])
    rows = TASK_PX if columns >= block_yx[1] else block_yx[0]
    whole = Box.of((job.fov.size_y, job.fov.size_x))
    boxes = plan_boxes(whole, (rows, columns), block_yx)
    return [Task(job.fov.name, t, box) for t in range(job.fov.size_t) for box in boxes]


def _source_bytes(job: Job) -> int:
    fov, channel = job.fov, job.fov.channel(job.source)
    return fov.size_t * channel.planes * fov.size_y * fov.size_x * channel.dtype.itemsize
