"""``isl predict``: a model and z-stacks in, predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say
from isl.cli.flags import Names, Output, Overwrite, Pattern, Source, Switch, split_names

if TYPE_CHECKING:
    from isl.inference.predict import PredictSummary


def predict(
    model: Path,
    path: Path,
    /,
    *,
    output: Output,
    statistics: Annotated[Names | None, Parameter(negative="")] = None,
    source: Source = None,
    tile_px: int | None = None,
    dtype: str = "float32",
    overwrite: Overwrite = False,
    ignore_voxel_size: Switch = False,
    pattern: Pattern = None,
) -> int:
    """Predict the fluorescence of new z-stacks with a trained model.

    Parameters
    ----------
    model
        Model file, written by 'isl train'.
    path
        Image file, folder, plate or table of files.
    output
        NAME.zarr for OME-Zarr, NAME.ome.tif for OME-TIFF.
    statistics
        What to write of each pixel's distribution: median, mean, mode, std, nonzero (probability of
        a value above the darkest), entropy (0 certain, 1 uniform), quantiles such as
        q0.05; separated by commas. The median by default.
    tile_px
        Side of a tile in pixels; smaller needs less memory.
    dtype
        Type of the pixels written: float32, uint16, uint8.
    ignore_voxel_size
        Accept images at another magnification than the model was trained at.
    """
    from isl.inference.model_file import load_model
    from isl.inference.predict import predict_fovs
    from isl.io.open import open_fovs

    bad = BadFields()
    loaded = load_model(model)
    fovs = open_fovs(path, pattern=pattern, on_bad=bad)
    with progress_bar() as progress:
        summary = predict_fovs(
            loaded,
            fovs,
            output,
            source=source,
            statistics=split_names(statistics) or ("median",),
            tile_px=tile_px,
            dtype=dtype,
            overwrite=overwrite,
            ignore_voxel_size=ignore_voxel_size,
            progress=progress,
            on_bad=bad,
        )
    say(closing_lines(summary, loaded.card.target_names, bad))
    return bad.exit_code


def closing_lines(
    summary: PredictSummary, targets: tuple[str, ...], bad: BadFields | None = None
) -> str:
    """Say in one or two lines what was predicted, how fast and where it is."""
    count = len(summary.fields)
    what = f"field {summary.fields[0]}" if count == 1 else f"{count} fields"
    line = (
        f"predicted {', '.join(targets)} of {what} in {summary.seconds:.1f} s "
        f"({summary.megapixels_per_second:.2f} megapixels/s): {summary.path}"
    )
    return "\n".join(part for part in (line, bad.summary() if bad else "") if part)
