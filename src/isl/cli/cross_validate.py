"""``isl cross-validate``: how good a model is on fields, wells or conditions it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isl.cli.console import SOME_BAD, BadFields, print_table, progress_bar, say, stderr, table
from isl.cli.flags import Output, Overwrite, Pattern
from isl.cli.settings import flags_of, read_settings
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.data.folds import Group

if TYPE_CHECKING:
    from isl.io.fov import Fov
    from isl.training.studies.fold_scores import CrossValidation, Fold

_USUAL_FOLDS = 5


def cross_validate(
    *data: Path,
    output: Output,
    folds: int | None = None,
    by: Group | None = None,
    leave_one_out: Group | None = None,
    config: Path | None = None,
    overwrite: Overwrite = False,
    pattern: Pattern = None,
    settings: Any = None,
) -> int:
    """Train and score a model for each part of the data, held out in turn.

    Each fold has the whole budget (--max-minutes, ...). To go on after an interruption, repeat the
    command: folds that are finished are not trained again.

    Parameters
    ----------
    data
        Image files, folders, plates or tables of files, or a YAML file that lists several data
        sets.
    output
        Folder for fold_01/model.isl and so on, scores.csv and report.md.
    folds
        Number of folds. 5 by default.
    by
        What stays together in a fold. By default wells, else fields, else columns of few fields.
    leave_one_out
        Hold out each condition (well, plate, donor, data set, field) once instead.
    config
        YAML file with settings; flags win over it.
    """
    from isl.api import open_data, settings_of_data

    if settings and settings.get("holdout"):
        raise ConfigError("--holdout: each fold holds out its own part; leave it out")
    rules = _rules(folds, by, leave_one_out)
    checked = read_settings(config, settings, settings_of_data(data))
    bad = BadFields()
    fovs = open_data(data, pattern=pattern, on_bad=bad)
    from isl.training.studies.cross_validation import cross_validate as run

    try:
        with progress_bar() as progress:
            found = run(
                fovs,
                checked,
                output,
                rules,
                overwrite=overwrite,
                progress=progress,
                announce=lambda number, plan: say("\n".join((f"fold {number}", *plan.lines()))),
                on_fold=_tell,
                on_bad=bad,
            )
    except (KeyboardInterrupt, SystemExit):
        stderr().print("to go on where this ended, repeat the command")
        raise
    _show(found)
    say(f"scores: {output / 'scores.csv'}, report: {output / 'report.md'}")
    code = bad.report()
    return SOME_BAD if found.failed else code


cross_validate.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]


def _rules(
    count: int | None, by: Group | None, left_out: Group | None
) -> Callable[[Sequence[Fov]], Sequence[str]]:
    """How the fields that can be used are divided."""
    if left_out is not None and (count is not None or by is not None):
        raise ConfigError("give --leave-one-out, or --folds and --by, not both")

    def divide(fovs: Sequence[Fov]) -> Sequence[str]:
        from isl.data.folds import folds, leave_one_out, strips, usual_group

        if left_out is not None:
            return leave_one_out(fovs, left_out)
        wanted = _USUAL_FOLDS if count is None else count
        group = by or usual_group(fovs, wanted)
        return strips(fovs, wanted) if group is None else folds(fovs, wanted, group)

    return divide


def _tell(fold: Fold) -> None:
    """Say how a fold went."""
    if fold.evaluation is None:
        text = f"fold {fold.number} ({fold.holdout}) failed: {fold.error}"
        stderr().print(text, style="yellow")
        return
    scores = {t: fold.evaluation.find(t, "pearson_r") for t in fold.evaluation.targets}
    shown = ", ".join(f"{name} {row.value:.3f}" for name, row in scores.items() if row)
    say(f"fold {fold.number}: Pearson r on {fold.holdout}: {shown}")


def _show(found: CrossValidation) -> None:
    """Print the scores of each fold, and their mean and spread."""
    from isl.training.studies.fold_scores import METRICS, SHOWN, cells

    names = [METRICS[metric] for metric in SHOWN]
    shown = table("held out", "target", f"{names[0]} (95 %)", *names[1:])
    for fold in found.folds:
        for target in fold.evaluation.targets if fold.evaluation else ():
            shown.add_row(fold.holdout, target, *cells(fold, target))
    for target in found.targets:
        means = [str(found.summary(target, metric)) for metric in SHOWN]
        shown.add_row("mean ± spread", target, *means)
    print_table(shown)
