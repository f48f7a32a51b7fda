"""``isl evaluate``: predictions (or a model) and the truth in, a report out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isl.cli.console import BadFields, print_table, progress_bar, say, table
from isl.cli.flags import Output, Overwrite, Pattern, Source, Switch, Targets, split_names

if TYPE_CHECKING:
    from isl.evaluation.evaluation import Evaluation
    from isl.evaluation.tables import ScoreRow

COLUMNS = {
    "pearson_r": "Pearson r (95 %)",
    "pearson_r_foreground": "foreground r",
    "ssim": "SSIM",
    "coverage_95": "in 95 %",
    "best_plane_r": "best plane",
}


def evaluate(
    prediction: Path,
    truth: Path,
    /,
    *,
    output: Output,
    region: str | None = None,
    targets: Targets = None,
    source: Source = None,
    pattern: Pattern = None,
    overwrite: Overwrite = False,
    ignore_voxel_size: Switch = False,
    panels: Path | None = None,
    panel_layout: Literal["simplified", "full", "training"] = "simplified",
) -> int:
    """Say in a report how good predictions are.

    Parameters
    ----------
    prediction
        Predictions written by 'isl predict', or a model (its file, or a name that 'isl models'
        lists), whose predictions are then made.
    truth
        Images with the true fluorescence, and for the controls with the source.
    output
        Page to write, such as report.html; a .parquet and a .csv file with the scores go beside it.
    region
        Part of each image to compare, such as columns:576-767 or rows:0-99, both ends included.
        By default what the model was not trained on, as far as this is known.
    ignore_voxel_size
        Accept images at another magnification than the model was trained at.
    panels
        Folder to write error panels of a model to, as the published program made them: for each
        field a 16-bit picture of up to 256 x 256 pixels with a row per target.
    panel_layout
        Columns of the panels. Simplified: median, truth, difference. Full: mode, median, mean,
        standard deviation, truth, three overlays, three differences, presence. Training: the same
        and the cross entropy.
    """
    from isl.api import evaluate as compare
    from isl.core.region import parse_region
    from isl.evaluation.panel_folder import panels_at
    from isl.evaluation.report import report_at

    bad = BadFields()
    part = None if region is None else parse_region(region)
    with ExitStack() as outputs:
        write = outputs.enter_context(report_at(output, overwrite))
        folder = None
        if panels is not None:
            folder = outputs.enter_context(panels_at(panels, panel_layout, overwrite))
        progress = outputs.enter_context(progress_bar())
        evaluation = compare(
            prediction,
            truth,
            pattern=pattern,
            on_bad=bad,
            region=part,
            targets=split_names(targets),
            source=source,
            ignore_voxel_size=ignore_voxel_size,
            panels=folder,
            progress=progress,
        )
        write(evaluation)
    show_scores(evaluation)
    say(f"report: {output}")
    if panels is not None:
        say(f"error panels: {panels}")
    return bad.report()


def show_scores(evaluation: Evaluation) -> None:
    """Print the scores of each target, over all fields, and what needs attention."""
    say(evaluation.title)
    shown = table("target", *COLUMNS.values())
    for target in evaluation.targets:
        rows = [evaluation.find(target, metric) for metric in COLUMNS]
        shown.add_row(target, *map(_cell, rows))
    print_table(shown)
    for note in evaluation.notes:
        say(note)


def _cell(row: ScoreRow | None) -> str:
    """Figure; for the main one with its 95 % interval."""
    if row is None or row.value != row.value:
        return "-"
    if row.metric != "pearson_r" or row.low != row.low:
        return f"{row.value:.3f}"
    return f"{row.value:.3f} ({row.low:.2f} to {row.high:.2f})"
