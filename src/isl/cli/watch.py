"""``isl watch``: predict fields as the microscope finishes writing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from isl.cli.console import GOOD, SOME_BAD, say, stderr
from isl.cli.flags import Names, Pattern, Source, Switch, split_names

if TYPE_CHECKING:
    from isl.inference.watch_settings import WatchEvent, WatchSummary


def watch(
    folder: Path,
    model: Path,
    output: Path,
    /,
    *,
    statistics: Annotated[Names | None, Parameter(negative="")] = None,
    source: Source = None,
    dtype: str = "float32",
    format: Literal["zarr", "ome.tif"] = "zarr",
    settle: float = 10.0,
    patience: float = 10.0,
    poll: float = 5.0,
    planes: int | None = None,
    until_idle: float | None = None,
    once: Switch = False,
    pattern: Pattern = None,
    ignore_voxel_size: Switch = False,
) -> int:
    """Predict each field of a folder as soon as the microscope has written it.

    Ends with Ctrl-C; the same command goes on where it stopped.

    Parameters
    ----------
    folder
        Folder that the microscope writes to, or an OME-Zarr group that grows.
    model
        Model file, written by 'isl train' or 'isl import-checkpoint', or a name that 'isl models'
        lists.
    output
        Folder for the predictions, one file or OME-Zarr a field.
    statistics
        What to write of each pixel's distribution, as for 'isl predict'; the median by default.
    dtype
        Type of the pixels written: float32, uint16, uint8.
    format
        Write OME-Zarr or OME-TIFF.
    settle
        Seconds for which the files of a field must not have changed before it is predicted.
    patience
        Minutes without a change after which an incomplete field is reported.
    poll
        Seconds between two looks at the folder.
    planes
        Planes that a complete stack has; by default as many as the deepest in the folder.
    until_idle
        End when nothing new has come for this many minutes.
    once
        Predict what is complete now, then end.
    ignore_voxel_size
        Take any voxel size for the one that the model was trained at.
    """
    from isl.inference.model_file import load_model
    from isl.inference.watch import watch_folder
    from isl.inference.watch_settings import WatchSettings

    settings = WatchSettings(
        settle_s=settle,
        patience_s=60 * patience,
        poll_s=poll,
        planes=planes,
        until_idle_s=None if until_idle is None else 60 * until_idle,
        once=once,
        pattern=pattern,
        format=format,
    )
    summary = watch_folder(
        load_model(model),
        folder,
        output,
        settings,
        source=source,
        on_event=tell,
        statistics=split_names(statistics) or ("median",),
        dtype=dtype,
        ignore_voxel_size=ignore_voxel_size,
    )
    say(closing_lines(summary))
    return SOME_BAD if summary.bad else GOOD


def tell(event: WatchEvent) -> None:
    """Print an event: predictions are results, everything else is for the reader at the screen."""
    if event.kind == "predicted":
        say(event.text)
    elif event.kind == "bad":
        stderr().print(f"skipped {event.field}: {event.text}", style="yellow")
    else:
        stderr().print(event.text)


def closing_lines(summary: WatchSummary) -> str:
    """Say what was predicted, what was bad, and what waits for its rest."""
    count, before = len(summary.predicted), summary.done_before
    earlier = f", {before} were there before" if before else ""
    lines = [f"predicted {count} field{'s' * (count != 1)}{earlier}"]
    if summary.bad:
        many = len(summary.bad) > 1
        lines.append(f"{len(summary.bad)} bad field{'s' * many} skipped, see above")
    lines += [f"not complete: {field.name}: {field.reason}" for field in summary.waiting]
    return "\n".join(lines)
