"""Chance: how well a prediction correlates with truths that it has nothing to do with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.bootstrap import CONFIDENCE, Interval
from isl.evaluation.scores import FloatArray, moments, r_from_moments

SHIFTS = 100
_LEAST_SHIFT = 0.25


def chance_level(
    pairs: Sequence[tuple[FloatArray, FloatArray]], *, shifts: int = SHIFTS, seed: int = 0
) -> Interval:
    """Correlation with the truth after the prediction is moved elsewhere, around the edges.

    Brightness, texture and the sizes of structures stay as they are; only the place is wrong. So
    the spread of these figures is what r would be by luck.

    Parameters
    ----------
    pairs
        Prediction and truth (Y, X) of each region; pixels where one is not finite do not count.
    shifts
        Number of random shifts, each by at least a quarter of the rows or of the columns.
    seed
        Of the random numbers.

    Returns
    -------
    Interval
        Mean over the shifts, and the ends between which 95 % of them lie; NaN where there is no
        correlation.
    """
    rng = np.random.default_rng(seed)
    figures = [
        float(r_from_moments(np.sum([_moved(p, t, rng) for p, t in pairs], axis=0)))
        for _ in range(shifts if pairs else 0)
    ]
    known = np.array([figure for figure in figures if np.isfinite(figure)])
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(known, (tail, 100.0 - tail))
    return Interval(float(known.mean()), float(low), float(high))


def _moved(
    prediction: FloatArray, truth: FloatArray, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sums for r with the prediction moved along one axis by a quarter or more, else anyhow."""
    by = [int(rng.integers(0, size)) for size in prediction.shape]
    axis = int(np.argmax(prediction.shape)) if min(prediction.shape) < 4 else int(rng.integers(2))
    size = prediction.shape[axis]
    by[axis] = int(size * rng.uniform(_LEAST_SHIFT, 1.0 - _LEAST_SHIFT))
    moved = np.roll(prediction, by, (0, 1))
    return moments(moved, truth, np.isfinite(moved) & np.isfinite(truth))
