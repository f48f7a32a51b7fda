"""Cross-validation: a model for each fold, scored on what it was not trained on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, DataError, IslError, OutputError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.data.samples import OnBad
from isl.data.splits import split_fovs
from isl.evaluation.evaluate import evaluate_model
from isl.evaluation.evaluation import Evaluation
from isl.inference.model import Model
from isl.inference.model_file import load_model
from isl.io.fov import Fov
from isl.io.staging import staged
from isl.training.fields import choose_fields
from isl.training.plan import TrainingPlan
from isl.training.processes.distributed import check_one_device
from isl.training.run import train
from isl.training.run_folder import RunFolder, explained
from isl.training.studies.fold_scores import CrossValidation, Fold

RECORD = "cross_validation.yaml"
"""File in the folder that says which settings, fields and rules its folds belong to."""

SCORES, REPORT = "scores.csv", "report.md"
"""Files in the folder with the scores of all folds, for programs and for people."""

Rules = Sequence[str] | Callable[[Sequence[Fov]], Sequence[str]]
"""What each fold holds out, or how to find that out from the fields that can be used."""

logger = logging.getLogger(__name__)

_MAY_CHANGE = ("accelerator", "cache_gb", "loader_threads", "holdout")


@dataclass(frozen=True)
class _Job:
    """What all folds share."""

    fovs: tuple[Fov, ...]
    usable: tuple[Fov, ...]
    targets: tuple[str, ...]
    config: TrainConfig
    progress: ProgressCallback
    announce: Callable[[int, TrainingPlan], None]
    on_bad: OnBad | None


def cross_validate(
    fovs: Sequence[Fov],
    config: TrainConfig,
    folder: Path | str,
    rules: Rules,
    *,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    announce: Callable[[int, TrainingPlan], None] | None = None,
    on_fold: Callable[[Fold], None] | None = None,
    on_bad: OnBad | None = None,
) -> CrossValidation:
    """Train a model for each fold and score it on what the fold held out.

    An interrupted call goes on when it is repeated: folds that have a model are not trained again,
    and one that has a checkpoint is resumed.

    Parameters
    ----------
    fovs
        Fields of view with source and targets.
    config
        Settings of each training run; its ``holdout`` is replaced by the rule of the fold.
    folder
        Where ``fold_01/model.isl`` and so on, ``scores.csv`` and ``report.md`` go.
    rules
        What each fold holds out, see `isl.data.folds`; or a function that gives it for the fields
        that can be used.
    overwrite
        Start anew where the folder holds another cross-validation.
    progress
        Called after each step.
    announce
        Called with the number of the fold, from 1, and its plan, before its first step.
    on_fold
        Called with each fold that is finished, or has failed.
    on_bad
        Called with name and error of a field that cannot be used; without it the error is raised.

    Returns
    -------
    CrossValidation
        Scores of all folds; one that failed says why.

    Raises
    ------
    ConfigError
        Where the folder holds folds of other settings, fields or rules.
    DataError
        Where all folds failed.
    OutputError
        Where the folder cannot be written, or was not made by a cross-validation.

    Examples
    --------
    >>> rules = folds(fovs, 5, "well")                                      # doctest: +SKIP
    >>> cross_validate(fovs, TrainConfig(max_minutes=20), "folds", rules)   # doctest: +SKIP
    """
    check_one_device(config, "a cross-validation")
    folder, report = Path(folder), None if on_bad is None else _Once(on_bad)
    old = None if config.start_from is None else load_model(config.start_from)
    usable, roles = choose_fields(fovs, config, report, old)
    chosen = tuple(rules(usable) if callable(rules) else rules)
    _open_folder(folder, _record(config, usable, chosen), overwrite)
    numbered = announce or (lambda number, plan: None)
    job = _Job(tuple(fovs), usable, roles.targets, config, progress, numbered, report)
    finished = []
    for number, rule in enumerate(chosen, start=1):
        finished.append(_run_fold(job, number, rule, len(chosen), folder))
        if on_fold is not None:
            on_fold(finished[-1])
    found = CrossValidation(tuple(finished))
    if len(found.failed) == len(finished):
        raise DataError(f"all {len(finished)} folds failed; the first one: {finished[0].error}")
    _write(found, folder)
    return found


class _Once:
    """Reports each bad field once, although each fold finds it again."""

    def __init__(self, on_bad: OnBad) -> None:
        self._on_bad = on_bad
        self._known: set[str] = set()

    def __call__(self, field: str, error: IslError) -> None:
        if field not in self._known:
            self._known.add(field)
            self._on_bad(field, error)


def _run_fold(job: _Job, number: int, rule: str, count: int, folder: Path) -> Fold:
    output = folder / f"fold_{number:02d}" / "model.isl"
    fold = Fold(number, rule, output)

    def progress(now: Progress) -> None:
        message = f"fold {number} of {count}: {now.message}".removesuffix(": ")
        job.progress(replace(now, message=message))

    try:
        part = replace(_part_of(job, number, rule), progress=progress)
        model = _trained(part, number, output)
        return replace(fold, evaluation=_evaluated(part, model, output.parent.name))
    except OutputError:
        raise
    except IslError as error:
        return replace(fold, error=str(error))


def _part_of(job: _Job, number: int, rule: str) -> _Job:
    """What a fold trains on; it does without targets that only its held-out part has."""
    given = job.config.model_dump(exclude_unset=True) | {"holdout": rule}
    parts = split_fovs(job.usable, rule, job.config.holdout_margin_px).fields
    trained = {name for f in job.usable if parts[f.name].train for name in f.channel_names}
    left = [target for target in job.targets if target in trained]
    if len(left) == len(job.targets):
        return replace(job, config=TrainConfig.model_validate(given))
    fovs = tuple(fov for fov in job.usable if set(left) & set(fov.channel_names))
    if not any(parts[fov.name].heldout for fov in fovs):
        raise DataError("its targets are in no other part, so there is nothing to learn them from")
    absent = ", ".join(target for target in job.targets if target not in trained)
    logger.warning("fold %d does without %s: only %s has it", number, absent, rule)
    config = TrainConfig.model_validate(given | {"targets": left})
    return replace(job, fovs=fovs, usable=fovs, config=config)


def _trained(job: _Job, number: int, output: Path) -> Model:
    """The model of a fold: as it is there, resumed, or new."""
    if output.is_file():
        return load_model(output)
    run = RunFolder.of(output)
    with explained(run):
        output.parent.mkdir(parents=True, exist_ok=True)
    resume = run.checkpoint.is_file()
    return train(
        job.fovs,
        job.config,
        output,
        resume=resume,
        overwrite=not resume,
        progress=job.progress,
        announce=lambda plan: job.announce(number, plan),
        on_bad=job.on_bad,
    )


def _evaluated(job: _Job, model: Model, name: str) -> Evaluation:
    """Scores of what a model was not trained on; without the pictures, which need much memory."""
    split = split_fovs(job.usable, job.config.holdout, job.config.holdout_margin_px)
    kept = [fov for fov in job.usable if split.fields[fov.name].heldout]
    evaluation = evaluate_model(model, kept, name=name, progress=job.progress, on_bad=job.on_bad)
    return replace(evaluation, pictures=())


def _record(config: TrainConfig, fovs: Sequence[Fov], rules: Sequence[str]) -> dict[str, Any]:
    settings = config.model_dump(mode="json")
    kept = {name: value for name, value in settings.items() if name not in _MAY_CHANGE}
    return {"rules": list(rules), "fields": sorted(fov.name for fov in fovs), "settings": kept}


def _open_folder(folder: Path, record: dict[str, Any], overwrite: bool) -> None:
    """Make the folder, or make sure that what is in it belongs to the same cross-validation."""
    path = folder / RECORD
    ours = path.is_file()
    if not ours and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(
            f"{folder} exists and was not made by a cross-validation, so nothing is written to it; "
            "choose another name"
        )
    if ours and not overwrite:
        _check_record(path, record)
        return
    for fold in folder.glob("fold_[0-9][0-9]*"):
        shutil.rmtree(fold)
    for name in (SCORES, REPORT):
        (folder / name).unlink(missing_ok=True)
    _write_text(path, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def _check_record(path: Path, record: dict[str, Any]) -> None:
    before = yaml.safe_load(path.read_text("utf-8"))
    old, new = before["settings"], record["settings"]
    changed = [f"{k} {old.get(k)} (now {new[k]})" for k in new if old.get(k) != new[k]]
    changed += [
        f"{what}: {', '.join(sorted(set(before[what]) ^ set(record[what]))) or 'their order'}"
        for what in ("rules", "fields")
        if before[what] != record[what]
    ]
    if changed:
        raise ConfigError(
            f"{path.parent} holds folds that were trained otherwise: {'; '.join(changed)}; repeat "
            "the same command to go on with them, choose another folder, or start anew with "
            "--overwrite"
        )


def _write(found: CrossValidation, folder: Path) -> None:
    _write_text(folder / SCORES, found.table().to_csv(index=False))
    _write_text(folder / REPORT, found.page())


def _write_text(path: Path, text: str) -> None:
    with staged(path, overwrite=True) as partial:
        partial.write_text(text, "utf-8")
