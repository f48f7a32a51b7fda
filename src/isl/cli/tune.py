"""``isl tune``: a search of recipe and network size, which goes on where it ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say, stderr
from isl.cli.flags import Output, Pattern
from isl.cli.settings import flags_of, read_settings, read_yaml
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError

if TYPE_CHECKING:
    from isl.training.search.report import Search
    from isl.training.search.trial import TrialRecord


def tune(
    *data: Path,
    output: Output,
    hours: float,
    search: Path | None = None,
    trial_minutes: float | None = None,
    trials: int | None = None,
    test: str | None = None,
    config: Path | None = None,
    pattern: Pattern = None,
    settings: Any = None,
) -> int:
    """Search the settings of training and network that give the best held-out scores.

    Each trial is a training run of equal budget; those that fall behind are ended early. The same
    command goes on where an interrupted search ended. Needs the extra 'tune'.

    Parameters
    ----------
    data
        Image files, folders, plates or tables of files, or a YAML file that lists several data
        sets.
    output
        Folder of the search: report.md, best.isl, best.yaml (for isl train --config), trials.csv.
    hours
        Budget of the whole search, over all calls together.
    search
        YAML file of the settings to search and their ranges, such as
        learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true} or
        network.widths: {choices: [[64, 96, 160], [96, 160, 256]]}. By default rates, decays,
        augmentation and the size of the network, as written to search.yaml in the folder.
    trial_minutes
        Budget of a trial, 10 by default; or one of --max-steps, --max-minutes and --max-epochs.
    trials
        End after as many trials, should the hours suffice for more.
    test
        Fields that no trial sees, on which the best model is evaluated at the end:
        fovs:NAME,NAME or wells:NAME,NAME.
    config
        YAML file with settings that hold for all trials; flags win over it.
    """
    from isl.api import open_data, settings_of_data
    from isl.core.extras import require

    require("optuna", "tune", "isl tune")
    given = read_settings(config, settings, settings_of_data(data))
    checked = _with_trial_minutes(given, trial_minutes)
    ranges = None if search is None else _read_search(search)
    bad = BadFields()
    fovs = open_data(data, pattern=pattern, on_bad=bad)
    from isl.training.search.tune import tune as tune_settings

    try:
        with progress_bar() as progress:
            found = tune_settings(
                fovs,
                checked,
                output,
                hours=hours,
                search=ranges,
                trials=trials,
                test=test,
                progress=progress,
                announce=lambda trial: say(trial_line(trial)),
                on_bad=bad,
            )
    except (KeyboardInterrupt, SystemExit):
        if output.is_dir():
            stderr().print(f"to go on, repeat the command; so far: {output / 'report.md'}")
        raise
    say(closing_lines(found, output))
    return bad.report()


tune.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]


def _read_search(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; check --search")
    return read_yaml(path)


def _with_trial_minutes(config: TrainConfig, minutes: float | None) -> TrainConfig:
    if minutes is None:
        return config
    if config.max_minutes or config.max_steps or config.max_epochs:
        raise ConfigError(
            "give the budget of a trial once: --trial-minutes, or one of --max-minutes, "
            "--max-steps and --max-epochs"
        )
    if not minutes > 0:
        raise ConfigError(f"--trial-minutes must be above 0, not {minutes:g}")
    return config.model_copy(update={"max_minutes": minutes})


def trial_line(trial: TrialRecord) -> str:
    """What came of a trial."""
    score = "" if trial.score is None else f", r {trial.score:.3f}"
    note = f": {trial.note}" if trial.note else ""
    return f"trial {trial.number}: {trial.state}{score}, {trial.minutes:.1f} min{note}"


def closing_lines(found: Search, output: Path) -> str:
    """Say what is best, how far to trust it, and what to type next."""
    lines = [f"{len(found.trials)} trials in {found.hours_used:.2f} of {found.hours:g} hours"]
    if found.best is not None:
        lines += [
            f"best: trial {found.best.number}, mean held-out r {found.best.score:.3f} (optimistic, "
            "as it was chosen on that part)",
            f"model: {output / 'best.isl'}",
            f"next: isl train DATA -o model.isl --config {output / 'best.yaml'}",
        ]
    return "\n".join([*lines, f"report: {output / 'report.md'}"])
