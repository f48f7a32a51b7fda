"""Parts of images that are worth looking at, and the histogram of truth against prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.evaluation.bootstrap import block_sums
from isl.evaluation.evaluation import Picture
from isl.evaluation.panels import PanelRow
from isl.evaluation.scores import BoolArray, FloatArray, display_range, otsu_foreground

CROP_PX = 320
HISTOGRAM_BINS = 64
_STEP_PX = 32


def make_picture(
    field: str,
    target: str,
    box: Box,
    images: tuple[FloatArray, FloatArray, NDArray[Any] | None],
) -> Picture | None:
    """Cut out what the page shows.

    Parameters
    ----------
    field, target
        Names.
    box
        Evaluated region of the field.
    images
        Prediction and truth (Y, X) of that region, and the source (Z, Y, X) or None, of which
        the middle plane is shown.

    Returns
    -------
    Picture or None
        None where the truth has no two different values, so that there is nothing to see.
    """
    prediction, truth, source_zyx = images
    mask = np.isfinite(truth) & np.isfinite(prediction)
    limits = display_range(truth, mask)
    if not limits[1] > limits[0]:
        return None
    crop = busiest_crop(otsu_foreground(truth, mask)[0])
    plane = np.zeros(truth.shape) if source_zyx is None else source_zyx[len(source_zyx) // 2]
    source, point, true = (
        np.array(image[crop.slices], np.float32) for image in (plane, prediction, truth)
    )
    row = PanelRow(target, source, point, true, limits)
    in_field = Box(crop.y0 + box.y0, crop.y1 + box.y0, crop.x0 + box.x0, crop.x1 + box.x0)
    counts = intensity_histogram(prediction, truth, mask, limits)
    return Picture(field, target, row, in_field, counts)


def busiest_crop(foreground: BoolArray, side_px: int = CROP_PX) -> Box:
    """Part of up to ``side_px`` squared with the most foreground, on a grid of 32 px."""
    rows, columns = foreground.shape
    height, width = min(rows, side_px), min(columns, side_px)
    grid = block_sums(foreground.astype(np.float64), _STEP_PX)
    grid = grid.reshape(-(-rows // _STEP_PX), -(-columns // _STEP_PX))
    window = max(1, height // _STEP_PX), max(1, width // _STEP_PX)
    sums = np.lib.stride_tricks.sliding_window_view(grid, window).sum(axis=(2, 3))
    i, j = np.unravel_index(int(np.argmax(sums)), sums.shape)
    y0, x0 = min(int(i) * _STEP_PX, rows - height), min(int(j) * _STEP_PX, columns - width)
    return Box(y0, y0 + height, x0, x0 + width)


def intensity_histogram(
    prediction: FloatArray, truth: FloatArray, mask: BoolArray, limits: tuple[float, float]
) -> NDArray[np.int64]:
    """Count pixels by truth (rows) and prediction (columns); outer bins take what lies beyond."""
    edges = np.linspace(*limits, HISTOGRAM_BINS + 1)
    t, p = (np.clip(image[mask], *limits) for image in (truth, prediction))
    counts, _, _ = np.histogram2d(t, p, bins=(edges, edges))
    return counts.astype(np.int64)
