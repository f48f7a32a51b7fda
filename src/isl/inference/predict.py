"""Predict fields of view and write the predictions, tile by tile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Border, Stitching
from isl.core.errors import ChannelError, DamagedFileError, DataError, IslError, OutputError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.inference.jobs import Job, find_source, left_out_note, output_field, provenance
from isl.inference.model import Model
from isl.inference.pieces import Piece, joined
from isl.inference.single_pass import SinglePassDifference, measure_single_pass
from isl.inference.source_stack import SourceStack
from isl.inference.statistics import Statistic, compute_statistics, parse_statistics
from isl.io.fov import Fov
from isl.io.output import FieldWriter, Output, create_output, output_path
from isl.io.provenance import is_prediction
from isl.models.isl2018.labeling import Isl2018Labeling

BAD_FIELD = (DataError, DamagedFileError, ChannelError)
"""Errors that concern one field and leave the others alone."""

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
        Pixels predicted, time points included, targets not.
    seconds
        Wall time.
    valid
        Part of each field that was predicted with border ``"valid"``; empty with ``"reflect"``.
    single_pass
        How far a single pass is from the dense prediction, where that was asked for; measured in
        the middle of the first field.
    """

    path: Path
    fields: tuple[str, ...]
    bad: tuple[BadField, ...]
    notes: tuple[str, ...]
    pixels: int
    seconds: float
    valid: tuple[Box, ...] = ()
    single_pass: SinglePassDifference | None = None

    @property
    def megapixels_per_second(self) -> float:
        """Speed, reading and writing included."""
        return self.pixels / max(self.seconds, 1e-9) / 1e6


@dataclass
class _Run:
    """State of one call: what to compute, and what came of it so far."""

    model: Model
    statistics: tuple[Statistic, ...]
    tile_px: int | None
    border: Border
    progress: ProgressCallback
    on_bad: OnBad | None
    bad: list[BadField] = field(default_factory=list)
    done: list[Job] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    blank_planes: dict[str, str] = field(default_factory=dict)
    tiles_done: int = 0
    tiles_total: int = 0

    def refuse(self, name: str, error: IslError) -> None:
        """Report a bad field, or raise where nobody listens."""
        if self.on_bad is None:
            raise error
        self.bad.append(BadField(name, str(error)))
        self.on_bad(name, error)

    def box(self, job: Job) -> Box:
        """Part of a field that is predicted."""
        return self.model.grid(job, self.border).valid or job.fov.box

    def pieces(self, job: Job, chunk_yx: tuple[int, int]) -> tuple[Piece, ...]:
        """Pieces of one time point of a field."""
        return self.model.plan(job, self.tile_px, self.border, chunk_yx)

    def predict(self, job: Job, writer: FieldWriter) -> None:
        """Predict all time points of a field."""
        pieces = self.pieces(job, writer.chunk_yx)
        for t in range(job.fov.size_t):
            for write, cyx, count in joined(self.images(job, t, pieces)):
                writer.write(t, write, cyx)
                self.advance(count, job.fov.name)

    def images(
        self, job: Job, t: int, pieces: Sequence[Piece]
    ) -> Iterator[tuple[Piece, NDArray[np.float32]]]:
        """Statistics (C, Y, X) of each piece of one time point, in their order."""
        targets = self.model.card.targets
        nothing = np.empty((len(self.statistics) * len(targets), 0, 0), np.float32)
        stack = self.stack(job, t)
        done = 0
        parts = self.model.engine.predict_tiles([piece.tile for piece in pieces], stack)
        for index, distribution in parts:
            yield from ((piece, piece.image(nothing)) for piece in pieces[done:index])
            cyx = compute_statistics(distribution, self.statistics, targets).numpy()
            yield pieces[index], pieces[index].image(cyx)
            done = index + 1
        yield from ((piece, piece.image(nothing)) for piece in pieces[done:])

    def stack(self, job: Job, t: int) -> SourceStack:
        """Source of one time point; what is to be said of it is remembered."""
        stack = job.stack(self.model.card, t)
        if stack.normalizer.doubt:
            self.doubts.append(stack.normalizer.doubt)
        if stack.left_out:
            self.blank_planes.setdefault(job.fov.name, left_out_note(job, stack))
        return stack

    def compare_single_pass(self) -> SinglePassDifference | None:
        """Measure what a single pass costs in the first field; None where it is not used."""
        network = self.model.network
        if not isinstance(network, Isl2018Labeling) or network.stitching != "single-pass":
            return None
        return measure_single_pass(self.model, self.done[0].stack(self.model.card))

    def notes(self) -> tuple[str, ...]:
        """Guessed sources and resampling, each once, and the first of what concerns an image."""
        known = dict.fromkeys(note for job in self.done for note in job.notes)
        missing = [note for job in self.done for note in job.plane_notes]
        blank = [self.blank_planes[n] for j in self.done if (n := j.fov.name) in self.blank_planes]
        return (
            *known,
            *_first(missing, "fields"),
            *_first(blank, "fields"),
            *_first(self.doubts, "images"),
        )

    def advance(self, tiles: int, name: str) -> None:
        """Report finished tiles."""
        if tiles == 0:
            return
        self.tiles_done += tiles
        self.progress(Progress(self.tiles_done, self.tiles_total, "tile", name))


