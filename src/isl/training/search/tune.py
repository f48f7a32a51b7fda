"""Search of recipe and network size, as the published system was found too."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, IslError
from isl.core.progress import ProgressCallback, silent
from isl.data.samples import OnBad
from isl.data.splits import split_fovs
from isl.io.fov import Fov
from isl.training.processes.distributed import check_one_device
from isl.training.search.report import Search, write_picture, write_report
from isl.training.search.space import SearchSpace, search_space, with_settings
from isl.training.search.study import (
    TuneFolder,
    ask,
    fail_abandoned,
    identity,
    only_search,
    open_study,
    records,
    tell_failed,
)
from isl.training.search.trial import (
    TrialRecord,
    Unpromising,
    mean_score,
    says_nothing_of_others,
    train_trial,
)

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

TRIAL_MINUTES = 10.0
"""Budget of a trial where none is given."""
VALIDATIONS = 5
"""Held-out scores in a trial, where the settings do not say how often."""
MOST_FAILURES = 3
"""Failed trials in a row after which the search ends: something else than the recipe is wrong."""
PICTURE_MINUTES = 1.0
"""The picture is drawn anew after trials of at least this length, and at the end."""


@dataclass(frozen=True)
class _Job:
    """What stays the same in all trials."""

    fovs: Sequence[Fov]
    config: TrainConfig
    space: SearchSpace
    folder: TuneFolder
    hours: float
    progress: ProgressCallback
    on_bad: OnBad | None

    def so_far(self, study: optuna.Study) -> Search:
        """The search as it stands."""
        return Search(records(study, self.space), self.config, self.space, self.hours)


def tune(
    fovs: Sequence[Fov],
    config: TrainConfig,
    folder: Path | str,
    *,
    hours: float,
    search: Mapping[str, Any] | None = None,
    trials: int | None = None,
    test: str | None = None,
    progress: ProgressCallback = silent,
    announce: Callable[[TrialRecord], None] | None = None,
    on_bad: OnBad | None = None,
) -> Search:
    """Search the settings that give the best held-out scores; called again, go on.

    Parameters
    ----------
    fovs
        Fields of view with source and targets.
    config
        Settings that hold for all trials, with the budget of one of them; 10 minutes by default.
    folder
        Where everything is kept: ``study.db``, ``best.isl``, ``best.yaml``, ``report.md``,
        ``trials.csv``, ``search.yaml`` and the logs of the trials.
    hours
        Budget of the whole search, over all calls together.
    search
        Ranges; see `isl.training.search.space.search_space`.
    trials
        Most trials that may end well or be ended early, over all calls together.
    test
        Fields that no trial sees, on which the best model is evaluated at the end:
        ``fovs:NAME,NAME`` or ``wells:NAME,NAME``.
    progress
        Called after each step of a trial.
    announce
        Called with each trial that has ended.
    on_bad
        Called with name and error of a field that cannot be used; without it the error is raised.

    Returns
    -------
    Search
        The trials, as in the report.

    Raises
    ------
    ConfigError, ChannelError, DataError, OutputError
        Where settings, ranges, images or folder do not allow it; `ConfigError` too where several
        trials fail one after the other.
    MissingExtraError
        Where Optuna is not installed.
    """
    config = _trial_settings(config, hours)
    space = search_space(search, config)
    learned, tested = _without_test(fovs, test)
    place = TuneFolder(Path(folder))
    place.prepare()
    with only_search(place):
        study = open_study(place, identity(fovs, config, space, test))
        place.search.write_text(yaml.safe_dump(space.as_mapping(), sort_keys=False), "utf-8")
        job = _Job(learned, config, space, place, hours, progress, _once(on_bad))
        _go_on(study, space, config)
        try:
            while _may_start(study, job, trials):
                record = _run_trial(study, job)
                if announce is not None:
                    announce(record)
                _write(study, job, with_picture=record.minutes >= PICTURE_MINUTES)
        finally:
            _keep_best(study, job)
            found = _write(study, job)
        return _write(study, job, tested) if tested and found.best else found


def _trial_settings(config: TrainConfig, hours: float) -> TrainConfig:
    """Settings with a budget and with validations, for one process on one device."""
    if not hours > 0:
        raise ConfigError(f"hours must be above 0, not {hours}")
    if config.holdout == "none":
        raise ConfigError("a search compares held-out scores; hold something out, not none")
    check_one_device(config, "a search")
    changes: dict[str, Any] = {}
    if not (config.max_steps or config.max_epochs):
        minutes = config.max_minutes or TRIAL_MINUTES
        changes["max_minutes"] = minutes
        if minutes > hours * 60.0:
            raise ConfigError(
                f"a trial of {minutes:g} minutes does not fit in {hours:g} hours; give more "
                "hours, or shorter trials (--trial-minutes)"
            )
        if "validate_minutes" not in config.model_fields_set:
            changes["validate_minutes"] = minutes / VALIDATIONS
    elif config.max_steps and "validate_steps" not in config.model_fields_set:
        changes["validate_steps"] = max(1, config.max_steps // VALIDATIONS)
    return with_settings(config, changes) if changes else config


def _without_test(fovs: Sequence[Fov], test: str | None) -> tuple[list[Fov], list[Fov]]:
    """Fields to search on, and fields that no trial sees."""
    if test is None:
        return list(fovs), []
    if not test.startswith(("fovs:", "wells:")):
        raise ConfigError(
            f"cannot keep '{test}' for a test: every trial reads whole fields; write "
            "fovs:NAME,NAME or wells:NAME,NAME"
        )
    parts = split_fovs(fovs, test, 0).fields
    tested = [fov for fov in fovs if parts[fov.name].heldout]
    return [fov for fov in fovs if not parts[fov.name].heldout], tested


def _once(on_bad: OnBad | None) -> OnBad | None:
    """Report each bad field once, though every trial meets it."""
    if on_bad is None:
        return None
    seen: set[str] = set()

    def report(name: str, error: IslError) -> None:
        if name not in seen:
            seen.add(name)
            on_bad(name, error)

    return report


def _go_on(study: optuna.Study, space: SearchSpace, config: TrainConfig) -> None:
    """Take up what a killed process left; a new search starts from the settings as they are."""
    count = fail_abandoned(study)
    if count:
        logger.info("trials that were not finished are tried again: %d", count)
    start = space.start(config)
    if not study.get_trials(deepcopy=False) and start:
        study.enqueue_trial(start)


def _may_start(study: optuna.Study, job: _Job, trials: int | None) -> bool:
    """Whether another trial fits in the budget."""
    ended = records(study, job.space)
    if trials is not None and sum(r.state != "failed" for r in ended) >= trials:
        return False
    complete = [r.minutes for r in ended if r.state == "complete"]
    needed = job.config.max_minutes or sum(complete) / max(1, len(complete))
    return sum(r.minutes for r in ended) + needed <= job.hours * 60.0


def _run_trial(study: optuna.Study, job: _Job) -> TrialRecord:
    """One trial, with its end noted whatever happens."""
    trial = ask(study, job.config.seed)
    try:
        values = job.space.suggest(trial)
        config = with_settings(job.config, values)
        output = job.folder.model(trial.number)
        model = train_trial(trial, job.fovs, config, output, job.progress, job.on_bad)
        study.tell(trial, mean_score(model.card.scores, model.card.target_names))
    except Unpromising:
        _tell_pruned(study, trial)
    except Exception as error:
        tell_failed(study, trial, str(error))
        _raise_if_hopeless(study, job, error)
    except BaseException:
        tell_failed(study, trial, "interrupted; tried again", retry=True)
        raise
    _keep_best(study, job)
    return next(r for r in records(study, job.space) if r.number == trial.number)


def _tell_pruned(study: optuna.Study, trial: optuna.Trial) -> None:
    from optuna.trial import TrialState

    study.tell(trial, state=TrialState.PRUNED)


def _raise_if_hopeless(study: optuna.Study, job: _Job, error: Exception) -> None:
    """End the search where no recipe would help."""
    last = records(study, job.space)[-MOST_FAILURES:]
    if not says_nothing_of_others(error):
        raise error
    if len(last) == MOST_FAILURES and all(r.state == "failed" for r in last):
        raise ConfigError(
            f"{MOST_FAILURES} trials failed one after the other, the last one because: {error}"
        ) from error


def _keep_best(study: optuna.Study, job: _Job) -> None:
    """Keep the model of the best trial alone; safe to call at any time."""
    best = job.so_far(study).best
    if best is not None and job.folder.model(best.number).is_file():
        os.replace(job.folder.model(best.number), job.folder.best_model)
    for other in job.folder.model(0).parent.glob("*.isl"):
        other.unlink()


def _write(
    study: optuna.Study, job: _Job, tested: Sequence[Fov] = (), with_picture: bool = True
) -> Search:
    """Write report, table, best settings and picture as of now."""
    found = job.so_far(study)
    write_report(found, job.folder, _test_lines(job.folder, tested), study)
    if with_picture:
        write_picture(found, job.folder, study)
    return found


def _test_lines(folder: TuneFolder, tested: Sequence[Fov]) -> tuple[str, ...]:
    """How good the best model is on fields that no trial saw."""
    from isl.evaluation.evaluate import evaluate_model
    from isl.inference.model_file import load_model

    if not tested:
        return ()
    return evaluate_model(load_model(folder.best_model), tested, name="best.isl").headlines()
