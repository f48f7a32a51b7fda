"""Predict fields of view and write the predictions, task by task."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isl.core.axes import Box
from isl.core.errors import DataError, IslError, OutputError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.inference.cluster import ClusterPool, open_pool
from isl.inference.fingerprint import fingerprint
from isl.inference.jobs import Job, find_source, output_field, provenance
from isl.inference.memory import available_bytes, parse_bytes
from isl.inference.model import Model
from isl.inference.predict_settings import PredictSettings
from isl.inference.run_plan import RunPlan
from isl.inference.runner import BAD_FIELD, Runner, TaskDone, TaskFailed, is_out_of_memory
from isl.inference.shared_work import share
from isl.inference.single_pass import SinglePassDifference, measure_single_pass
from isl.inference.statistics import parse_statistics
from isl.inference.tasks import Task
from isl.io.fov import Fov
from isl.io.output import Output, WrittenFile, output_path, resumable_output
from isl.io.output_array import ArrayLayout
from isl.io.output_fields import output_dtype
from isl.io.provenance import is_prediction
from isl.models.isl2018.labeling import Isl2018Labeling

logger = logging.getLogger(__name__)

OnBad = Callable[[str, IslError], None]
"""Called with the name of a field that cannot be predicted, and the reason."""


@dataclass(frozen=True)
class BadField:
    """A field that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PredictSummary:
    """What a run of `predict_fovs` did.

    Attributes
    ----------
    path
        Where the predictions are.
    fields
        Names of the predicted fields.
    bad
        Fields left out, with the reason.
    notes
        Which channels were guessed to be the source, and why; images that were resampled; planes
        that are missing or were left out; sources that may not be what the network expects; each
        once.
    pixels
        Pixels predicted now, time points included, targets not.
    seconds
        Wall time.
    valid
        Part of each field that was predicted with border ``"valid"``; empty with ``"reflect"``.
    single_pass
        How far a single pass is from the dense prediction, where that was asked for; measured in
        the middle of the first field.
    backend
        What ran the network, and why.
    resumed
        Tasks that an interrupted run had done.
    waited
        Share of the time, from 0 to 1, that the network waited for what is read.
    """

    path: Path
    fields: tuple[str, ...]
    bad: tuple[BadField, ...]
    notes: tuple[str, ...]
    pixels: int
    seconds: float
    valid: tuple[Box, ...] = ()
    single_pass: SinglePassDifference | None = None
    backend: str = ""
    resumed: int = 0
    waited: float = 0.0

    @property
    def megapixels_per_second(self) -> float:
        """Speed, reading and writing included."""
        return self.pixels / max(self.seconds, 1e-9) / 1e6


class _Reports:
    """What is said of fields while they are checked and predicted."""

    def __init__(self, on_bad: OnBad | None) -> None:
        self.bad: list[BadField] = []
        self._on_bad = on_bad

    def refuse(self, name: str, error: IslError) -> None:
        """Report a bad field, or raise where nobody listens."""
        if self._on_bad is None:
            raise error
        self.bad.append(BadField(name, str(error)))
        self._on_bad(name, error)

    def require(self, left: object) -> None:
        """Raise where no field is left."""
        if not left:
            raise DataError(f"none of {len(self.bad)} fields could be predicted, see above")