def _first(notes: Sequence[str], of: str) -> tuple[str, ...]:
    """The first of several notes, and how many there are more."""
    more = f" ({len(notes) - 1} more such {of})" if len(notes) > 1 else ""
    return tuple(f"{note}{more}" for note in notes[:1])


def predict_fovs(
    model: Model,
    fovs: Sequence[Fov],
    output: str | Path,
    *,
    source: str | None = None,
    statistics: Sequence[str] = ("median",),
    stitching: Stitching | None = None,
    border: Border = "reflect",
    orientations: int = 1,
    tile_px: int | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    resample: bool = True,
    ignore_voxel_size: bool = False,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> PredictSummary:
    """Predict whole fields, plates and time series; memory is bounded by the tile.

    Parameters
    ----------
    model
        The model.
    fovs
        Fields of view, at least one.
    output
        ``.zarr`` for OME-Zarr, ``.ome.tif`` for OME-TIFF; appears when it is complete.
    source
        Channel to predict from. By default the one that has the name of the model's source, else
        the only plausible one.
    statistics
        As for `Model.predict`.
    stitching
        How the published network of 2018 covers an image, see `Model.stitched`.
    border
        ``"reflect"``, or ``"valid"`` for NaN (0 in integer outputs) where the published program
        lost the border, see `isl.inference.tiles.Grid.of`.
    orientations
        How many orientations of an image are predicted and averaged, see `Model.oriented`.
    tile_px
        Side of a tile in pixels of the model; chosen by default to bound memory.
    dtype
        NumPy dtype of the output.
    overwrite
        Replace an existing output.
    resample
        Whether images whose voxel size differs from the model's by more than 2 % are resampled, and
        the predictions brought back to their pixels; else they are refused above 20 %.
    ignore_voxel_size
        Take any voxel size for that of the model.
    progress
        Called after each tile with the number of tiles in all.
    on_bad
        Called for each of several fields that cannot be predicted; the field is left out. Where
        not given, or where there is only one field, its error is raised.

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
    wanted = parse_statistics(statistics)
    if not fovs:
        raise DataError("there are no fields of view to predict")
    _keep_sources(Path(output), fovs)
    _keep_sources(output_path(output, len(fovs)), fovs)
    model = model.stitched(stitching).oriented(orientations)
    run = _Run(model, wanted, tile_px, border, progress, on_bad if len(fovs) > 1 else None)
    jobs = _check_fields(
        run,
        fovs,
        lambda fov: find_source(model.card, fov, source).fitted(
            model.card, resample=resample, ignore_voxel_size=ignore_voxel_size
        ),
    )
    fields = [output_field(job.fov, model.card.targets, wanted) for job in jobs]
    notes = provenance(model.card, wanted)
    if border == "valid":
        notes |= {"predicted": {job.fov.name: astuple(run.box(job)) for job in jobs}}
    with create_output(
        output, fields, dtype=dtype, overwrite=overwrite, attributes=notes
    ) as result:
        _predict_jobs(run, jobs, result)
    boxes = tuple(run.box(job) for job in run.done)
    return PredictSummary(
        result.path,
        tuple(job.fov.name for job in run.done),
        tuple(run.bad),
        run.notes(),
        sum(job.fov.size_t * box.size for job, box in zip(run.done, boxes, strict=True)),
        time.perf_counter() - start,
        boxes if border == "valid" else (),
        run.compare_single_pass(),
    )


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


def _predict_jobs(run: _Run, jobs: Sequence[Job], output: Output) -> None:
    """Predict the fields one after the other; drop those whose pixels turn out to be bad."""
    counts = _count_tiles(run, jobs, output)
    run.tiles_total = sum(counts)
    finished = 0
    for job, count in zip(jobs, counts, strict=True):
        try:
            run.predict(job, output.field(job.fov.name))
        except BAD_FIELD as error:
            run.refuse(job.fov.name, error)
            output.drop(job.fov.name)
        else:
            run.done.append(job)
        finished += count
        run.advance(finished - run.tiles_done, job.fov.name)
    _raise_if_none_left(run, run.done)


def _count_tiles(run: _Run, jobs: Sequence[Job], output: Output) -> list[int]:
    """Pieces of each field; the output is opened once for fields of the same size."""
    chunks: dict[tuple[int, int], tuple[int, int]] = {}
    counts = []
    for job in jobs:
        shape_yx = (job.fov.size_y, job.fov.size_x)
        if shape_yx not in chunks:
            chunks[shape_yx] = output.field(job.fov.name).chunk_yx
        counts.append(job.fov.size_t * len(run.pieces(job, chunks[shape_yx])))
    return counts


def _check_fields(run: _Run, fovs: Sequence[Fov], find: Callable[[Fov], Job]) -> list[Job]:
    """Find the source of each field and check it, before anything is written."""
    jobs = []
    for fov in fovs:
        try:
            job = find(fov)
            run.box(job)
            jobs.append(job)
        except BAD_FIELD as error:
            run.refuse(fov.name, error)
    _raise_if_none_left(run, jobs)
    return jobs


def _raise_if_none_left(run: _Run, jobs: Sequence[Job]) -> None:
    if not jobs:
        raise DataError(f"none of {len(run.bad)} fields could be predicted, see above")
