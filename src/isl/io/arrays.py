"""A field of view made of arrays, for notebooks and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import ImageSizeError
from isl.io.fov import Channel, Fov, Modality


@dataclass(frozen=True)
class ArrayPixels:
    """Pixels held in memory: one (T, Z, Y, X) array a channel."""

    arrays: tuple[NDArray[Any], ...]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X)."""
        # The region first: choosing planes copies what is left.
        return np.asarray(self.arrays[channel][t][(..., *box.slices)][list(z)])


def fov_from_arrays(
    channels: Mapping[str, ArrayLike],
    *,
    name: str = "array",
    voxel_size: VoxelSize | None = None,
    modalities: Mapping[str, Modality] | None = None,
    well: str | None = None,
) -> Fov:
    """Make a field of view of arrays.

    Parameters
    ----------
    channels
        For each channel name an array (Y, X), (Z, Y, X) or (T, Z, Y, X); T, Y and X must agree.
    name
        Name of the field.
    voxel_size
        In micrometres; unknown by default.
    modalities
        How channels were imaged, where known.
    well
        Well it belongs to, such as ``"B/03"``.

    Raises
    ------
    ImageSizeError
        Where the arrays do not fit together.

    Examples
    --------
    >>> fov_from_arrays({"phase": np.zeros((13, 64, 48)), "DAPI": np.zeros((64, 48))}).shape
    (1, 2, 13, 64, 48)
    """
    arrays = {key: _as_tzyx(key, np.asarray(value)) for key, value in channels.items()}
    shapes = {(a.shape[0], *a.shape[2:]) for a in arrays.values()}
    if len(shapes) != 1:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise ImageSizeError(f"field {name}: channels differ in T, Y or X: {found}")
    size_t, size_y, size_x = shapes.pop()
    known = modalities or {}
    return Fov(
        name=name,
        path=Path(name),
        channels=tuple(
            Channel(key, array.shape[1], array.dtype, known.get(key))
            for key, array in arrays.items()
        ),
        size_t=size_t,
        size_y=size_y,
        size_x=size_x,
        voxel_size=voxel_size or VoxelSize(),
        pixels=ArrayPixels(tuple(arrays.values())),
        well=well,
    )


def _as_tzyx(channel: str, array: NDArray[Any]) -> NDArray[Any]:
    if not 2 <= array.ndim <= 4 or array.size == 0:
        raise ImageSizeError(
            f"channel '{channel}' has shape {array.shape}; give (Y, X), (Z, Y, X) or (T, Z, Y, X)"
        )
    return array.reshape((1,) * (4 - array.ndim) + array.shape)