def predict_fovs(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    *,
    overwrite: bool = False,
    restart: bool = False,
    cluster: str | None = None,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
    **settings: Any,
) -> PredictSummary:
    """Predict whole fields, plates and time series in bounded memory.

    A run that was interrupted, however it was, goes on where it stopped when it is called again
    with the same arguments, and ends with the same bytes.

    Parameters
    ----------
    model
        The model.
    fovs
        Fields of view, at least one.
    output
        ``.zarr`` for OME-Zarr, ``.ome.tif`` for OME-TIFF; appears when it is complete.
    overwrite
        Replace an existing output.
    restart
        Begin anew, even where an interrupted run could go on.
    cluster
        Processes that share the work, see `isl.inference.cluster.open_pool`; this one by default.
    progress
        Called with the number of tiles predicted, in all.
    on_bad
        Called for each of several fields that cannot be predicted; the field is left out. Where
        not given, or where there is only one field, its error is raised.
    **settings
        Fields of `PredictSettings`.

    Returns
    -------
    PredictSummary
        What was predicted, left out, and how fast.

    Raises
    ------
    IslError
        For a bad setting or output, or where no field could be predicted.
    """
    start = time.perf_counter()
    wanted = PredictSettings(**settings)
    reports = _Reports(on_bad if len(fovs) > 1 else None)
    plan = _plan(model, fovs, output, wanted, reports)
    runner = plan.runner
    fields = [
        output_field(j.fov, model.card.targets, runner.statistics) for j in runner.jobs.values()
    ]
    notes = provenance(model.card, runner.statistics)
    if wanted.border == "valid":
        notes |= {"predicted": {n: astuple(runner.box(n)) for n in runner.jobs}}
    with resumable_output(
        output,
        fields,
        dtype=wanted.dtype,
        overwrite=overwrite,
        attributes=notes,
        fingerprint=fingerprint(runner.model, runner.jobs.values(), plan.tasks, wanted),
        restart=restart,
    ) as result:
        work = _Work(plan, result, reports, progress)
        with nullcontext() if cluster is None else open_pool(cluster) as pool:
            work.run(pool, memory_given=wanted.memory is not None)
    return work.summary(time.perf_counter() - start)


def plan_fovs(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    *,
    on_bad: OnBad | None = None,
    **settings: Any,
) -> RunPlan:
    """Say what `predict_fovs` would do; nothing is written and no pixel is read.

    Parameters
    ----------
    model, fovs, output, on_bad, **settings
        As for `predict_fovs`, which raises the same errors.
    """
    wanted = PredictSettings(**settings)
    return _plan(model, fovs, output, wanted, _Reports(on_bad if len(fovs) > 1 else None))


def _plan(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    settings: PredictSettings,
    reports: _Reports,
) -> RunPlan:
    """Check everything that can be checked before a pixel is read, and plan the tasks."""
    statistics = parse_statistics(settings.statistics)
    if not fovs:
        raise DataError("there are no fields of view to predict")
    _keep_sources(Path(output), fovs)
    _keep_sources(output_path(output, len(fovs)), fovs)
    model = model.stitched(settings.stitching).oriented(settings.orientations)
    model = model.on(settings.backend, settings.threads)
    jobs = _check_fields(model, fovs, settings, reports)
    given = settings.memory
    memory = available_bytes() // 2 if given is None else parse_bytes(given)
    number = output_dtype(settings.dtype)
    runner = Runner(
        model,
        statistics,
        {job.fov.name: job for job in jobs},
        {job.fov.name: _block_yx(job, model, len(statistics), number) for job in jobs},
        settings.border,
        settings.tile_px,
        memory,
    )
    return RunPlan.of(runner, number.itemsize)


