"""Colours of the published panels: how images of errors and their borders look."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.scores import FloatArray

Color = tuple[int, int, int]
"""Red, green and blue, 0..255."""
ColorImage = NDArray[np.float64]
"""(Y, X, 3), 0..1."""
_Unsigned = TypeVar("_Unsigned", bound=np.unsignedinteger[Any])

BORDER_PX = 4
GREY_BORDER: Color = (128, 128, 128)
PREDICTION_BORDER: Color = (102, 0, 255)
TRUTH_BORDER: Color = (64, 224, 208)
ADDITIVE_BORDER: Color = (255, 255, 255)
SUBTRACTIVE_BORDER: Color = (0, 0, 0)
CROSS_ENTROPY_BORDER: Color = (255, 0, 0)
PRESENCE_BORDER: Color = (255, 130, 67)
_PREDICTION_TINT = np.array((1.0, 0.5, 0.0))
_TRUTH_TINT = np.array((0.0, 0.5, 1.0))


def to_grey(image: FloatArray, low: float, high: float) -> NDArray[np.float64]:
    """Map low..high to 0..1, clipped; NaN, and everything where the range is empty, is 0."""
    if not high > low:
        return np.zeros(image.shape)
    return np.nan_to_num(np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0))


def grey_colors(grey: NDArray[np.float64]) -> ColorImage:
    """(Y, X) in 0..1 as equal red, green and blue."""
    return np.repeat(grey[..., None], 3, axis=-1)


def additive_colors(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> ColorImage:
    """Truth in blue plus prediction in orange: grey is right.

    Parameters
    ----------
    prediction, truth
        (Y, X) in 0..1 on the same scale.

    Returns
    -------
    ndarray
        (Y, X, 3), 0..1.
    """
    return np.asarray(truth[..., None] * _TRUTH_TINT + prediction[..., None] * _PREDICTION_TINT)


def subtractive_colors(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> ColorImage:
    """Prediction minus truth: above in orange, below in blue, black is right.

    Parameters and result as for `additive_colors`.
    """
    difference = (prediction - truth)[..., None]
    above, below = np.maximum(difference, 0.0), np.maximum(-difference, 0.0)
    return np.asarray(above * _PREDICTION_TINT + below * _TRUTH_TINT)


def as_uint8(image: ColorImage) -> NDArray[np.uint8]:
    """Colours with 8 bits each, clipped to 0..1 and rounded."""
    return np.asarray(np.round(np.clip(image, 0.0, 1.0) * 255.0), np.uint8)


def as_uint16(image: ColorImage) -> NDArray[np.uint16]:
    """Colours with 16 bits each, clipped to 0..1 and rounded."""
    return np.asarray(np.round(np.clip(image, 0.0, 1.0) * 65535.0), np.uint16)


def with_border(image: NDArray[_Unsigned], color: Color) -> NDArray[_Unsigned]:
    """Put a border of 4 px around an image of colours with 8 or 16 bits."""
    rows, columns, _ = image.shape
    framed = np.empty((rows + 2 * BORDER_PX, columns + 2 * BORDER_PX, 3), image.dtype)
    framed[...] = np.array(color) * (np.iinfo(image.dtype).max // 255)
    framed[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = image
    return framed
