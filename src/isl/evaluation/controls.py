"""Controls: how well the source itself, without any learning, correlates with a target.

A prediction that is no better than one plane of the source has learned nothing. Both controls
count |r|, because a linear map with the best gain, negative ones included, is free. The best
plane is chosen with the truth at hand, on the pixels it is scored on: a generous control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.bootstrap import Interval, block_moments, confidence_interval
from isl.evaluation.scores import BoolArray, FloatArray, r_from_moments


@dataclass(frozen=True)
class ControlScore:
    """|r| of a control with its interval.

    Attributes
    ----------
    interval
        Of |r|; NaN where there is no correlation.
    plane
        Index of the plane; None for the mean image.
    is_negative
        Whether the source is dark where the target is bright.
    pixels
        Number of pixels that count.
    """

    interval: Interval
    plane: int | None
    is_negative: bool
    pixels: int


def control_sums(
    source_zyx: NDArray[Any], truth: FloatArray, mask: BoolArray
) -> NDArray[np.float64]:
    """Sums over blocks for each plane of the source, and last for the mean of all planes.

    Parameters
    ----------
    source_zyx
        (Z, Y, X), same rows and columns as the truth.
    truth, mask
        (Y, X).

    Returns
    -------
    ndarray
        (Z + 1, B, 6), see `isl.evaluation.bootstrap.block_moments`.
    """
    images = (*source_zyx, source_zyx.mean(axis=0, dtype=np.float64))
    return np.stack([block_moments(np.asarray(image), truth, mask) for image in images])


def best_plane(fields: Sequence[NDArray[np.float64]]) -> ControlScore:
    """Score of the plane with the largest |r| over all fields together, see `control_sums`."""
    planes = fields[0].shape[0] - 1
    figures = [_abs_r(sum(f[z].sum(axis=0) for f in fields)) for z in range(planes)]
    best = int(np.argmax(np.nan_to_num(figures, nan=-1.0)))
    return _score([f[best] for f in fields], best)


def mean_image(fields: Sequence[NDArray[np.float64]]) -> ControlScore:
    """Score of the mean of all planes."""
    return _score([f[-1] for f in fields], None)


def _score(fields: Sequence[NDArray[np.float64]], plane: int | None) -> ControlScore:
    total = np.sum([f.sum(axis=0) for f in fields], axis=0)
    interval = confidence_interval(fields, _abs_r)
    return ControlScore(interval, plane, bool(r_from_moments(total) < 0), int(total[0]))


def _abs_r(sums: Any) -> NDArray[np.float64]:
    return np.abs(r_from_moments(sums))
