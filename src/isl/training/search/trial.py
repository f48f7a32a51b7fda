"""One trial of a search: a training run that is watched, and ended early where it falls behind."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import OutOfMemoryError

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, IslError
from isl.core.progress import Progress, ProgressCallback
from isl.data.samples import OnBad
from isl.inference.model import Model
from isl.io.fov import Fov
from isl.training.run import train
from isl.training.run_folder import RunFolder

if TYPE_CHECKING:
    import optuna

State = Literal["complete", "pruned", "failed"]
"""How a trial ended."""
_TARGET_PREFIX = "r "
SECONDS, SCORES, NOTE = "seconds", "scores", "note"
"""What is stored with each trial beside its settings."""


@dataclass(frozen=True)
class TrialRecord:
    """What a trial did.

    Attributes
    ----------
    number
        From 0 on.
    state
        How it ended.
    score
        Mean over the targets of the held-out Pearson r; the last one of a pruned trial; None where
        there is none.
    scores
        Held-out r of each target.
    values
        Settings that it chose.
    minutes
        How long it took.
    note
        Why it failed.
    """

    number: int
    state: State
    score: float | None
    scores: Mapping[str, float]
    values: Mapping[str, Any]
    minutes: float
    note: str = ""


class Unpromising(Exception):
    """A trial is behind others at the same point, and ends."""


class Watch:
    """Follows a training run: keeps its time and scores, and ends it where it falls behind.

    Parameters
    ----------
    trial
        Is told each new held-out score, and says whether to go on.
    progress
        Called after each step.
    clock
        Seconds, from any point in time.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        progress: ProgressCallback,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trial = trial
        self._progress = progress
        self._clock = clock
        self._started = clock()
        self._seen: dict[str, float] = {}
        self._validations = 0

    def __call__(self, progress: Progress) -> None:
        """Note new scores."""
        self._progress(replace(progress, message=f"trial {self._trial.number}, {progress.message}"))
        scores = {n: r for n, r in progress.values if n.startswith(_TARGET_PREFIX)}
        # Not-a-number differs from itself, so what is compared is text.
        if scores and str(scores) != str(self._seen):
            self._seen = scores
            self._validations += 1
            self._note({n.removeprefix(_TARGET_PREFIX): r for n, r in scores.items()})
            if progress.done < 1.0 and self._trial.should_prune():
                raise Unpromising

    def _note(self, scores: Mapping[str, float]) -> None:
        self._trial.report(mean_score(scores, tuple(scores)), self._validations)
        self._trial.set_user_attr(SCORES, known(scores))
        self.keep_time()

    def keep_time(self) -> None:
        """Store the seconds spent so far, which a later call of the search counts too."""
        self._trial.set_user_attr(SECONDS, self._clock() - self._started)


def known(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores that are numbers."""
    return {name: r for name, r in scores.items() if math.isfinite(r)}


def mean_score(scores: Mapping[str, float] | None, targets: Sequence[str]) -> float:
    """Mean of r over targets; 0 for those without one, such as a constant prediction.

    Examples
    --------
    >>> mean_score({"DAPI": 0.5, "MAP2": float("nan")}, ("DAPI", "MAP2"))
    0.25
    """
    found = known(scores or {})
    return sum(found.get(name, 0.0) for name in targets) / max(1, len(targets))


def train_trial(
    trial: optuna.Trial,
    fovs: Sequence[Fov],
    config: TrainConfig,
    output: Path,
    progress: ProgressCallback,
    on_bad: OnBad | None,
) -> Model:
    """Train the model of one trial; its checkpoints go, its logs and previews stay.

    Parameters
    ----------
    trial
        Stores time and scores.
    fovs, config, output, on_bad
        As for `isl.training.run.train`.
    progress
        Called after each step.

    Raises
    ------
    Unpromising
        Where the trial is behind others.
    IslError
        As `isl.training.run.train` does.
    """
    watch = Watch(trial, progress)
    try:
        model = train(fovs, config, output, overwrite=True, progress=watch, on_bad=on_bad)
        trial.set_user_attr(SCORES, known(model.card.scores or {}))
    finally:
        watch.keep_time()
        shutil.rmtree(RunFolder.of(output).checkpoint.parent, ignore_errors=True)
    return model


def says_nothing_of_others(error: BaseException) -> bool:
    """Whether other settings may do better, as where it diverged or the memory was full."""
    if isinstance(error, IslError):
        return isinstance(error, ConfigError)
    return isinstance(error, (MemoryError, OutOfMemoryError))
