"""``isl predict``: a model and z-stacks in, predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say
from isl.cli.flags import Names, Output, Overwrite, Pattern, Source, Switch, split_names
from isl.core.config import Border, Stitching

if TYPE_CHECKING:
    from isl.inference.predict import PredictSummary
    from isl.inference.single_pass import SinglePassDifference

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
    resample: Resample = True,
    ignore_voxel_size: Switch = False,
    pattern: Pattern = None,
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
    ignore_voxel_size
        Take any voxel size for the one that the model was trained at.
    """
    from isl.api import open_data
    from isl.inference.model_file import load_model
    from isl.inference.predict import predict_fovs

    bad = BadFields()
    loaded = load_model(model)
    fovs = open_data(path, pattern=pattern, on_bad=bad)
    with progress_bar() as progress:
        summary = predict_fovs(
            loaded,
            fovs,
            output,
            source=source,
            statistics=split_names(statistics) or ("median",),
            stitching=stitching,
            border=border,
            orientations=orientations,
            tile_px=tile_px,
            dtype=dtype,
            overwrite=overwrite,
            resample=resample,
            ignore_voxel_size=ignore_voxel_size,
            progress=progress,
            on_bad=bad,
        )
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
        *valid_lines(summary),
        "" if summary.single_pass is None else single_pass_line(summary.single_pass),
        *summary.notes,
        bad.summary() if bad else "",
    )
    return "\n".join(part for part in lines if part)


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
