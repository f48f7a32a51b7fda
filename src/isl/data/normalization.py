"""Normalisation: the one recipe that training and inference share.

The source of each field and time point is brought to mean 0 and standard deviation 1 over all of
its planes together, which keeps the differences between planes.  A target is brought to the mean 0
and standard deviation 1 that it had in the training data; predictions are brought back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import BlankImageError
from isl.io.fov import Fov

RECIPE = "per field and time point: mean 0, standard deviation 1 over all planes of the source"
"""The source recipe in words, as stored in model files."""

_BAND_ROWS = 64
_MOST_PIXELS_PER_PLANE = 1 << 22

Projection = Literal["max", "mean", "middle"]


@dataclass(frozen=True)
class SourceNormalizer:
    """Brings the source of one field to mean 0 and standard deviation 1.

    Attributes
    ----------
    offset, scale
        Mean and standard deviation of the source, in its own unit; scale > 0.
    """

    offset: float
    scale: float

    def apply(self, zyx: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised pixels, float32, in the shape given."""
        return (zyx.astype(np.float32) - np.float32(self.offset)) / np.float32(self.scale)


@dataclass(frozen=True)
class TargetNormalizer:
    """Brings a target to the scale at which a network learns it, and predictions back.

    Examples
    --------
    >>> n = TargetNormalizer(offset=100.0, scale=50.0)
    >>> float(n.invert(n.apply(np.float32(250.0))))
    250.0
    """

    offset: float
    scale: float

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """From image units to normalised ones."""
        normalized = (np.asarray(image, np.float32) - np.float32(self.offset)) / np.float32(
            self.scale
        )
        return np.asarray(normalized, np.float32)

    def invert(self, normalized: NDArray[Any]) -> NDArray[np.float32]:
        """From normalised units to image ones."""
        return np.asarray(np.asarray(normalized, np.float32) * self.scale + self.offset, np.float32)


def project(zyx: NDArray[Any], how: Projection = "max") -> NDArray[Any]:
    """Make one image of a target that was taken as a z-stack.

    Parameters
    ----------
    zyx
        (Z, Y, X); returned as (Y, X) unchanged where Z is 1.
    how
        Maximum or mean over z, or the middle plane.
    """
    if how == "middle" or len(zyx) == 1:
        return np.asarray(zyx[len(zyx) // 2])
    return np.asarray(zyx.max(axis=0) if how == "max" else zyx.mean(axis=0))


def measure_source_array(zyx: NDArray[Any], what: str) -> SourceNormalizer:
    """Measure mean and standard deviation of a stack.

    Parameters
    ----------
    zyx
        (Z, Y, X), any numeric dtype.
    what
        What it is, for the message: file, field and channel.

    Raises
    ------
    BlankImageError
        Where pixels are NaN or infinite, or all are the same.
    """
    return _normalizer(*_moments(zyx), what)


def measure_source(fov: Fov, channel: str, t: int = 0) -> SourceNormalizer:
    """Measure the source of one field and time point without holding it in memory.

    Bands of 64 rows are read one after the other: all of them up to about four million pixels a
    plane, evenly spaced ones beyond, so that the answer does not depend on how the field is tiled.

    Raises
    ------
    BlankImageError
        Where pixels are NaN or infinite, or all are the same.
    """
    starts = range(0, fov.size_y, _BAND_ROWS)
    most = max(1, _MOST_PIXELS_PER_PLANE // (_BAND_ROWS * fov.size_x))
    step = -(-len(starts) // most)
    count, total, squares = 0, 0.0, 0.0
    for y0 in starts[::step]:
        box = Box(y0, min(y0 + _BAND_ROWS, fov.size_y), 0, fov.size_x)
        n, s, q = _moments(fov.read(channel, t=t, box=box))
        count, total, squares = count + n, total + s, squares + q
    what = f"{fov.path}: field {fov.name}, channel '{channel}', time point {t}"
    return _normalizer(count, total, squares, what)


def _moments(pixels: NDArray[Any]) -> tuple[int, float, float]:
    """Count, sum and sum of squares, in double precision."""
    values = pixels.astype(np.float64).ravel()
    return values.size, float(values.sum()), float(values @ values)


def _normalizer(count: int, total: float, squares: float, what: str) -> SourceNormalizer:
    if not np.isfinite(squares):
        raise BlankImageError(
            f"{what}: the source holds NaN or infinite pixels; repair or leave out these planes"
        )
    mean = total / count
    variance = squares / count - mean**2
    if variance <= 1e-12 * (squares / count):
        raise BlankImageError(
            f"{what}: all source pixels are {mean:g}; nothing can be predicted from a constant "
            "image: check that the right channel was chosen with --source"
        )
    return SourceNormalizer(mean, float(np.sqrt(variance)))
