"""The memory of a search: an Optuna study in a folder, which each call goes on with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, DamagedFileError, OutputError
from isl.core.extras import require
from isl.io.fov import Fov
from isl.io.staging import RUN_MARKER
from isl.training.search.space import SearchSpace
from isl.training.search.trial import NOTE, SCORES, SECONDS, State, TrialRecord

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 4
"""Trials that are never ended early, so that there is something to compare with."""
FIRST_PRUNED_VALIDATION = 2
"""Validation of a trial, counted from 1, from which on it may be ended."""
MOST_KILLS = 1
"""How often a trial is tried again that ended without a word, as where the memory is full."""

_MAY_CHANGE = {"accelerator", "devices", "cache_gb", "loader_threads"}
_IDENTITY, _KILLS, _RETRIED = "identity", "kills", "retried"


@dataclass(frozen=True)
class TuneFolder:
    """Files of a search.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @property
    def study(self) -> Path:
        """Database of all trials."""
        return self.path / "study.db"

    @property
    def best_model(self) -> Path:
        """Model of the best trial."""
        return self.path / "best.isl"

    @property
    def best_settings(self) -> Path:
        """Its settings, for ``isl train --config``."""
        return self.path / "best.yaml"

    @property
    def report(self) -> Path:
        """What was found."""
        return self.path / "report.md"

    @property
    def picture(self) -> Path:
        """Scores and importances."""
        return self.path / "report.png"

    @property
    def table(self) -> Path:
        """All trials."""
        return self.path / "trials.csv"

    @property
    def search(self) -> Path:
        """The ranges, to change and to search again."""
        return self.path / "search.yaml"

    def model(self, number: int) -> Path:
        """Model of a trial, while it is not known to be the best; its logs are beside it."""
        return self.path / "trials" / f"{number:04d}.isl"

    def prepare(self) -> None:
        """Make the folder, or check that it is that of a search.

        Raises
        ------
        OutputError
            Where something else is there.
        """
        taken = not self.path.is_dir() or any(self.path.iterdir()) if self.path.exists() else False
        if taken and not self.study.is_file():
            raise OutputError(
                f"{self.path} exists and is no folder of a search; choose another --output"
            )
        if "?" in str(self.path.resolve()):
            raise OutputError(
                f"{self.path}: the database of a search cannot be in a folder with '?' in its "
                "name; choose another --output"
            )
        self.model(0).parent.mkdir(parents=True, exist_ok=True)
        (self.path / RUN_MARKER).touch()


def identity(
    fovs: Sequence[Fov], config: TrainConfig, space: SearchSpace, test: str | None
) -> dict[str, Any]:
    """What has to be the same in all calls of one search."""
    settings = config.model_dump(mode="json", exclude=_MAY_CHANGE)
    return {
        "images": sorted(f"{fov.name} {fov.shape}" for fov in fovs),
        "settings": settings,
        "search": space.as_mapping(),
        "test": test,
    }


def open_study(folder: TuneFolder, same: Mapping[str, Any]) -> optuna.Study:
    """Go on with the study of a folder, or start one.

    Parameters
    ----------
    folder
        Where it is.
    same
        See `identity`.

    Raises
    ------
    ConfigError
        Where the search was started with other images, settings or ranges.
    DamagedFileError
        Where the database cannot be used.
    MissingExtraError
        Where Optuna is not installed.
    """
    study = _load_study(folder)
    before = study.user_attrs.get(_IDENTITY)
    changed = [] if before is None else [n for n in same if same[n] != before.get(n)]
    if before is not None and changed:
        raise ConfigError(
            f"{folder.path}: the search was started with other {' and '.join(changed)}"
            f"{_what_changed(before, same)}; go on with the same ones, or choose another --output"
        )
    study.set_user_attr(_IDENTITY, same)
    return study


