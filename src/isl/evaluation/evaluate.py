"""Evaluation of predicted images, or of a model on images it predicts itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isl.core.errors import ChannelError, DataError, IslError, OutputError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.core.region import Region
from isl.evaluation.evaluation import Evaluation, Picture
from isl.evaluation.facts import computed_on, model_facts
from isl.evaluation.field_scores import FieldJob, FieldScores, score_field
from isl.evaluation.forecast import FileForecaster, ModelForecaster
from isl.evaluation.holdout import Training, held_out_parts
from isl.evaluation.pairing import FieldPair, common_targets, pair_fields
from isl.evaluation.panel_folder import PanelFolder
from isl.evaluation.tables import ALL_FIELDS, ScoreRow, missing_rows, score_rows
from isl.io.fov import Fov
from isl.io.provenance import read_provenance
from isl.io.roles import find_roles

if TYPE_CHECKING:
    from isl.inference.model import Model

logger = logging.getLogger(__name__)

OnBad = Callable[[str, IslError], None]
_MOST_FIELDS_IN_MEMORY = 24
_RANKS = ("best", "median", "worst")


def evaluate_prediction(
    prediction_fovs: Sequence[Fov],
    truth_fovs: Sequence[Fov],
    *,
    source: str | None = None,
    targets: Sequence[str] | None = None,
    region: Region | None = None,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> Evaluation:
    """Compare predicted images with true ones.

    Parameters
    ----------
    prediction_fovs, truth_fovs
        Fields, paired by name; one on each side is a pair whatever the names. Prediction
        channels are named as the target (its median), ``"DAPI mean"``, ``"DAPI q0.025"``, ...
    source
        Channel of the truth's fields for pictures and controls; guessed where it is clear.
    targets
        Names of the targets to compare; by default all that are on both sides.
    region
        Part of every field that counts. By default, where the predictions say what their model
        was trained on, as for `evaluate_model`; else all of it.
    progress
        Called after each field.
    on_bad
        Called with the name of a field that cannot be scored and the error; by default, and where
        there is only one field, the error is raised.

    Returns
    -------
    Evaluation
        Scores per field and of all fields together.

    Raises
    ------
    ChannelError
        Where a target is missing on one side.
    DataError
        Where fields cannot be paired, differ in size or hold nothing to compare with, or where
        no field is left.
    """
    pairing = pair_fields(prediction_fovs, truth_fovs)
    names = common_targets(pairing.pairs, targets)
    chosen, why = _source_of_truth([p.truth for p in pairing.pairs], source, names)
    parts, seen = _unseen_parts(pairing.pairs, region)
    jobs = [
        FieldJob(pair, dict.fromkeys(names, "max"), FileForecaster(), chosen, part, False)
        for pair, part in parts
    ]
    paths = sorted({str(p.prediction.path) for p in pairing.pairs})
    facts = [("Prediction", ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else ""))]
    notes = [*pairing.notes, *seen, *([why] if why else [])]
    return _evaluate("Predicted images against the truth", jobs, facts, notes, progress, on_bad)


def _unseen_parts(
    pairs: Sequence[FieldPair], region: Region | None
) -> tuple[list[tuple[FieldPair, Region | None]], tuple[str, ...]]:
    """Pairs that count and the region of each, by what the predictions say of their model."""
    training = Training.of_prediction(read_provenance(pairs[0].prediction))
    if training is None:
        note = "" if region else "the predictions do not say which pixels their model has seen"
        return [(pair, region) for pair in pairs], (note,) if note else ()
    by_name = {pair.prediction.name: pair for pair in pairs}
    parts, notes = held_out_parts(training, [pair.prediction for pair in pairs], region)
    return [(by_name[part.fov.name], part.region) for part in parts], notes


def evaluate_model(
    model: Model,
    fovs: Sequence[Fov],
    *,
    source: str | None = None,
    targets: Sequence[str] | None = None,
    region: Region | None = None,
    name: str = "model",
    ignore_voxel_size: bool = False,
    panels: PanelFolder | None = None,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> Evaluation:
    """Predict fields with a model and compare with their fluorescence images.

    Parameters
    ----------
    model
        Trained model.
    fovs
        Fields with the source and at least one target of the model.
    source
        Channel to predict from; by default the one the model was trained on, else guessed.
    targets
        Targets to compare; by default all of the model that some field has.
    region
        Part of every field that counts. By default only what was held out of the training, in
        fields that the model was trained on, and all of other fields.
    name
        What the report calls the model.
    ignore_voxel_size
        Accept any voxel size.
    panels
        Where to write error panels of each field at its first time point.
    progress, on_bad
        As for `evaluate_prediction`.

    Returns
    -------
    Evaluation
        As for `evaluate_prediction`, with log score, CRPS and coverage of the distribution.

    Raises
    ------
    ChannelError
        Where the model does not know a target, or no field has one.
    DataError
        Where fields cannot be predicted or compared; `VoxelSizeError` where the voxel size is off.
    OutputError
        Where error panels cannot be written.
    """
    projections = {card.name: card.projection for card in model.card.targets}
    names = _model_targets(tuple(projections), fovs, targets)
    parts, notes = held_out_parts(Training.of_card(model.card), fovs, region)
    chosen = _model_source(model.card.source.name, [part.fov for part in parts], source, names)
    jobs = [
        FieldJob(
            FieldPair(part.fov.name, part.fov, part.fov),
            {n: projections[n] for n in names},
            ModelForecaster(model, chosen, ignore_voxel_size, panels),
            chosen,
            part.region,
            True,
        )
        for part in parts
    ]
    facts = model_facts(model.card, name)
    return _evaluate(f"{name} against the truth", jobs, facts, list(notes), progress, on_bad)


def _evaluate(
    title: str,
    jobs: Sequence[FieldJob],
    facts: Sequence[tuple[str, str]],
    notes: list[str],
    progress: ProgressCallback,
    on_bad: OnBad | None,
) -> Evaluation:
    scored: list[FieldScores] = []
    left_out: list[str] = []
    for done, job in enumerate(jobs, start=1):
        try:
            scores = score_field(job)
        except OutputError:
            raise
        except IslError as error:
            if on_bad is None or len(jobs) == 1:
                raise
            on_bad(job.pair.name, error)
            left_out.append(f"field {job.pair.name} was left out: {error}")
        else:
            keep = len(jobs) <= _MOST_FIELDS_IN_MEMORY
            scored.append(scores if keep else scores.without_pictures())
        progress(Progress(done, len(jobs), "field", f"evaluated {job.pair.name}"))
    if not scored:
        raise DataError(f"none of {len(jobs)} fields could be evaluated, see above")
    targets = tuple(n for n in jobs[0].targets if any(n in s.sums for s in scored))
    return Evaluation(
        title,
        tuple(s.job.pair.name for s in scored),
        targets,
        tuple(_rows(scored, targets)),
        _pictures(scored),
        (*facts, *computed_on(scored)),
        (*notes, *_pixel_notes(scored)),
        tuple(left_out),
    )


def _rows(scored: Sequence[FieldScores], targets: Sequence[str]) -> list[ScoreRow]:
    rows: list[ScoreRow] = []
    for target in targets:
        parts = [s.sums[target] for s in scored if target in s.sums]
        if len(scored) > 1:
            rows += score_rows(ALL_FIELDS, target, parts)
        for s in scored:
            name = s.job.pair.name
            if target in s.sums:
                rows += score_rows(name, target, [s.sums[target]])
            else:
                rows += missing_rows(name, target, s.missing[target])
    return rows


def _pictures(scored: Sequence[FieldScores]) -> tuple[Picture, ...]:
    """Pictures of all fields up to three, else of the best, the median and the worst."""
    if len(scored) <= len(_RANKS):
        return tuple(picture for s in scored for picture in s.pictures)
    ranked = sorted(scored, key=lambda s: -s.mean_r)
    found: list[Picture] = []
    for rank, index in zip(_RANKS, (0, len(ranked) // 2, -1), strict=True):
        chosen = ranked[index]
        kept = chosen.pictures or score_field(chosen.job).pictures
        found += [replace(picture, rank=rank) for picture in kept]
    return tuple(found)


def _pixel_notes(scored: Sequence[FieldScores]) -> list[str]:
    notes = []
    for s in scored:
        field = f"field {s.job.pair.name}"
        notes += [f"{field}: {reason}" for reason in s.missing.values()]
        for target, sums in s.sums.items():
            if sums.not_finite:
                notes.append(
                    f"{field}, {target}: {sums.not_finite} pixels without truth (NaN or infinite)"
                )
            if sums.not_predicted:
                notes.append(f"{field}, {target}: {sums.not_predicted} pixels not predicted (NaN)")
            if "pearson_r" in sums.reasons:
                notes.append(f"{field}, {target}: {sums.reasons['pearson_r']}")
    return notes


def _source_of_truth(
    fovs: Sequence[Fov], source: str | None, targets: Sequence[str]
) -> tuple[str | None, str]:
    """Source channel for controls and pictures, or why there is none."""
    if source is not None:
        if not any(source in fov.channel_names for fov in fovs):
            fovs[0].channel_index(source)
        return source, ""
    try:
        return find_roles(fovs, None, targets).source, ""
    except IslError as error:
        logger.info("no source for the controls: %s", error)
        return None, f"no controls and no source pictures: {error}"


def _model_source(
    known: str, fovs: Sequence[Fov], source: str | None, targets: Sequence[str]
) -> str:
    asked = known if source is None else source
    if any(asked in fov.channel_names for fov in fovs):
        return asked
    return find_roles(fovs, source, targets).source


def _model_targets(
    known: Sequence[str], fovs: Sequence[Fov], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    found = list(dict.fromkeys(n for fov in fovs for n in fov.channel_names))
    for name in wanted or ():
        if name not in known or name not in found:
            raise ChannelError(
                f"cannot evaluate '{name}': the model predicts {', '.join(known)} and the fields "
                f"have {', '.join(found)}; name a target that both have"
            )
    common = tuple(wanted or (n for n in known if n in found))
    if not common:
        raise ChannelError(
            f"there is nothing to compare with: the model predicts {', '.join(known)} but the "
            f"fields have {', '.join(found)}; rename channels or give fields with fluorescence"
        )
    return common
