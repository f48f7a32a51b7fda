"""Smaller copies of an image, each computed from the one before by blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.io.output_array import ArrayLayout, as_dtype

SMALLEST_PX = 256


def write_pyramid(folder: Path, array: Any) -> list[Any]:
    """Write levels ``1``, ``2``... beside level ``0`` until the smaller side is 256 px or less.

    Parameters
    ----------
    folder
        Image group, in which the levels are arrays named by their number.
    array
        Level 0, T C Z Y X with Z = 1.

    Returns
    -------
    list
        All levels, the given one first.
    """
    levels = [array]
    while min(levels[-1].shape[3:]) > SMALLEST_PX:
        levels.append(_write_half(levels[-1], folder / str(len(levels))))
    return levels


def half(cyx: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of 2 x 2 pixels; at an odd edge of those that there are.

    Parameters
    ----------
    cyx
        (C, Y, X), any real dtype.

    Returns
    -------
    ndarray
        (C, ceil(Y / 2), ceil(X / 2)), float64.
    """
    odd = [(0, 0), (0, cyx.shape[1] % 2), (0, cyx.shape[2] % 2)]
    even = np.pad(cyx, odd, mode="edge").astype(np.float64)
    return (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4.0


def _write_half(source: Any, folder: Path) -> Any:
    size_t, size_c, size_z, size_y, size_x = source.shape
    shape = (size_t, size_c, size_z, -(-size_y // 2), -(-size_x // 2))
    layout = ArrayLayout.of(shape, source.dtype)
    smaller = layout.create(folder, source.dtype)
    for t in range(size_t):
        for box in layout.shard_boxes():
            block = np.empty((size_c, *box.shape), source.dtype)
            for c in range(size_c):
                region = (slice(2 * box.y0, 2 * box.y1), slice(2 * box.x0, 2 * box.x1))
                pixels = np.asarray(source[(t, slice(c, c + 1), 0, *region)])
                block[c] = as_dtype(half(pixels), source.dtype)[0]
            smaller[(t, slice(None), 0, *box.slices)] = block
    return smaller