def _load_study(folder: TuneFolder) -> optuna.Study:
    library = require("optuna", "tune", "isl tune")
    database = require("sqlalchemy.exc", "tune", "isl tune")
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        study: optuna.Study = library.create_study(
            storage=f"sqlite:///{folder.study.resolve()}",
            study_name="isl",
            direction="maximize",
            pruner=pruner(),
            load_if_exists=True,
        )
    except (database.SQLAlchemyError, library.exceptions.StorageInternalError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedFileError(
            f"{folder.study} cannot be read or written ({reason}); check the disk, or search anew "
            "in another folder (--output)"
        ) from error
    return study


def _what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings that differ."""
    old, new = before.get("settings", {}), now["settings"]
    changed = [f"{n} {old.get(n)}, now {new[n]}" for n in new if new[n] != old.get(n)]
    return f" ({'; '.join(changed)})" if changed else ""


def pruner() -> optuna.pruners.BasePruner:
    """Ends a trial whose score is below the median of the others at the same point."""
    pruners = require("optuna.pruners", "tune", "isl tune")
    made: optuna.pruners.BasePruner = pruners.MedianPruner(
        n_startup_trials=STARTUP_TRIALS, n_warmup_steps=FIRST_PRUNED_VALIDATION
    )
    return made


def ask(study: optuna.Study, seed: int) -> optuna.Trial:
    """Next trial; what it tries follows from the seed and from the trials before it.

    So an interrupted search goes on as an undisturbed one would.
    """
    samplers = require("optuna.samplers", "tune", "isl tune")
    count = len(study.get_trials(deepcopy=False))
    study.sampler = samplers.TPESampler(seed=(seed * 100_003 + count) % 2**32)
    return study.ask()


def tell_failed(study: optuna.Study, trial: optuna.Trial, note: str, retry: bool = False) -> None:
    """Note why a trial failed; an interrupted one is tried again first."""
    trial.set_user_attr(NOTE, note)
    if retry:
        _retry(study, trial.number, trial.params, int(trial.user_attrs.get(_KILLS, 0)))
    study.tell(trial, state=_states().FAIL)


def fail_abandoned(study: optuna.Study) -> int:
    """Mark trials of a process that was killed as failed, and try them again once.

    Returns
    -------
    int
        How many there were.
    """
    states = _states()
    abandoned = study.get_trials(deepcopy=False, states=(states.RUNNING,))
    for trial in abandoned:
        kills = int(trial.user_attrs.get(_KILLS, 0))
        if kills < MOST_KILLS and trial.params:
            _retry(study, trial.number, trial.params, kills + 1)
        study.tell(trial.number, state=states.FAIL)
    return len(abandoned)


def _retry(study: optuna.Study, number: int, params: Mapping[str, Any], kills: int) -> None:
    study.enqueue_trial(dict(params), user_attrs={_KILLS: kills, _RETRIED: number})


def _states() -> Any:
    return require("optuna.trial", "tune", "isl tune").TrialState


def records(study: optuna.Study, space: SearchSpace) -> tuple[TrialRecord, ...]:
    """All trials that ended, in their order."""
    names: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return tuple(
        TrialRecord(
            number=trial.number,
            state=names[trial.state.name],
            score=_score(trial),
            scores=trial.user_attrs.get(SCORES, {}),
            values=space.values(trial.params),
            minutes=float(trial.user_attrs.get(SECONDS, 0.0)) / 60.0,
            note=str(trial.user_attrs.get(NOTE, _default_note(trial.state.name))),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in names
    )


def _default_note(state: str) -> str:
    return "the process ended without a word" if state == "FAIL" else ""


def _score(trial: optuna.trial.FrozenTrial) -> float | None:
    """Score of a complete trial, or the last one of a pruned one."""
    if trial.state.name == "FAIL":
        return None
    seen = trial.intermediate_values
    last = seen[max(seen)] if seen else None
    return last if trial.value is None else trial.value


@contextmanager
def only_search(folder: TuneFolder) -> Iterator[None]:
    """Refuse a second search in the same folder at the same time.

    Raises
    ------
    OutputError
        Where another process searches there.
    """
    # A transaction of SQLite is a lock on every system, and ends with the process that holds it.
    lock = sqlite3.connect(folder.path / ".lock", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        raise OutputError(
            f"{folder.path}: another 'isl tune' works there; wait for it, or choose another "
            "--output"
        ) from error
    try:
        yield
    finally:
        lock.close()
