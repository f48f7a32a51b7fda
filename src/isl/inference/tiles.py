"""Tile geometry: which pixels to read, which to write, where the one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError


@dataclass(frozen=True)
class Tile:
    """One step of tiled inference.

    Attributes
    ----------
    read
        Pixels of the source that the network is shown.
    write
        Pixels of the prediction that are kept.
    inside
        The written pixels, counted from the upper left corner of ``read``.

    Examples
    --------
    >>> Tile.around(Box(64, 128, 0, 64), (128, 200), margin_px=16, stride=8).read
    Box(y0=48, y1=128, x0=0, x1=80)
    """

    read: Box
    write: Box
    inside: Box

    @classmethod
    def around(cls, write: Box, shape_yx: tuple[int, int], margin_px: int, stride: int) -> Tile:
        """Tile that writes a box and reads the margin around it, as far as there is image.

        Parameters
        ----------
        write
            Pixels to predict, inside the image.
        shape_yx
            Rows and columns of the image.
        margin_px
            Pixels further away than this do not influence the prediction.
        stride
            The read box starts at a multiple of it, and ends at one unless the image ends first.
        """
        grown = write.grow(margin_px)
        aligned = Box(
            grown.y0 // stride * stride,
            -(-grown.y1 // stride) * stride,
            grown.x0 // stride * stride,
            -(-grown.x1 // stride) * stride,
        )
        read = aligned.intersect(Box.of(shape_yx))
        return cls(read, write, write.relative_to(read))


def plan_tiles(
    shape_yx: tuple[int, int],
    tile_px: int,
    margin_px: int,
    stride: int,
    chunk_yx: tuple[int, int],
) -> tuple[Tile, ...]:
    """Cover an image with tiles; every pixel is written by exactly one of them.

    Parameters
    ----------
    shape_yx
        Rows and columns of the image, each at least 1.
    tile_px
        Largest side of a written box, unless a chunk is larger.
    margin_px
        Receptive-field radius of the network.
    stride
        Read boxes start at multiples of it.
    chunk_yx
        Chunks of the output. Written boxes start at multiples of the chunk and hold at least one,
        so that no chunk is written twice.

    Returns
    -------
    tuple of Tile
        Row by row; a single tile without margin where the image fits in one.

    Raises
    ------
    ConfigError
        Where the tile or the image is empty.

    Examples
    --------
    >>> [tile.write.shape for tile in plan_tiles((100, 40), 64, 16, 8, (64, 64))]
    [(64, 40), (36, 40)]
    """
    if tile_px < 1:
        raise ConfigError(f"tiles of {tile_px} px hold nothing; ask for 256 or more")
    if min(shape_yx) < 1:
        raise ConfigError(f"an image of {shape_yx[0]} x {shape_yx[1]} pixels is empty")
    rows, columns = (
        _spans(size, max(tile_px // chunk, 1) * chunk)
        for size, chunk in zip(shape_yx, chunk_yx, strict=True)
    )
    boxes = (Box(*row, *column) for row, column in product(rows, columns))
    if len(rows) == len(columns) == 1:
        whole = Box.of(shape_yx)
        return (Tile(whole, whole, whole),)
    return tuple(Tile.around(box, shape_yx, margin_px, stride) for box in boxes)


def _spans(size: int, step: int) -> list[tuple[int, int]]:
    """Consecutive intervals of length ``step`` that cover ``range(size)``."""
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def pad_to_stride(zyx: NDArray[Any], stride: int) -> NDArray[Any]:
    """Extend an image at the bottom and right to a multiple of ``stride``.

    Parameters
    ----------
    zyx
        (Z, Y, X), any dtype, Y and X at least 1.
    stride
        The sides become multiples of it.

    Returns
    -------
    ndarray
        The image reflected at its last row and column; where an axis is too short to reflect, its
        last pixels are repeated. The same array where nothing has to be added.
    """
    padded = zyx
    for axis in (1, 2):
        missing = -zyx.shape[axis] % stride
        if missing:
            widths = [(0, 0)] * 3
            widths[axis] = (0, missing)
            mode = "reflect" if missing < zyx.shape[axis] else "edge"
            padded = np.pad(padded, widths, mode=mode)  # type: ignore[call-overload]
    return padded
