"""The report: one HTML page that needs nothing else, and the scores beside it as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isl.core.errors import OutputError
from isl.evaluation.evaluation import Evaluation, Picture
from isl.evaluation.report_images import (
    CalibrationPoint,
    Tile,
    calibration,
    heat_map_uri,
    picture_tiles,
)
from isl.evaluation.tables import ALL_FIELDS, ScoreRow
from isl.io.staging import staged

_COLUMNS = (
    ("pearson_r", "Pearson r", "{:.3f}"),
    ("pearson_r_foreground", "r, foreground", "{:.3f}"),
    ("ssim", "SSIM", "{:.3f}"),
    ("nrmse", "NRMSE", "{:.3f}"),
    ("log_score", "log score", "{:.3f}"),
    ("crps", "CRPS", "{:.3f}"),
    ("coverage_50", "in 50 %", "{:.1f} %"),
    ("coverage_80", "in 80 %", "{:.1f} %"),
    ("coverage_95", "in 95 %", "{:.1f} %"),
)
_CONTROLS = (("best single source plane", "best_plane_r"), ("mean source image", "mean_image_r"))


@dataclass(frozen=True)
class Cell:
    """A figure of the table, its interval, and the mark of the footnote that says why it lacks."""

    value: str
    interval: str = ""
    mark: str = ""


@dataclass(frozen=True)
class TableLine:
    """A line of the table: a prediction, or a control beside it."""

    name: str
    cells: tuple[Cell, ...]
    is_control: bool
    detail: str = ""


@dataclass(frozen=True)
class PictureView:
    """A picture as the page shows it."""

    picture: Picture
    tiles: tuple[Tile, ...]
    heat_map: str
    r: str


def write_report(evaluation: Evaluation, path: Path | str, overwrite: bool = False) -> None:
    """Write the page, and the scores as ``.parquet`` and ``.csv`` under the same name beside it.

    Parameters
    ----------
    evaluation
        What to report.
    path
        Name of the page, ending in ``.html``.
    overwrite
        Whether existing files may be replaced.

    Raises
    ------
    OutputError
        Where the name does not end in ``.html``, or one of the three files exists or cannot be
        written; none is left behind.
    """
    with report_at(path, overwrite) as write:
        write(evaluation)


@contextmanager
def report_at(path: Path | str, overwrite: bool = False) -> Iterator[Callable[[Evaluation], None]]:
    """Find out before a long evaluation whether its report can be written, and write it after.

    Parameters
    ----------
    path, overwrite
        As for `write_report`.

    Yields
    ------
    callable
        Writes the report of an evaluation, once; the files appear when the block ends.

    Raises
    ------
    OutputError
        As `write_report` does.

    Examples
    --------
    >>> with report_at("report.html") as write:                    # doctest: +SKIP
    ...     write(isl.evaluate("model.isl", "wells/"))
    """
    page = Path(path)
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{page} is not the name of a page; end it in .html")
    with ExitStack() as outputs:
        names = (page, page.with_suffix(".parquet"), page.with_suffix(".csv"))
        files = [outputs.enter_context(staged(name, overwrite=overwrite)) for name in names]

        def write(evaluation: Evaluation) -> None:
            table = evaluation.table()
            files[0].write_text(render_report(evaluation), encoding="utf-8")
            table.to_parquet(files[1], index=False)
            table.to_csv(files[2], index=False)

        yield write


def render_report(evaluation: Evaluation) -> str:
    """Page as HTML text, with style and pictures inside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("isl.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["intensity"] = _intensity
    footnotes: dict[str, str] = {}
    summary = table_lines(evaluation, evaluation.summary_field, footnotes)
    several = len(evaluation.fields) > 1
    by_field = {f: table_lines(evaluation, f, footnotes) for f in evaluation.fields if several}
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        summary=summary,
        by_field=by_field,
        columns=[label for _, label, _ in _COLUMNS],
        footnotes=[(mark, reason) for reason, mark in footnotes.items()],
        views=_views(evaluation),
        curves=_curves(evaluation),
        pooled=evaluation.summary_field == ALL_FIELDS,
    )


def table_lines(
    evaluation: Evaluation, field: str, footnotes: dict[str, str]
) -> tuple[TableLine, ...]:
    """Lines of a field: each target, and below it the controls.

    Parameters
    ----------
    evaluation
        The scores.
    field
        Name of a field, or `ALL_FIELDS`.
    footnotes
        Reasons why figures are missing, with their marks; new ones are added.
    """
    lines: list[TableLine] = []
    for target in evaluation.targets:
        cells = (_cell(evaluation.find(target, m, field), f, footnotes) for m, _, f in _COLUMNS)
        lines.append(TableLine(target, tuple(cells), False))
        lines += [_control_line(evaluation, field, target, c, footnotes) for c in _CONTROLS]
    return tuple(lines)


def _control_line(
    evaluation: Evaluation,
    field: str,
    target: str,
    control: tuple[str, str],
    footnotes: dict[str, str],
) -> TableLine:
    label, metric = control
    row = evaluation.find(target, metric, field)
    rows = (row, evaluation.find(target, f"{metric}_foreground", field))
    cells = [_cell(r, "{:.3f}", footnotes) for r in rows]
    detail = "" if row is None or np.isnan(row.value) else row.note
    return TableLine(label, (*cells, *[Cell("")] * (len(_COLUMNS) - 2)), True, detail)


def _cell(row: ScoreRow | None, form: str, footnotes: dict[str, str]) -> Cell:
    if row is None:
        return Cell("")
    if np.isnan(row.value):
        return Cell("", mark=footnotes.setdefault(row.note, _mark(len(footnotes))))
    factor = 100.0 if form.endswith("%") else 1.0
    value, low, high = (form.format(factor * x) for x in (row.value, row.low, row.high))
    if np.isnan(row.low):
        return Cell(value)
    return Cell(value, f"{low.removesuffix(' %')} to {high.removesuffix(' %')}")


def _mark(index: int) -> str:
    """Marks a, b, ..., z, aa, ab, ..."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else _mark(index // 26 - 1) + letter


def _intensity(value: float) -> str:
    """Intensity as people read it: 13,776 or 0.0123."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _views(evaluation: Evaluation) -> list[PictureView]:
    return [
        PictureView(p, picture_tiles(p), heat_map_uri(p.histogram), _r_text(evaluation, p))
        for p in evaluation.pictures
    ]


def _r_text(evaluation: Evaluation, picture: Picture) -> str:
    row = evaluation.find(picture.target, "pearson_r", picture.field)
    return "" if row is None or np.isnan(row.value) else f"r = {row.value:.2f}"


def _curves(evaluation: Evaluation) -> list[tuple[str, tuple[CalibrationPoint, ...]]]:
    curves = ((target, calibration(evaluation, target)) for target in evaluation.targets)
    return [(target, points) for target, points in curves if points]
