"""Scores as rows of a tidy table: one row per field, target and metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from isl.evaluation.bootstrap import Statistic, confidence_interval
from isl.evaluation.controls import ControlScore, best_plane, mean_image
from isl.evaluation.field_sums import TargetSums
from isl.evaluation.forecast import COVERAGE_LEVELS, REPORTED_LEVELS
from isl.evaluation.scores import mean_from_sums, nrmse_from_moments, r_from_moments

if TYPE_CHECKING:
    import pandas as pd

ALL_FIELDS = "all fields"
"""Name of the field in rows that pool all fields, pixel by pixel."""

METRICS: dict[str, Statistic] = {
    "pearson_r": r_from_moments,
    "pearson_r_foreground": r_from_moments,
    "ssim": mean_from_sums,
    "nrmse": nrmse_from_moments,
    "log_score": mean_from_sums,
    "crps": mean_from_sums,
    **{f"coverage_{level}": mean_from_sums for level in COVERAGE_LEVELS},
}
CONTROLS = ("best_plane_r", "best_plane_r_foreground", "mean_image_r", "mean_image_r_foreground")
_OPTIONAL = {f"coverage_{level}" for level in COVERAGE_LEVELS if level not in REPORTED_LEVELS}


@dataclass(frozen=True)
class ScoreRow:
    """One figure of one field and target.

    Attributes
    ----------
    field, target, metric
        What it is; ``field`` is `ALL_FIELDS` in pooled rows.
    value, low, high
        The figure and its 95 % interval; NaN where missing.
    pixels
        Number of pixels it was computed on.
    note
        Why it is missing, or what else there is to say.
    """

    field: str
    target: str
    metric: str
    value: float
    low: float
    high: float
    pixels: int
    note: str = ""


def score_rows(field: str, target: str, parts: Sequence[TargetSums]) -> list[ScoreRow]:
    """Score one field, or several together.

    Parameters
    ----------
    field, target
        Names for the rows.
    parts
        Sums of each field; at least one.
    """
    rows = [_metric_row(field, target, m, parts) for m in METRICS]
    kept = [row for row in rows if row.metric not in _OPTIONAL or not np.isnan(row.value)]
    return kept + [_control_row(field, target, name, parts) for name in CONTROLS]


def missing_rows(field: str, target: str, reason: str) -> list[ScoreRow]:
    """Rows for a field that has no image of a target."""
    nan = float("nan")
    names = [name for name in (*METRICS, *CONTROLS) if name not in _OPTIONAL]
    return [ScoreRow(field, target, n, nan, nan, nan, 0, _not_computed(reason)) for n in names]


def scores_table(rows: Sequence[ScoreRow]) -> pd.DataFrame:
    """Table with the columns of `ScoreRow`."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=[f.name for f in fields(ScoreRow)])


def _metric_row(field: str, target: str, metric: str, parts: Sequence[TargetSums]) -> ScoreRow:
    blocks = [p.sums[metric] for p in parts if metric in p.sums]
    pixels = int(sum(b[:, 0].sum() for b in blocks))
    interval = confidence_interval(blocks, METRICS[metric])
    note = ""
    if np.isnan(interval.value):
        note = _not_computed(_first_reason(parts, metric))
    elif np.isnan(interval.low):
        note = "no interval: the pixels lie in one block"
    return ScoreRow(
        field, target, metric, interval.value, interval.low, interval.high, pixels, note
    )


def _control_row(field: str, target: str, name: str, parts: Sequence[TargetSums]) -> ScoreRow:
    which = "foreground" if name.endswith("foreground") else "all"
    nan = float("nan")
    sums = [p.controls[which] for p in parts if which in p.controls]
    if not sums or len({s.shape[0] for s in sums}) > 1:
        why = "the fields differ in the number of planes" if sums else "there is no source image"
        return ScoreRow(field, target, name, nan, nan, nan, 0, _not_computed(why))
    score = best_plane(sums) if name.startswith("best") else mean_image(sums)
    interval = score.interval
    if np.isnan(interval.value):
        note = _not_computed(_no_control(parts))
    else:
        note = _control_note(score, sums[0].shape[0] - 1)
    return ScoreRow(
        field, target, name, interval.value, interval.low, interval.high, score.pixels, note
    )


def _control_note(score: ControlScore, planes: int) -> str:
    what = "mean of" if score.plane is None else f"plane {score.plane + 1} of"
    return f"{what} {planes}" + (", negative correlation" if score.is_negative else "")


def _no_control(parts: Sequence[TargetSums]) -> str:
    reason = _first_reason(parts, "pearson_r")
    return reason if "truth" in reason or "pixels" in reason else "the source is constant there"


def _first_reason(parts: Sequence[TargetSums], metric: str) -> str:
    return next((p.reasons[metric] for p in parts if metric in p.reasons), "no pixel counts")


def _not_computed(reason: str) -> str:
    return f"not computed: {reason}"
