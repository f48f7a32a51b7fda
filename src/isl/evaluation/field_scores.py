"""Scores of one field: reads its images, has them predicted, and sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import BlankImageError, ChannelError, DataError
from isl.core.region import Region
from isl.data.normalization import Projection, project
from isl.evaluation.evaluation import Picture
from isl.evaluation.field_sums import TargetSums, add_time_points, target_sums
from isl.evaluation.forecast import Forecaster
from isl.evaluation.pairing import FieldPair, check_sizes, predicted_targets
from isl.evaluation.pictures import make_picture
from isl.evaluation.scores import FloatArray, r_from_moments


@dataclass(frozen=True)
class FieldJob:
    """What is to be scored in one field.

    Attributes
    ----------
    pair
        Prediction and truth; for a model both are the field itself.
    targets
        Names, and how a truth with several planes becomes one image.
    forecaster
        Gives the prediction.
    source
        Channel for the controls and pictures, if the truth has it.
    region
        Part of the field that counts; all of it where None.
    is_predicted_by_model
        Whether the prediction has every target, whatever the channels of the pair.
    """

    pair: FieldPair
    targets: Mapping[str, Projection]
    forecaster: Forecaster
    source: str | None
    region: Region | None
    is_predicted_by_model: bool

    @property
    def box(self) -> Box:
        """Pixels that count; of size zero where the region lies outside of the field."""
        truth = self.pair.truth
        return truth.box if self.region is None else self.region.box((truth.size_y, truth.size_x))


@dataclass(frozen=True)
class FieldScores:
    """Sums of one field by target, why targets are missing, and pictures."""

    job: FieldJob
    sums: Mapping[str, TargetSums]
    missing: Mapping[str, str]
    pictures: tuple[Picture, ...]

    @property
    def mean_r(self) -> float:
        """Mean r of the targets that have one, by which fields are ranked."""
        figures = [r_from_moments(s.sums["pearson_r"].sum(axis=0)) for s in self.sums.values()]
        finite = [float(f) for f in figures if np.isfinite(f)]
        return float(np.mean(finite)) if finite else -2.0

    def without_pictures(self) -> FieldScores:
        """The same without pictures, to save memory."""
        return replace(self, pictures=())


def score_field(job: FieldJob) -> FieldScores:
    """Score all targets of a field over all of its time points.

    Raises
    ------
    ImageSizeError
        Where prediction and truth differ in size.
    DataError
        Where the region lies outside of the field; `BlankImageError` where no target of the field
        has an image with content.
    ChannelError
        Where the field has none of the targets.
    DamagedFileError
        Where a file cannot be decoded.
    """
    check_sizes(job.pair)
    if not job.box.size:
        truth = job.pair.truth
        raise DataError(
            f"{truth.path}: field {job.pair.name} has {truth.size_y} rows and {truth.size_x} "
            f"columns, so nothing of it lies in the region {job.region}; choose another region"
        )
    missing = _missing_targets(job)
    names = [name for name in job.targets if name not in missing]
    if not names:
        found = ", ".join(job.pair.truth.channel_names)
        raise ChannelError(
            f"{job.pair.truth.path}: field {job.pair.name} has none of the targets "
            f"{', '.join(job.targets)}; it has: {found}"
        )
    parts: dict[str, list[TargetSums]] = {name: [] for name in names}
    pictures: list[Picture] = []
    for t in range(job.pair.truth.size_t):
        for name, images in _images(job, names, t).items():
            parts[name].append(images.sums)
            pictures += [images.picture] if images.picture is not None else []
    sums = {name: add_time_points(parts[name]) for name in names}
    _refuse_blank(job, sums)
    return FieldScores(job, sums, missing, tuple(pictures))


@dataclass(frozen=True)
class _Scored:
    sums: TargetSums
    picture: Picture | None


def _images(job: FieldJob, names: list[str], t: int) -> dict[str, _Scored]:
    """Score one time point; pictures are of the first."""
    truths = {name: _truth(job, name, t) for name in names}
    forecasts = job.forecaster.forecast(job.pair, t, job.box, truths)
    source = _source(job, t)
    scored = {}
    for name, truth in truths.items():
        picture = None
        if t == 0:
            images = (forecasts[name].point, truth, source)
            picture = make_picture(job.pair.name, name, job.box, images)
        scored[name] = _Scored(target_sums(truth, forecasts[name], source), picture)
    return scored


def _truth(job: FieldJob, name: str, t: int) -> FloatArray:
    zyx = job.pair.truth.read(name, t=t, box=job.box)
    return project(zyx, job.targets[name]).astype(np.float32)


def _source(job: FieldJob, t: int) -> NDArray[Any] | None:
    if job.source is None or job.source not in job.pair.truth.channel_names:
        return None
    return job.pair.truth.read(job.source, t=t, box=job.box)


def _missing_targets(job: FieldJob) -> dict[str, str]:
    """Targets that this field lacks, and on which side."""
    predicted = job.targets if job.is_predicted_by_model else predicted_targets(job.pair.prediction)
    true = job.pair.truth.channel_names
    found = {n: f"the field has no image '{n}'" for n in job.targets if n not in true}
    return found | {n: f"the prediction has no '{n}'" for n in job.targets if n not in predicted}


def _refuse_blank(job: FieldJob, sums: Mapping[str, TargetSums]) -> None:
    """Refuse a field in which no truth has content."""
    reasons = {n: s.reasons.get("pearson_r", "") for n, s in sums.items()}
    if all("truth" in reason or "pixels" in reason for reason in reasons.values()):
        what = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise BlankImageError(
            f"{job.pair.truth.path}: nothing to compare with in field {job.pair.name} ({what}); "
            "check that the right images were given, or leave the field out"
        )
