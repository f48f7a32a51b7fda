"""Predict fields of view and write the predictions, task by task."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np

from isl.core.errors import ConfigError, DataError
from isl.core.progress import ProgressCallback, silent
from isl.inference.cluster import open_pool
from isl.inference.fingerprint import fingerprint
from isl.inference.going_on import Begun, begun_backend
from isl.inference.jobs import Job, find_source, output_field, provenance
from isl.inference.keep_sources import keep_sources
from isl.inference.memory import default_bytes, parse_bytes
from isl.inference.model import Model
from isl.inference.predict_settings import PredictSettings
from isl.inference.run_plan import RunPlan
from isl.inference.runner import BAD_FIELD, Runner
from isl.inference.shared_work import check_share
from isl.inference.statistics import Statistic, parse_statistics
from isl.inference.summary import OnBad, PredictSummary, Reports
from isl.inference.work import Work
from isl.io.fov import Fov
from isl.io.output import resumable_output
from isl.io.output_array import ArrayLayout
from isl.io.output_fields import OutputField, output_dtype
from isl.io.output_path import check_output, local_path, output_path
from isl.io.output_unfinished import read_unfinished, whole_fingerprint
from isl.io.remote_path import as_path

logger = logging.getLogger(__name__)

_MUCH_WASTED = 2.0


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
        Begin anew, even where an interrupted run could go on. Else the backend ``"auto"`` is the
        one with which that run began, where it works here.
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
    reports = Reports(on_bad if len(fovs) > 1 else None)
    plan = _plan(model, fovs, output, wanted, reports, overwrite, restart, cluster)
    runner = plan.runner
    fields = _fields(runner)
    notes = provenance(model.card, runner.statistics)
    if wanted.border == "valid":
        notes |= {"predicted": {n: astuple(runner.box(n)) for n in runner.jobs}}
    with resumable_output(
        output,
        fields,
        dtype=wanted.dtype,
        overwrite=overwrite,
        attributes=notes,
        fingerprint=fingerprint(runner.model, runner.jobs.values(), wanted),
        restart=restart,
    ) as result:
        work = Work(plan, result, reports, progress)
        with nullcontext() if cluster is None else open_pool(cluster) as pool:
            work.run(pool, memory_given=wanted.memory is not None)
    return work.summary(time.perf_counter() - start)


def plan_fovs(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    *,
    overwrite: bool = False,
    restart: bool = False,
    cluster: str | None = None,
    on_bad: OnBad | None = None,
    **settings: Any,
) -> RunPlan:
    """Say what `predict_fovs` would do; nothing is written and no pixel is read.

    Parameters
    ----------
    model, fovs, output, overwrite, restart, cluster, on_bad, **settings
        As for `predict_fovs`, which raises the same errors.
    """
    wanted = PredictSettings(**settings)
    reports = Reports(on_bad if len(fovs) > 1 else None)
    plan = _plan(model, fovs, output, wanted, reports, overwrite, restart, cluster)
    found = read_unfinished(local_path(output, len(plan.runner.jobs)))
    if found is None:
        return plan
    same = fingerprint(plan.runner.model, plan.runner.jobs.values(), wanted)
    whole = whole_fingerprint(same, _fields(plan.runner), wanted.dtype)
    return replace(plan, begun=Begun.of(found, whole, restart))


def _fields(runner: Runner) -> list[OutputField]:
    """What is written of each field."""
    targets = runner.model.card.targets
    return [output_field(job.fov, targets, runner.statistics) for job in runner.jobs.values()]


def _plan(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    settings: PredictSettings,
    reports: Reports,
    overwrite: bool,
    restart: bool,
    cluster: str | None,
) -> RunPlan:
    """Check everything that can be checked before a pixel is read, and plan the tasks."""
    statistics = parse_statistics(settings.statistics)
    number = _number(settings.dtype, statistics)
    if not fovs:
        raise DataError("there are no fields of view to predict")
    keep_sources(as_path(output), fovs)
    keep_sources(output_path(output, len(fovs)), fovs)
    check_output(output, len(fovs), overwrite)
    model = model.stitched(settings.stitching).oriented(settings.orientations)
    jobs = _check_fields(model, fovs, settings, reports)
    found = None if restart else read_unfinished(local_path(output, len(jobs)))
    backend, begun = settings.backend or model.backend, None
    if found is not None and backend == "auto":
        begun = begun_backend(found, model, jobs, settings)
    threads = model.threads if settings.threads is None else settings.threads
    model = model.on(begun or backend, threads)
    given = settings.memory
    device = model.choice.backend.device
    memory = default_bytes(device) if given is None else parse_bytes(given)
    runner = Runner(
        model,
        statistics,
        {job.fov.name: job for job in jobs},
        {job.fov.name: _block_yx(job, model, len(statistics), number) for job in jobs},
        settings.border,
        settings.tile_px,
        memory,
    )
    if cluster is not None:
        check_share(runner, cluster, memory_given=given is not None)
    plan = replace(RunPlan.of(runner, number.itemsize), begun_with=begun)
    if settings.tile_px is not None:
        _warn_of_margins(plan, settings.tile_px)
    return plan


def _warn_of_margins(plan: RunPlan, tile_px: int) -> None:
    """Say where tiles are so small that nearly all work is done for what is around them."""
    wasted = plan.count_wasted()
    if wasted > _MUCH_WASTED:
        margin_px = plan.runner.model.network.margin_px
        logger.warning(
            "tiles of %d px are smaller than the %d px around them that the network sees: it "
            "computes about %.0f times as many pixels as it has to; leave out --tile-px, or ask "
            "for %d or more",
            tile_px, margin_px, wasted, 4 * margin_px,
        )  # fmt: skip


def _number(dtype: str, statistics: Sequence[Statistic]) -> np.dtype[Any]:
    """Type of the pixels; refuses whole numbers for what lies between 0 and 1."""
    number = output_dtype(dtype)
    shares = [statistic.name for statistic in statistics if statistic.is_share]
    if number.kind != "f" and shares:
        raise ConfigError(
            f"{dtype} holds whole numbers, but {' and '.join(shares)} lie between 0 and 1 and "
            "would be 0 or 1; write float32 (--dtype float32) or leave them out of --statistics"
        )
    return number


def _block_yx(job: Job, model: Model, statistics: int, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Rows and columns of the shards of the output of a field."""
    channels = statistics * len(model.card.targets)
    shape = (job.fov.size_t, channels, 1, job.fov.size_y, job.fov.size_x)
    return ArrayLayout.of(shape, dtype).shard_yx


def _check_fields(
    model: Model, fovs: Sequence[Fov], settings: PredictSettings, reports: Reports
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
