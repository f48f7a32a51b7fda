"""From the images of one field and target to the sums over blocks from which scores follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.bootstrap import block_means, block_moments
from isl.evaluation.controls import control_sums
from isl.evaluation.forecast import Forecast
from isl.evaluation.scores import FloatArray, otsu_foreground, ssim_map, why_no_r

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class TargetSums:
    """Sums of one field and target.

    Attributes
    ----------
    sums
        By metric: (B, 6) moments for correlations and NRMSE, (B, 2) for means.
    controls
        ``"all"`` and ``"foreground"``: (Z + 1, B, 6), see `isl.evaluation.controls`; empty
        where there is no source.
    reasons
        By metric, why it is missing.
    thresholds
        Otsu's threshold of each time point, in the unit of the image.
    counted, not_finite, not_predicted
        Pixels that count, that have no finite truth, and that have a truth but no finite
        prediction.
    """

    sums: Mapping[str, Sums]
    controls: Mapping[str, Sums]
    reasons: Mapping[str, str]
    thresholds: tuple[float, ...]
    counted: int
    not_finite: int
    not_predicted: int


def target_sums(
    truth: FloatArray, forecast: Forecast, source_zyx: NDArray[Any] | None
) -> TargetSums:
    """Sum everything that the scores of one image need.

    Parameters
    ----------
    truth
        (Y, X); pixels that are not finite do not count.
    forecast
        Prediction of the same pixels.
    source_zyx
        (Z, Y, X) of the same pixels, for the controls.
    """
    true, predicted = np.isfinite(truth), np.isfinite(forecast.point)
    mask = true & predicted
    foreground, threshold = otsu_foreground(truth, mask)
    similarity, valid, no_ssim = ssim_map(forecast.point, truth, mask)
    moments = block_moments(forecast.point, truth, mask)
    sums = {
        "pearson_r": moments,
        "pearson_r_foreground": block_moments(forecast.point, truth, foreground),
        "ssim": block_means(similarity, valid),
        "nrmse": moments,
    }
    for name, image in forecast.pixelwise.items():
        sums[name] = block_means(image.astype(np.float64), mask)
    masks = {"all": mask, "foreground": foreground}
    return TargetSums(
        sums,
        {}
        if source_zyx is None
        else {k: control_sums(source_zyx, truth, m) for k, m in masks.items()},
        {**forecast.reasons, **_reasons(sums, no_ssim)},
        () if threshold is None else (threshold,),
        int(mask.sum()),
        int((~true).sum()),
        int((true & ~predicted).sum()),
    )


def add_time_points(parts: Sequence[TargetSums]) -> TargetSums:
    """Sum the time points of a field block by block: the same place later is no new sample."""
    sums = _added([p.sums for p in parts])
    reasons = {k: v for p in parts for k, v in p.reasons.items()}
    return TargetSums(
        sums,
        _added([p.controls for p in parts]),
        {k: v for k, v in reasons.items() if k not in sums or all(k in p.reasons for p in parts)},
        tuple(t for p in parts for t in p.thresholds),
        sum(p.counted for p in parts),
        sum(p.not_finite for p in parts),
        sum(p.not_predicted for p in parts),
    )


def _added(parts: Sequence[Mapping[str, Sums]]) -> dict[str, Sums]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {n: np.sum([p[n] for p in parts if n in p], axis=0) for n in names}


def _reasons(sums: Mapping[str, Sums], no_ssim: str) -> dict[str, str]:
    found = {n: why_no_r(sums[n].sum(axis=0)) for n in ("pearson_r", "pearson_r_foreground")}
    found["nrmse"] = "" if "prediction" in found["pearson_r"] else found["pearson_r"]
    found["ssim"] = no_ssim
    return {name: reason for name, reason in found.items() if reason}
