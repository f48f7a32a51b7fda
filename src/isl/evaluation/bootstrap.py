"""Confidence intervals of image scores: a bootstrap over blocks of pixels and over fields.

Neighbouring pixels are alike, so that resampling pixels would give intervals that are far too
narrow. Each field is cut into square blocks instead, and blocks (and fields, where there are
several) are drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.scores import BoolArray, FloatArray, moment_images

BLOCK_PX = 64
RESAMPLES = 1000
CONFIDENCE = 0.95

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Figure from sums: (..., K) to (...)."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval; NaN bounds where there are too few blocks."""

    value: float
    low: float
    high: float


def block_sums(image: FloatArray, block_px: int = BLOCK_PX) -> NDArray[np.float64]:
    """Sum a (Y, X) image over square blocks; blocks at the lower and right edge may be smaller.

    Returns
    -------
    ndarray
        (B,) float64, blocks in row order.
    """
    rows = range(0, image.shape[0], block_px)
    columns = range(0, image.shape[1], block_px)
    partial = np.add.reduceat(np.asarray(image, np.float64), rows, axis=0)
    return np.asarray(np.add.reduceat(partial, columns, axis=1)).ravel()


def block_moments(
    prediction: FloatArray, truth: FloatArray, mask: BoolArray, block_px: int = BLOCK_PX
) -> NDArray[np.float64]:
    """Sums (n, p, t, p^2, t^2, p t) over the pixels of each block that count, as (B, 6)."""
    images = moment_images(prediction, truth, mask)
    return np.stack([block_sums(image, block_px) for image in images], axis=-1)


def block_means(
    values: FloatArray, mask: BoolArray, block_px: int = BLOCK_PX
) -> NDArray[np.float64]:
    """Sums (n, value) over the pixels of each block that count, as (B, 2)."""
    counted = np.where(mask, values, 0.0)
    images = (mask.astype(np.float64), counted.astype(np.float64))
    return np.stack([block_sums(image, block_px) for image in images], axis=-1)


def confidence_interval(
    fields: Sequence[NDArray[np.float64]],
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Figure of all fields together, with its 95 % percentile interval.

    Assumes that blocks are exchangeable within a field and independent of each other, thus that
    structures and errors are smaller than a block, and that fields are drawn alike from what
    the figure is meant for. With one field the interval says nothing about other fields;
    with few fields or few blocks it is too narrow.

    Parameters
    ----------
    fields
        Per field the (B, K) sums of its blocks; blocks without pixels that count do not matter.
    statistic
        Figure from sums, for example `isl.evaluation.scores.r_from_moments`.
    resamples
        Number of bootstrap samples.
    seed
        Of the random numbers: the same sums give the same interval.

    Returns
    -------
    Interval
        NaN bounds where fewer than two blocks hold pixels.

    References
    ----------
    H. R. Kuensch, Ann. Stat. 17, 1217 (1989); B. Efron, Ann. Stat. 7, 1 (1979).
    """
    used = [sums[sums[:, 0] > 0] for sums in fields]
    used = [sums for sums in used if len(sums)]
    if not used:
        return Interval(np.nan, np.nan, np.nan)
    value = float(statistic(np.sum([sums.sum(axis=0) for sums in used], axis=0)))
    if np.isnan(value) or sum(map(len, used)) < 2:
        return Interval(value, np.nan, np.nan)
    figures = statistic(_resample(used, resamples, np.random.default_rng(seed)))
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return Interval(value, np.nan, np.nan)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(figures, (tail, 100.0 - tail))
    return Interval(value, float(low), float(high))


def _resample(
    fields: Sequence[NDArray[np.float64]], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sums of bootstrap samples, (resamples, K).

    A field drawn m times contributes m times its number of blocks, drawn with replacement: one
    multinomial draw per field, so that memory does not grow with the number of fields.
    """
    times = rng.multinomial(len(fields), np.full(len(fields), 1.0 / len(fields)), size=resamples)
    total = np.zeros((resamples, fields[0].shape[1]))
    for drawn, sums in zip(times.T, fields, strict=True):
        chances = np.full(len(sums), 1.0 / len(sums))
        total += rng.multinomial(drawn * len(sums), chances) @ sums
    return total
