"""The report of a search: what was tried, what came out, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from isl.core.config import TrainConfig
from isl.io.staging import staged
from isl.training.search.space import SearchSpace, label, setting_of, with_settings
from isl.training.search.trial import TrialRecord

if TYPE_CHECKING:
    import optuna

    from isl.training.search.study import TuneFolder

TRIALS_FOR_IMPORTANCE = 8
"""Complete trials below which importances would be noise."""
_TRIALS_SHOWN = 20


@dataclass(frozen=True)
class Search:
    """A search as it stands.

    Attributes
    ----------
    trials
        All trials that ended.
    config
        Settings that hold for all of them.
    space
        Ranges.
    hours
        Budget.
    """

    trials: tuple[TrialRecord, ...]
    config: TrainConfig
    space: SearchSpace
    hours: float

    @property
    def best(self) -> TrialRecord | None:
        """Complete trial of the highest score; the first of several."""
        complete = [t for t in self.trials if t.state == "complete" and t.score is not None]
        return max(complete, key=lambda t: (t.score, -t.number), default=None)

    @property
    def hours_used(self) -> float:
        """Time of all trials."""
        return sum(trial.minutes for trial in self.trials) / 60.0

    @property
    def best_config(self) -> TrainConfig | None:
        """Settings of the best trial."""
        return None if self.best is None else with_settings(self.config, self.best.values)

    def count(self, state: str) -> int:
        """How many trials ended in a state."""
        return sum(trial.state == state for trial in self.trials)

    def table(self) -> pd.DataFrame:
        """One row for each trial."""
        return pd.DataFrame(
            [
                {
                    "trial": t.number,
                    "state": t.state,
                    "r": t.score,
                    "minutes": round(t.minutes, 3),
                    **{f"r {name}": r for name, r in t.scores.items()},
                    **{name: label(value) for name, value in t.values.items()},
                    "note": t.note,
                }
                for t in self.trials
            ]
        )


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of each setting in what tells good trials from the rest; empty for few trials.

    References
    ----------
    Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023.
    """
    import warnings

    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < TRIALS_FOR_IMPORTANCE or len({t.value for t in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator is called experimental
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def write_report(
    search: Search, folder: TuneFolder, tested: Sequence[str], study: optuna.Study
) -> None:
    """Write report and table, and the best settings where there are any.

    Parameters
    ----------
    search
        The search as it stands.
    folder
        Where everything goes; what is there is replaced.
    tested
        Sentences on how the best model does on fields that no trial saw.
    study
        For the importances.
    """
    shares = importances(study)
    with staged(folder.table, overwrite=True) as path:
        search.table().to_csv(path, index=False)
    with staged(folder.report, overwrite=True) as path:
        path.write_text("\n".join(report_lines(search, shares, tested)) + "\n", "utf-8")
    if search.best is not None:
        with staged(folder.best_settings, overwrite=True) as path:
            path.write_text(best_yaml(search), "utf-8")


def write_picture(search: Search, folder: TuneFolder, study: optuna.Study) -> None:
    """Draw scores and importances.

    Parameters
    ----------
    search, folder, study
        As for `write_report`.
    """
    with staged(folder.picture, overwrite=True) as path:
        _draw(search, importances(study)).savefig(path, format="png", dpi=120)


def best_yaml(search: Search) -> str:
    """Settings of the best trial, for ``isl train --config``."""
    best, config = search.best, search.best_config
    assert best is not None
    assert config is not None
    settings = config.model_dump(mode="json", exclude_unset=True)
    if "network" in settings:
        settings["network"] = {"name": config.network.name, **settings["network"]}
    head = f"# Trial {best.number} of a search, held-out r {best.score:.4f} (optimistic: chosen)\n"
    return head + yaml.safe_dump(settings, sort_keys=False)


def report_lines(search: Search, shares: Mapping[str, float], tested: Sequence[str]) -> list[str]:
    """The report as Markdown."""
    counts = ", ".join(f"{search.count(s)} {s}" for s in ("complete", "pruned", "failed"))
    lines = [
        "# Search of recipe and network size",
        "",
        f"{len(search.trials)} trials ({counts}) in {search.hours_used:.2f} of {search.hours:g} "
        "hours.",
    ]
    if search.best is None:
        return [*lines, "", "No trial is complete yet.", "", *_trial_lines(search)]
    return [
        *lines,
        "",
        *_best_lines(search, search.best),
        "",
        *_test_section(tested),
        "![Scores and importances](report.png)",
        "",
        *_importance_lines(shares),
        "",
        *_trial_lines(search),
    ]


def _best_lines(search: Search, best: TrialRecord) -> list[str]:
    """What is best, compared with the start, and how far to trust it."""
    by_target = ", ".join(f"{name} {r:.3f}" for name, r in best.scores.items())
    rows = [
        f"| {name} | {_text(setting_of(search.config, name))} | {_text(value)} |"
        for name, value in best.values.items()
    ]
    return [
        f"**Best: trial {best.number}, mean held-out r {best.score:.3f}** ({by_target}).",
        "",
        f"This figure is optimistic: it is the largest of {search.count('complete')}, all compared "
        "on the same held-out part. Learn what the recipe is worth from images that the search has "
        "not used: `isl evaluate best.isl OTHER_IMAGES -o report.html`, or keep fields aside with "
        "`--test`. The model is `best.isl`; `isl train DATA -o model.isl --config best.yaml` "
        "trains with the same settings, `--max-minutes` for longer.",
        "",
        "| setting | given | best |",
        "|---|---|---|",
        *rows,
    ]


def _test_section(tested: Sequence[str]) -> list[str]:
    if not tested:
        return []
    return ["The best model on fields that no trial saw:", "", *(f"- {t}" for t in tested), ""]


def _importance_lines(shares: Mapping[str, float]) -> list[str]:
    """Which settings mattered."""
    if not shares:
        return [
            f"Which settings matter is not said for fewer than {TRIALS_FOR_IMPORTANCE} complete "
            "trials of different scores."
        ]
    rows = [f"| {name} | {share:.2f} |" for name, share in shares.items()]
    head = ["Share of each setting in what tells the best trials from the rest (PED-ANOVA):", ""]
    return [*head, "| setting | share |", "|---|---|", *rows]


def _trial_lines(search: Search) -> list[str]:
    """The best trials, and reasons of those that failed."""
    ranked = sorted(search.trials, key=lambda t: (t.state != "complete", -(t.score or 0.0)))
    rows = [
        f"| {t.number} | {t.state} | {'-' if t.score is None else f'{t.score:.3f}'} | "
        f"{t.minutes:.1f} | {_one_line(t)} |"
        for t in ranked[:_TRIALS_SHOWN]
    ]
    more = len(ranked) - len(rows)
    end = [f"... and {more} more in `trials.csv`"] if more > 0 else []
    return ["| trial | end | r | minutes | settings |", "|---|---|---|---|---|", *rows, *end]


def _one_line(trial: TrialRecord) -> str:
    """Settings of a trial, or why it failed."""
    if trial.note:
        return trial.note.replace("\n", " ").replace("|", "/")
    return ", ".join(f"{name} {_text(value)}" for name, value in trial.values.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)


def _draw(search: Search, shares: Mapping[str, float]) -> Any:
    """Score against trial, the best so far, and importances."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, *rest = figure.subplots(1, 2 if shares else 1, squeeze=False)[0]
    for state, color in (("complete", "C0"), ("pruned", "0.7")):
        numbers, scores = _points(search, state)
        left.scatter(numbers, scores, c=color, label=state)
    numbers, scores = _points(search, "complete")
    best = list(accumulate(scores, max))
    left.step(numbers, best, where="post", c="C1", label="best so far")
    left.set(xlabel="trial", ylabel="mean held-out r", title="Scores")
    left.legend()
    names = list(shares)[::-1]
    for right in rest:
        right.barh(names, [shares[name] for name in names])
        right.set(xlabel="share", title="Importance")
    return figure


def _points(search: Search, state: str) -> tuple[list[int], list[float]]:
    """Numbers and scores of the trials that ended in a state."""
    shown = [(t.number, t.score) for t in search.trials if t.state == state and t.score is not None]
    return [number for number, _ in shown], [score for _, score in shown]
