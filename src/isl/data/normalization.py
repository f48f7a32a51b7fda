"""Normalisation: the one recipe that training and inference share.

The source of each field and time point is brought to mean 0 and standard deviation 1 over all of
its planes together, which keeps the differences between planes.  A target is brought to the mean 0
and standard deviation 1 that it had in the training data; predictions are brought back.

The published network of 2018 expects values from 0 to 1 instead: mean and standard deviation of
0.5 and 0.125 (source), 0.25 and 0.125 (targets), clipped; or, for images that have been through
this already, what is stored divided by the largest value of its type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Normalization
from isl.core.errors import BlankImageError, DataError
from isl.data.moments import PlaneMoments, joined, moments_of

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

    def apply(
        self, zyx: NDArray[Any], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Normalise pixels.

        Parameters
        ----------
        zyx
            Any shape and real dtype; not changed.
        out
            Array of that shape to write to; a new one by default.

        Returns
        -------
        ndarray
            float32, in the shape given.
        """
        if out is None:
            out = np.empty(zyx.shape, np.float32)
        # Before they are subtracted, wide integers and doubles become float32, as others do.
        np.subtract(zyx, np.float32(self.offset), out=out, dtype=np.float32, casting="same_kind")
        np.divide(out, np.float32(self.scale), out=out)
        if self.clipped:
            np.clip(out, 0.0, 1.0, out=out)
        return out


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
    moments = moments_of(zyx)
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
    return _normalizer(moments_of(zyx), what, recipe, dtype or zyx.dtype)


def measure_source(
    read: ReadBox,
    shape_yx: tuple[int, int],
    what: str,
    recipe: Normalization = "standard",
    dtype: np.dtype[Any] | None = None,
    rows_at_once: int = _BAND_ROWS,
) -> MeasuredSource:
    """Measure the source of one field and time point without holding it in memory.

    All rows are read up to about four million pixels a plane; beyond, every n-th band of 64 rows,
    with the smallest n that keeps to four million. The answer depends on the pixels alone: not on
    tiles, threads, or how many rows are read at once.

    Parameters
    ----------
    read
        Function from a box to the pixels (Z, Y, X) in it.
    shape_yx
        Rows and columns of the image.
    what, recipe, dtype
        As for `measure_source_array`.
    rows_at_once
        Rows that are read together where all are read; more where a file holds them together.

    Raises
    ------
    BlankImageError
        Where no plane holds an image, or pixels of one that does are NaN or infinite.
    DataError
        Where the recipe is ``"full-range"`` and the pixels are numbers beyond 0..1.
    """
    parts = []
    for box in measured_boxes(shape_yx, rows_at_once):
        pixels = read(box)
        parts.append(moments_of(pixels))
    moments = joined(parts)
    _check_any_usable(moments, what)
    kept = moments.of(moments.usable)
    return MeasuredSource(_normalizer(kept, what, recipe, dtype or pixels.dtype), moments.usable)


def measured_boxes(shape_yx: tuple[int, int], rows_at_once: int = _BAND_ROWS) -> list[Box]:
    """Boxes that `measure_source` reads, the first row first; together all of a small image."""
    size_y, size_x = shape_yx
    bands = -(-size_y // _BAND_ROWS)
    step = -(-bands // max(1, _MOST_PIXELS_PER_PLANE // (_BAND_ROWS * size_x)))
    rows = max(rows_at_once, 1) if step == 1 else _BAND_ROWS
    return [
        Box(y0, min(y0 + rows, size_y), 0, size_x)
        for y0 in range(0, size_y, rows if step == 1 else step * _BAND_ROWS)
    ]


def _check_any_usable(moments: PlaneMoments, what: str) -> None:
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
    moments: PlaneMoments, what: str, recipe: Normalization, dtype: np.dtype[Any]
) -> SourceNormalizer:
    """Normaliser of all planes together."""
    mean, square = moments.means
    if not np.isfinite(square):
        raise BlankImageError(
            f"{what}: the source holds NaN or infinite pixels; repair or leave out these planes"
        )
    variance = square - mean**2
    if variance <= 1e-12 * square:
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
