"""Normalisation: the one recipe that training and inference share.

The source of each field and time point is brought to mean 0 and standard deviation 1 over all of
its planes together, which keeps the differences between planes.  A target is brought to the mean 0
and standard deviation 1 that it had in the training data; predictions are brought back.

The published network of 2018 expects values from 0 to 1 instead: mean and standard deviation of
0.5 and 0.125 (source), 0.25 and 0.125 (targets), clipped; or, for images that have been through
this already, what is stored divided by the largest value of its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Normalization
from isl.core.errors import BlankImageError, DataError
from isl.io.fov import Fov

RECIPES: dict[Normalization, str] = {
    "standard": "per field and time point: mean 0, standard deviation 1 over all planes",
    "published": "per field and time point: mean 0.5, standard deviation 0.125 over all planes, "
    "clipped to 0..1",
    "full-range": "divided by the largest value of the image's type",
}
"""The source recipes in words."""

_PUBLISHED_STD = 0.125
_PUBLISHED_SOURCE_MEAN = 0.5
_PUBLISHED_TARGET_MEAN = 0.25
_MOST_FROM_PUBLISHED_MEAN = 0.2

_BAND_ROWS = 64
_MOST_PIXELS_PER_PLANE = 1 << 22

Projection = Literal["max", "mean", "middle"]


@dataclass(frozen=True)
class SourceNormalizer:
    """Brings the source of one field to the range that a network expects.

    Attributes
    ----------
    offset, scale
        Values of the source that become 0, and differ by 1; scale > 0.  By default these are its
        mean and its standard deviation.
    clipped
        Whether the result is clipped to 0..1.
    doubt
        Why the result may not be what the network expects; empty where nothing speaks against it.
    """

    offset: float
    scale: float
    clipped: bool = False
    doubt: str = ""

    def apply(self, zyx: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised pixels, float32, in the shape given."""
        normalized = (zyx.astype(np.float32) - np.float32(self.offset)) / np.float32(self.scale)
        return np.clip(normalized, 0.0, 1.0) if self.clipped else normalized


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


def measure_source_array(
    zyx: NDArray[Any], what: str, recipe: Normalization = "standard"
) -> SourceNormalizer:
    """Measure mean and standard deviation of a stack.

    Parameters
    ----------
    zyx
        (Z, Y, X), any numeric dtype.
    what
        What it is, for the message: file, field and channel.
    recipe
        Which range the network expects; see `RECIPES`.

    Raises
    ------
    BlankImageError
        Where pixels are NaN or infinite, or all are the same.
    DataError
        Where the recipe is ``"full-range"`` and the pixels are numbers beyond 0..1.
    """
    return _normalizer(*_moments(zyx), what, recipe, zyx.dtype)


def measure_source(
    fov: Fov, channel: str, t: int = 0, recipe: Normalization = "standard"
) -> SourceNormalizer:
    """Measure the source of one field and time point without holding it in memory.

    Bands of 64 rows are read one after the other: all of them up to about four million pixels a
    plane, evenly spaced ones beyond, so that the answer does not depend on how the field is tiled.

    Raises
    ------
    BlankImageError
        Where pixels are NaN or infinite, or all are the same.
    DataError
        Where the recipe is ``"full-range"`` and the pixels are numbers beyond 0..1.
    """
    starts = range(0, fov.size_y, _BAND_ROWS)
    most = max(1, _MOST_PIXELS_PER_PLANE // (_BAND_ROWS * fov.size_x))
    step = -(-len(starts) // most)
    count, total, squares = 0, 0.0, 0.0
    for y0 in starts[::step]:
        box = Box(y0, min(y0 + _BAND_ROWS, fov.size_y), 0, fov.size_x)
        pixels = fov.read(channel, t=t, box=box)
        n, s, q = _moments(pixels)
        count, total, squares = count + n, total + s, squares + q
    what = f"{fov.path}: field {fov.name}, channel '{channel}', time point {t}"
    return _normalizer(count, total, squares, what, recipe, pixels.dtype)


def _moments(pixels: NDArray[Any]) -> tuple[int, float, float]:
    """Count, sum and sum of squares, in double precision."""
    values = pixels.astype(np.float64).ravel()
    return values.size, float(values.sum()), float(values @ values)


def _normalizer(
    count: int,
    total: float,
    squares: float,
    what: str,
    recipe: Normalization,
    dtype: np.dtype[Any],
) -> SourceNormalizer:
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
    std = float(np.sqrt(variance))
    if recipe == "full-range":
        largest = _full_range(dtype, mean, what)
        return SourceNormalizer(0.0, largest, clipped=True, doubt=_doubt(mean / largest, what))
    if recipe == "published":
        scale = std / _PUBLISHED_STD
        return SourceNormalizer(mean - _PUBLISHED_SOURCE_MEAN * scale, scale, clipped=True)
    return SourceNormalizer(mean, std)


def _full_range(dtype: np.dtype[Any], mean: float, what: str) -> float:
    """Largest value of a type; floating-point numbers have to lie in 0..1."""
    if dtype.kind not in "ui" and not 0.0 <= mean <= 1.0:
        raise DataError(
            f"{what}: the model divides images by the largest value of their type, which floating-"
            f"point images do not have, and their mean is {mean:g}; bring them to 0..1"
        )
    return _largest(dtype)


def _largest(dtype: np.dtype[Any]) -> float:
    """Largest value of integers; 1 for floating-point numbers."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def _doubt(mean: float, what: str) -> str:
    """Why images that were only divided may be none of those that the recipe is meant for."""
    if abs(mean - _PUBLISHED_SOURCE_MEAN) <= _MOST_FROM_PUBLISHED_MEAN:
        return ""
    return (
        f"{what}: divided by the largest value of its type the source has mean {mean:.2f}, but the "
        f"published images have {_PUBLISHED_SOURCE_MEAN}; predictions may then mean nothing: use "
        "a model that normalises images itself (isl import-checkpoint --normalization published)"
    )


def target_normalizer(
    mean: float, std: float, recipe: Normalization, dtype: np.dtype[Any]
) -> TargetNormalizer:
    """Normaliser of a target from what was measured on all of its training pixels.

    Parameters
    ----------
    mean, std
        Measured, in the unit of the image; std > 0.
    recipe
        Which range the network learns.
    dtype
        Of the images.
    """
    if recipe == "full-range":
        return TargetNormalizer(0.0, _largest(dtype))
    if recipe == "published":
        scale = std / _PUBLISHED_STD
        return TargetNormalizer(mean - _PUBLISHED_TARGET_MEAN * scale, scale)
    return TargetNormalizer(mean, std)