def _block_yx(job: Job, model: Model, statistics: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Rows and columns of the shards of the output of a field."""
    channels = statistics * len(model.card.targets)
    shape = (job.fov.size_t, channels, 1, job.fov.size_y, job.fov.size_x)
    return ArrayLayout.of(shape, dtype).shard_yx


def _check_fields(
    model: Model, fovs: Sequence[Fov], settings: PredictSettings, reports: _Reports
) -> list[Job]:
    """Find the source of each field and check it, before anything is written."""
    jobs = []
    for fov in fovs:
        try:
            job = find_source(model.card, fov, settings.source).fitted(
                model.card,
                resample=settings.resample,
                ignore_voxel_size=settings.ignore_voxel_size,
            )
            model.grid(job, settings.border)
            jobs.append(job)
        except BAD_FIELD as error:
            reports.refuse(fov.name, error)
    reports.require(jobs)
    return jobs


def _keep_sources(output: Path, fovs: Sequence[Fov]) -> None:
    """Refuse an output that would replace, or lie inside, what it is predicted from.

    A file beside the images of a folder may be one of them, unless it says that it is not.
    """
    final = output.resolve()
    for folder in final.parents:
        if folder.suffix == ".zarr":
            raise OutputError(f"{output} lies inside {folder}; choose another --output")
    may_be_image = final.is_file() and not is_prediction(final)
    for path in dict.fromkeys(fov.path.resolve() for fov in fovs):
        is_among = may_be_image and path.is_dir() and final.is_relative_to(path)
        if final == path or final in path.parents or is_among:
            raise OutputError(
                f"{output} would replace images of {path}, which it is predicted from; "
                "choose another --output"
            )


class _Work:
    """The tasks of a plan on their way to an output."""

    def __init__(
        self, plan: RunPlan, output: Output, reports: _Reports, progress: ProgressCallback
    ) -> None:
        self._plan, self._output, self._reports, self._progress = plan, output, reports, progress
        self._runner = plan.runner
        self._left = Counter(task.field for task in plan.tasks)
        self._said: list[TaskDone] = []
        self._failed: set[str] = set()
        self._total = sum(plan.parts.values())
        self._counted: Counter[Task] = Counter()
        self._pixels = self._resumed = 0
        self._waited = 0.0

    def run(self, pool: ClusterPool | None, memory_given: bool) -> None:
        """Predict what is not done yet, with smaller tiles where memory runs out."""
        started = time.perf_counter()
        for task in self._plan.tasks:
            if self._output.is_done(task.key):
                self._resumed += 1
                self._count(task, self._plan.parts[task])
                self._leave(task)
        while not self._predicted(pool, memory_given):
            self._runner = self._runner.smaller()
        for name in self._failed:
            self._output.drop(name)
        self._reports.require(set(self._runner.jobs) - self._failed)
        engine = self._runner.model.engine_for(self._runner.statistics)
        self._waited = engine.waits.seconds / max(time.perf_counter() - started, 1e-9)

    def _predicted(self, pool: ClusterPool | None, memory_given: bool) -> bool:
        """Predict what is not done yet; False where memory ran out."""
        todo = [
            task
            for task in self._plan.tasks
            if task.field not in self._failed and not self._output.is_done(task.key)
        ]
        try:
            if pool is None:
                here = self._runner.run(todo, self._output.field, self._commit, self._advance)
                for ended in here:
                    self._note(ended)
            else:
                for ended, written in share(pool, self._runner, todo, self._output, memory_given):
                    self._note(ended)
                    if isinstance(ended, TaskDone):
                        self._commit(ended.task, written)
                        self._count(ended.task, self._plan.parts[ended.task])
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("memory ran out; going on with tiles half as large (%s)", error)
            return False
        return True

    def _note(self, ended: TaskDone | TaskFailed) -> None:
        """Remember how a task ended."""
        if isinstance(ended, TaskFailed):
            self._failed.add(ended.task.field)
            self._reports.refuse(ended.task.field, ended.error)
            self._pass(ended.task.field)
        else:
            self._said.append(ended)
            self._pixels += ended.task.write.size

    def _commit(self, task: Task, written: tuple[WrittenFile, ...]) -> None:
        """Note that a task is written, and finish its field where it is the last one."""
        self._output.mark_done(task.key, written)
        self._leave(task)

    def _leave(self, task: Task) -> None:
        self._left[task.field] -= 1
        if self._left[task.field] == 0:
            self._output.finish_field(task.field)

    def _pass(self, field: str) -> None:
        """Count the tiles of a field that failed as passed."""
        for task in self._plan.tasks:
            if task.field == field:
                self._count(task, self._plan.parts[task] - self._counted[task])

    def _advance(self, task: Task) -> None:
        # Smaller tiles than planned are more; the total stays as it was said.
        self._count(task, min(1, self._plan.parts[task] - self._counted[task]))

    def _count(self, task: Task, parts: int) -> None:
        if parts > 0:
            self._counted[task] += parts
            done = self._counted.total()
            self._progress(Progress(done, self._total, "tile", task.field))

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
            runner.model.choice.reason,
            self._resumed,
            self._waited,
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
