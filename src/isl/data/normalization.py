"""Normalisation: the one recipe that training and inference share.

The source of each field and time point is brought to mean 0 and standard deviation 1 over all of
its planes together, which keeps the differences between planes.  A target is brought to the mean 0
and standard deviation 1 that it had in the training data; predictions are brought back.

The published network of 2018 expects values from 0 to 1 instead: mean and standard deviation of
0.5 and 0.125 (source), 0.25 and 0.125 (targets), clipped; or, for images that have been through
this already, what is stored divided by the largest value of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Normalization
from isl.core.errors import BlankImageError, DataError

ReadBox = Callable[[Box], NDArray[Any]]
"""Function from a box to the source pixels in it, (Z, Y, X)."""

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
        (Z, Y, X); returned as (Y, X) unchanged where Z is 1. Planes that are all NaN do not count.
    how
        Maximum or mean over z, or the middle plane.
    """
    if len(zyx) > 1 and zyx.dtype.kind == "f":
        there = ~np.isnan(zyx).all(axis=(1, 2))
        zyx = zyx[there] if there.any() else zyx
    if how == "middle" or len(zyx) == 1:
        return np.asarray(zyx[len(zyx) // 2])
    return np.asarray(zyx.max(axis=0) if how == "max" else zyx.mean(axis=0))


@dataclass(frozen=True)
class MeasuredSource:
    """What the pixels of one stack say before they are shown to a network.

    Attributes
    ----------
    normalizer
        Measured on the usable planes together.
    usable
        (Z,) which planes hold an image, see `usable_planes`; at least one.
    """

    normalizer: SourceNormalizer
    usable: NDArray[np.bool_]


def usable_planes(zyx: NDArray[Any], what: str = "the source") -> NDArray[np.bool_]:
    """Tell planes that hold an image from those that are NaN, or one value, throughout.

    Parameters
    ----------
    zyx
        (Z, Y, X), any numeric dtype.
    what
        What it is, for the message: file, field and channel.

    Returns
    -------
    ndarray
        (Z,) bool, at least one of them true.

    Raises
    ------
    BlankImageError
        Where no plane holds an image.

    Examples
    --------
    >>> usable_planes(np.stack([np.eye(2), np.ones((2, 2)), np.eye(2)])).tolist()
    [True, False, True]
    """
    moments = _moments(zyx)
    _check_any_usable(moments, what)
    return moments.usable


def measure_source_array(
    zyx: NDArray[Any],
    what: str,
    recipe: Normalization = "standard",
    dtype: np.dtype[Any] | None = None,
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
    dtype
        Of the images as they were taken, where these were resampled.

    Raises
    ------
    BlankImageError
        Where pixels are NaN or infinite, or all are the same.
    DataError
        Where the recipe is ``"full-range"`` and the pixels are numbers beyond 0..1.
    """
    return _normalizer(_moments(zyx), what, recipe, dtype or zyx.dtype)


def measure_source(
    read: ReadBox,
    shape_yx: tuple[int, int],
    what: str,
    recipe: Normalization = "standard",
    dtype: np.dtype[Any] | None = None,
) -> MeasuredSource:
    """Measure the source of one field and time point without holding it in memory.

    Bands of 64 rows are read one after the other: all of them up to about four million pixels a
    plane, evenly spaced ones beyond, so that the answer does not depend on how the field is tiled.

    Parameters
    ----------
    read
        Function from a box to the pixels (Z, Y, X) in it.
    shape_yx
        Rows and columns of the image.
    what, recipe, dtype
        As for `measure_source_array`.

    Raises
    ------
    BlankImageError
        Where no plane holds an image, or pixels of one that does are NaN or infinite.
    DataError
        Where the recipe is ``"full-range"`` and the pixels are numbers beyond 0..1.
    """
    size_y, size_x = shape_yx
    starts = range(0, size_y, _BAND_ROWS)
    most = max(1, _MOST_PIXELS_PER_PLANE // (_BAND_ROWS * size_x))
    step = -(-len(starts) // most)
    parts = []
    for y0 in starts[::step]:
        pixels = read(Box(y0, min(y0 + _BAND_ROWS, size_y), 0, size_x))
        parts.append(_moments(pixels))
    moments = _joined(parts)
    _check_any_usable(moments, what)
    kept = moments.of(moments.usable)
    return MeasuredSource(_normalizer(kept, what, recipe, dtype or pixels.dtype), moments.usable)


@dataclass(frozen=True)
class _Moments:
    """Count, sum, sum of squares and extremes of each of Z planes, in double precision."""

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Planes that are neither NaN nor one value throughout."""
        return np.asarray(self.high > self.low)

    def of(self, planes: NDArray[np.bool_]) -> _Moments:
        """The moments of some of the planes."""
        parts = (self.total, self.squares, self.low, self.high)
        return _Moments(self.count, *(part[planes] for part in parts))


def _moments(zyx: NDArray[Any]) -> _Moments:
    """Moments of planes; extremes leave NaN out, and are NaN where there is nothing else."""
    values = [plane.astype(np.float64).ravel() for plane in zyx]
    return _Moments(
        values[0].size,
        np.array([plane.sum() for plane in values]),
        np.array([plane @ plane for plane in values]),
        np.array([np.fmin.reduce(plane) for plane in values]),
        np.array([np.fmax.reduce(plane) for plane in values]),
    )


def _joined(parts: Sequence[_Moments]) -> _Moments:
    """Moments of bands of rows together."""
    return _Moments(
        sum(part.count for part in parts),
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.squares for part in parts], axis=0),
        np.fmin.reduce([part.low for part in parts]),
        np.fmax.reduce([part.high for part in parts]),
    )


def _check_any_usable(moments: _Moments, what: str) -> None:
    if moments.usable.any():
        return
    values = sorted(set(moments.low[np.isfinite(moments.low)].tolist()))
    if not values:
        raise BlankImageError(
            f"{what}: the source holds NaN or infinite pixels in all planes; repair the images or "
            "leave the field out"
        )
    listed = ", ".join(f"{value:g}" for value in values[:4])
    each = "in each plane " if len(values) > 1 else ""
    raise BlankImageError(
        f"{what}: all source pixels {each}are {listed}; nothing can be predicted from a constant "
        "image: check that the right channel was chosen with --source"
    )


def _normalizer(
    moments: _Moments, what: str, recipe: Normalization, dtype: np.dtype[Any]
) -> SourceNormalizer:
    """Normaliser of all planes together."""
    count = moments.count * len(moments.total)
    total, squares = float(moments.total.sum()), float(moments.squares.sum())
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
