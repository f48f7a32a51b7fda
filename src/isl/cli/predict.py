"""``isl predict``: a model and z-stacks in, predictions out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from isl.cli.console import BadFields, progress_bar, say
from isl.cli.flags import Names, Output, Overwrite, Pattern, Source, Switch, split_names
from isl.cli.predict_plan import plan_lines
from isl.core.config import Border, Stitching

if TYPE_CHECKING:
    from isl.inference.single_pass import SinglePassDifference
    from isl.inference.summary import PredictSummary

_MUCH_WAITING = 0.2
_SHORT_S = 10.0

Resample = Annotated[
    bool,
    Parameter(
        name="--resample",
        negative="--no-resample",
        help="Bring images of another voxel size to the model's, and the predictions back; without "
        "it they are refused.",
    ),
]


def predict(
    model: Path,
    path: Path,
    /,
    *,
    output: Output,
    statistics: Annotated[Names | None, Parameter(negative="")] = None,
    source: Source = None,
    stitching: Stitching | None = None,
    border: Border = "reflect",
    orientations: int = 1,
    tile_px: int | None = None,
    dtype: str = "float32",
    overwrite: Overwrite = False,
    restart: Switch = False,
    resample: Resample = True,
    ignore_voxel_size: Switch = False,
    pattern: Pattern = None,
    backend: str = "auto",
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    memory: str | None = None,
    cluster: str | None = None,
    dry_run: Switch = False,
) -> int:
    """Predict the fluorescence of new z-stacks with a trained model.

    Parameters
    ----------
    model
        Model file, written by 'isl train' or 'isl import-checkpoint', or a name that 'isl models'
        lists.
    path
        Image file, folder, plate or table of files.
    output
        NAME.zarr for OME-Zarr, NAME.ome.tif for OME-TIFF.
    statistics
        What to write of each pixel's distribution: median, mean, mode, std, nonzero (probability of
        a value above the darkest), entropy (0 certain, 1 uniform), quantiles such as
        q0.05; separated by commas. The median by default.
    stitching
        How the published network of 2018 covers an image. Dense (its default): what the published
        program computes, several times as fast. Patches: as it was published, patch by patch.
        Single-pass: fastest, and slightly different; how much is measured and said.
    border
        Reflect: every pixel is predicted, the image being mirrored at its border. Valid: only the
        whole blocks of 128 pixels that the published program predicts; the rest is NaN, in
        integer types 0. For the network of 2018.
    orientations
        8 predicts each image in all its orientations and averages: eight times as slow, and
        a little better.
    tile_px
        Side of a tile in pixels of the model; smaller needs less memory.
    dtype
        Type of the pixels written: float32, uint16, uint8.
    restart
        Begin anew, even where an interrupted run could go on.
    ignore_voxel_size
        Take any voxel size for the one that the model was trained at.
    backend
        What runs the network: torch, compile, onnxruntime, openvino, cuda, cuda-bf16, cuda-fp16,
        mps; auto measures once which is fastest here.
    threads
        Threads of the processor, for each process with --cluster; all of them by default.
    memory
        Memory to take at most, such as 2GB, for each process with --cluster; half of what is free
        by default.
    cluster
        Share the work: local:4 for four processes on this machine, or the address or file of a Dask
        scheduler.
    dry_run
        Say what would be done, how long it takes and how much memory and disk, and do nothing.
    """
    from isl.api import open_data
    from isl.inference.model_file import load_model
    from isl.inference.predict import plan_fovs, predict_fovs
    from isl.io.output_path import local_path
    from isl.io.output_place import Place

    bad = BadFields()
    loaded = load_model(model)
    fovs = open_data(path, pattern=pattern, on_bad=bad)
    settings: dict[str, Any] = {
        "source": source,
        "statistics": split_names(statistics) or ("median",),
        "stitching": stitching,
        "border": border,
        "orientations": orientations,
        "tile_px": tile_px,
        "dtype": dtype,
        "resample": resample,
        "ignore_voxel_size": ignore_voxel_size,
        "backend": backend,
        "threads": threads,
        "memory": memory,
        "cluster": cluster,
        "overwrite": overwrite,
        "restart": restart,
        "on_bad": bad,
    }
    if dry_run:
        plan = plan_fovs(loaded, fovs, output, **settings)
        place = Place.of(local_path(output, len(plan.runner.jobs)))
        say("\n".join(plan_lines(plan, place)))
        return bad.exit_code
    # Whoever goes on with an earlier run should read with which backend before it ends.
    logging.getLogger("isl.inference.going_on").setLevel(logging.INFO)
    with progress_bar() as progress:
        summary = predict_fovs(loaded, fovs, output, progress=progress, **settings)
    say(closing_lines(summary, loaded.card.target_names, bad))
    return bad.exit_code


def closing_lines(
    summary: PredictSummary, targets: tuple[str, ...], bad: BadFields | None = None
) -> str:
    """Say what was predicted, how fast and where it is, and what the reader should know of it."""
    count = len(summary.fields)
    what = f"field {summary.fields[0]}" if count == 1 else f"{count} fields"
    line = (
        f"predicted {', '.join(targets)} of {what} in {summary.seconds:.1f} s "
        f"({summary.megapixels_per_second:.2f} megapixels/s): {summary.path}"
    )
    lines = (
        line,
        summary.backend and f"run by {summary.backend}",
        *resumed_lines(summary),
        *valid_lines(summary),
        "" if summary.single_pass is None else single_pass_line(summary.single_pass),
        *summary.notes,
        bad.summary() if bad else "",
    )
    return "\n".join(part for part in lines if part)


def resumed_lines(summary: PredictSummary) -> tuple[str, ...]:
    """Say what an interrupted run had done, and what the network waited for."""
    lines = []
    if summary.resumed:
        lines.append(f"went on with an interrupted run, of which {summary.resumed} parts were done")
    waited, came = summary.waited, summary.traffic
    if waited > _MUCH_WAITING and came.bytes:
        speed = came.bytes / 1e6 / max(came.seconds, 1e-9)
        lines.append(
            f"bound by the network connection: {speed:.1f} MB/s, the processor waited "
            f"{100 * waited:.0f} % of the time"
        )
    elif waited > _MUCH_WAITING and summary.seconds > _SHORT_S:
        lines.append(
            f"the network waited {100 * waited:.0f} % of the time for the images: reading them is "
            "what takes long here"
        )
    return tuple(lines)


def valid_lines(summary: PredictSummary) -> tuple[str, ...]:
    """Say which part of the fields was predicted, where it is not all."""
    if not summary.valid:
        return ()
    first = summary.valid[0]
    where = f"rows {first.y0}-{first.y1 - 1} and columns {first.x0}-{first.x1 - 1}"
    if len(set(summary.valid)) > 1:
        where = f"{where} of field {summary.fields[0]}, others according to their size"
    return (
        f"predicted are {where}; the border around is NaN, in an integer type 0, and does not "
        "count in 'isl evaluate'",
    )


def single_pass_line(difference: SinglePassDifference) -> str:
    """Say how far a single pass is from what the published program computes."""
    sample = difference.sample
    return (
        f"single pass: on {sample.shape[0]} x {sample.shape[1]} px in the middle of the first "
        f"field it differs from dense inference by {difference.mean_percent:.2f} % of the "
        f"prediction's range in the mean and {difference.largest_percent:.2f} % at most"
    )
