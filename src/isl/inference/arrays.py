"""Checks of the arrays that users give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isl.core.axes import VoxelSize
from isl.core.errors import BlankImageError, DataError

ARRAY = "the array"
"""What messages call the source that a caller gives."""

VoxelSizeLike = VoxelSize | Sequence[float | None]
"""A voxel size, or its z, y, x (or y, x) in micrometres."""


def check_finite(zyx: NDArray[Any], what: str) -> NDArray[Any]:
    """Return pixels unchanged; raise BlankImageError that names ``what`` where NaN or infinite."""
    if zyx.dtype.kind == "f" and not np.isfinite(zyx).all():
        raise BlankImageError(f"{what} holds NaN or infinite pixels; replace or crop them")
    return zyx


def as_stack(zyx: ArrayLike) -> NDArray[Any]:
    """Make a stack of what a user gives.

    Parameters
    ----------
    zyx
        (Z, Y, X), or (Y, X) for one plane; any real dtype.

    Returns
    -------
    ndarray
        (Z, Y, X), at least one pixel; booleans become uint8.

    Raises
    ------
    DataError
        Where it is not a stack of real numbers.
    """
    array = np.asarray(zyx)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 4:
        raise DataError(
            f"the array has shape {array.shape}, but the model has one source channel; "
            "give that channel alone, as (Z, Y, X)"
        )
    if array.ndim != 3 or array.size == 0:
        raise DataError(f"the array has shape {array.shape}; give (Z, Y, X) or (Y, X)")
    if array.dtype.kind not in "buif":
        raise DataError(f"the array holds {array.dtype}; give real numbers, such as uint16")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def as_voxel_size(voxel_size: VoxelSizeLike) -> VoxelSize:
    """Make a voxel size of three or two lengths in micrometres; raises DataError otherwise."""
    if isinstance(voxel_size, VoxelSize):
        return voxel_size
    try:
        lengths = [None if length is None else float(length) for length in voxel_size]
    except (TypeError, ValueError):
        lengths = []
    if len(lengths) not in (2, 3) or any(n is not None and not n > 0 for n in lengths):
        raise DataError(
            f"voxel size {voxel_size!r}: give (z, y, x) or (y, x) in micrometres, each above 0, or "
            "None where it is unknown"
        )
    return VoxelSize(*(None,) * (3 - len(lengths)), *lengths)


def plane_order(z_um: Sequence[float], planes: int) -> NDArray[np.intp]:
    """Order of planes by their heights, the lowest first.

    Parameters
    ----------
    z_um
        Heights of the planes in micrometres, in any order.
    planes
        Number of planes.

    Raises
    ------
    DataError
        Where there are not as many heights as planes, or they are no distinct finite numbers.
    """
    try:
        heights = np.asarray(z_um, np.float64)
    except (TypeError, ValueError):
        heights = np.empty((0, 0))
    if heights.shape != (planes,) or not np.isfinite(heights).all():
        raise DataError(
            f"z_um is {z_um!r}; give the height of each of the {planes} planes in micrometres"
        )
    if len(np.unique(heights)) < planes:
        raise DataError(f"z_um is {z_um!r}: two planes have the same height; leave one of them out")
    return np.argsort(heights)
