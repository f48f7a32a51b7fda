"""Scores of a cross-validation: a table, a summary over the folds, and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isl.evaluation.evaluation import Evaluation

if TYPE_CHECKING:
    import pandas as pd

METRICS = {
    "pearson_r": "Pearson r",
    "pearson_r_foreground": "foreground r",
    "ssim": "SSIM",
    "nrmse": "NRMSE",
    "log_score": "log score",
    "crps": "CRPS",
    "coverage_95": "in 95 %",
    "best_plane_r": "best plane",
}
"""Scores that are kept of each fold, and what they are called."""

SHOWN = ("pearson_r", "pearson_r_foreground", "ssim", "coverage_95", "best_plane_r")
"""Those of them that are printed."""

_WITH_INTERVAL = ("pearson_r", "pearson_r_foreground")


@dataclass(frozen=True)
class Fold:
    """One fold: what was held out, and how well it was predicted.

    Attributes
    ----------
    number
        From 1.
    holdout
        Rule of what was held out.
    model
        File of the model.
    evaluation
        Scores of what was held out; None where the fold failed.
    error
        Why it failed; empty where it did not.
    """

    number: int
    holdout: str
    model: Path
    evaluation: Evaluation | None = None
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """A score over the folds.

    Attributes
    ----------
    target, metric
        What it is.
    mean, spread, low, high
        Mean, standard deviation, smallest and largest value of the folds; NaN where unknown.
    folds
        Number of folds that have it.
    """

    target: str
    metric: str
    mean: float
    spread: float
    low: float
    high: float
    folds: int

    def __str__(self) -> str:
        """Mean and spread in a few digits."""
        if not self.folds:
            return "-"
        return f"{self.mean:.3f}" + (f" ± {self.spread:.3f}" if self.folds > 1 else "")


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes
    ----------
    folds
        All of them, also those that failed.

    Examples
    --------
    >>> found = cross_validate(fovs, config, "folds", rules)                # doctest: +SKIP
    >>> str(found.summary("DAPI", "pearson_r"))                             # doctest: +SKIP
    '0.781 ± 0.024'
    """

    folds: tuple[Fold, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that have a score in some fold."""
        found = (t for fold in self.folds if fold.evaluation for t in fold.evaluation.targets)
        return tuple(dict.fromkeys(found))

    @property
    def failed(self) -> tuple[Fold, ...]:
        """Folds without scores."""
        return tuple(fold for fold in self.folds if fold.evaluation is None)

    def summary(self, target: str, metric: str) -> Summary:
        """Mean and spread of a score over the folds that have it."""
        values = [
            row.value
            for fold in self.folds
            if fold.evaluation and (row := fold.evaluation.find(target, metric)) is not None
        ]
        known = np.array([value for value in values if np.isfinite(value)])
        if not known.size:
            nan = float("nan")
            return Summary(target, metric, nan, nan, nan, nan, 0)
        spread = float(known.std(ddof=1)) if known.size > 1 else float("nan")
        low, high = float(known.min()), float(known.max())
        return Summary(target, metric, float(known.mean()), spread, low, high, known.size)

    def table(self) -> pd.DataFrame:
        """Table with a row for each fold and target: fold, held_out, target, the scores, note."""
        import pandas as pd

        return pd.DataFrame([row for fold in self.folds for row in _rows(fold)])

    def page(self) -> str:
        """The report in Markdown."""
        return "\n".join([*_summary_lines(self), *_fold_lines(self), *_note_lines(self), ""])


def cells(fold: Fold, target: str) -> tuple[str, ...]:
    """The printed scores of a fold and target; the first with its 95 % interval."""
    rows = [fold.evaluation.find(target, m) if fold.evaluation else None for m in SHOWN]
    texts = ["-" if row is None or np.isnan(row.value) else f"{row.value:.3f}" for row in rows]
    first = rows[0]
    if first is not None and np.isfinite([first.value, first.low]).all():
        texts[0] += f" ({first.low:.2f} to {first.high:.2f})"
    return tuple(texts)


def _rows(fold: Fold) -> Iterator[dict[str, object]]:
    start = {"fold": fold.number, "held_out": fold.holdout}
    if fold.evaluation is None:
        yield {**start, "target": "", "note": fold.error}
        return
    for target in fold.evaluation.targets:
        row: dict[str, object] = {**start, "target": target}
        for metric in METRICS:
            score = fold.evaluation.find(target, metric)
            row[metric] = float("nan") if score is None else score.value
            if metric in _WITH_INTERVAL:
                row[f"{metric}_low"] = float("nan") if score is None else score.low
                row[f"{metric}_high"] = float("nan") if score is None else score.high
        main = fold.evaluation.find(target, "pearson_r")
        fields = len(fold.evaluation.fields)
        yield {**row, "fields": fields, "pixels": main.pixels if main else 0, "note": ""}


def _summary_lines(found: CrossValidation) -> list[str]:
    good = len(found.folds) - len(found.failed)
    lines = [
        "# Cross-validation",
        "",
        f"{good} of {len(found.folds)} folds. Each model is scored on what it was not trained on. "
        "Mean and standard deviation over the folds:",
        "",
        *_head(["target", *(METRICS[m] for m in SHOWN), "worst fold r", "best fold r", "folds"]),
    ]
    for target in found.targets:
        main = found.summary(target, "pearson_r")
        figures = [str(found.summary(target, metric)) for metric in SHOWN]
        ends = [f"{main.low:.3f}", f"{main.high:.3f}"] if main.folds else ["-", "-"]
        lines.append(_line([target, *figures, *ends, str(main.folds)]))
    return [*lines, ""]


def _fold_lines(found: CrossValidation) -> list[str]:
    names = [METRICS[metric] for metric in SHOWN]
    lines = [
        "## Folds",
        "",
        *_head(["fold", "held out", "target", f"{names[0]} (95 %)", *names[1:]]),
    ]
    for fold in found.folds:
        for target in fold.evaluation.targets if fold.evaluation else ():
            lines.append(_line([str(fold.number), fold.holdout, target, *cells(fold, target)]))
        if fold.evaluation is None:
            lines.append(_line([str(fold.number), fold.holdout, "failed", *["-"] * len(SHOWN)]))
    return [*lines, ""]


def _note_lines(found: CrossValidation) -> list[str]:
    lines = [f"- fold {fold.number} ({fold.holdout}) failed: {fold.error}" for fold in found.failed]
    for fold in found.folds:
        notes = (*fold.evaluation.notes, *fold.evaluation.left_out) if fold.evaluation else ()
        lines += [f"- fold {fold.number}: {note}" for note in notes]
    return ["## Notes", "", *lines] if lines else []


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), "|" + "---|" * len(names)]


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
