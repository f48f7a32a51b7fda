"""The result of an evaluation: scores, a few pictures, and what was computed on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.evaluation.panels import PanelRow
from isl.evaluation.tables import ALL_FIELDS, ScoreRow, scores_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Picture:
    """Images of one field and target for the page.

    Attributes
    ----------
    field, target
        Names.
    row
        A part of the images at full resolution, at the first time point, with the display range
        of the whole evaluated region.
    crop
        Where that part lies in the field.
    histogram
        (bins, bins) pixel counts at the first time point, truth in rows and prediction in
        columns, over the whole evaluated region and the display range on both axes; values
        beyond are in the outermost bins.
    rank
        ``"best"``, ``"median"`` or ``"worst"`` of many fields by mean r; else empty.
    """

    field: str
    target: str
    row: PanelRow
    crop: Box
    histogram: NDArray[np.int64]
    rank: str = ""


@dataclass(frozen=True)
class Evaluation:
    """How good a prediction is.

    Attributes
    ----------
    title
        What was evaluated, in a few words.
    fields, targets
        Names of the fields and targets that have scores.
    rows
        All scores; where there are several fields, also pooled ones.
    pictures
        Of a few fields, ranked by r; all fields where there are up to three.
    facts
        Pairs (what, text): on which pixels, and with which normalisation.
    notes
        What needs attention.
    left_out
        Fields that could not be evaluated, and why.

    Examples
    --------
    >>> evaluation = isl.evaluate(predictions, truths)                     # doctest: +SKIP
    >>> evaluation.score("DAPI", "pearson_r").value                        # doctest: +SKIP
    0.81
    """

    title: str
    fields: tuple[str, ...]
    targets: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    pictures: tuple[Picture, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def summary_field(self) -> str:
        """Field whose rows sum the evaluation up: the pooled one, or the only one."""
        return ALL_FIELDS if len(self.fields) > 1 else self.fields[0]

    def table(self) -> pd.DataFrame:
        """Tidy table: field, target, metric, value, low, high, pixels, note."""
        return scores_table(self.rows)

    def find(self, target: str, metric: str, field: str | None = None) -> ScoreRow | None:
        """Row of a target and metric, of all fields together by default; None if there is none."""
        name = self.summary_field if field is None else field
        wanted = (name, target, metric)
        return next((r for r in self.rows if (r.field, r.target, r.metric) == wanted), None)

    def score(self, target: str, metric: str, field: str | None = None) -> ScoreRow:
        """Row of a target and metric, of all fields together by default.

        Raises
        ------
        LookupError
            Where there is no such row.
        """
        row = self.find(target, metric, field)
        if row is None:
            raise LookupError(f"there is no '{metric}' of '{target}' in {field or 'all fields'}")
        return row

    def headlines(self) -> tuple[str, ...]:
        """One sentence per target."""
        return tuple(self._headline(target) for target in self.targets)

    def _headline(self, target: str) -> str:
        r = self.score(target, "pearson_r")
        if np.isnan(r.value):
            return f"{target}: {r.note}"
        text = f"{target}: r = {r.value:.2f}"
        if not np.isnan(r.low):
            text += f" (95 % interval {r.low:.2f} to {r.high:.2f})"
        covered = self.find(target, "coverage_95")
        if covered is not None and not np.isnan(covered.value):
            text += f", coverage of the 95 % interval {100 * covered.value:.0f} %"
        control = self.find(target, "best_plane_r")
        if control is not None and not np.isnan(control.value):
            text += f"; the best single source plane reaches {control.value:.2f}"
        return text
