"""The image at its own resolution, the tiles at that of the model, and how they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.inference.tiles import Grid, Tile, plan_boxes, plan_tiles
from isl.io.resample import Resampling
from isl.models.distribution import Distribution


@dataclass(frozen=True)
class Piece:
    """A part of an image, and the tile from which it is predicted.

    Attributes
    ----------
    write
        Pixels of the image that are written together.
    box
        Those of them that this piece covers.
    tile
        What is predicted for it, in pixels of the model.
    back
        From the pixels of the model to those of the image; None where they are the same.
    """

    write: Box
    box: Box
    tile: Tile
    back: Resampling | None = None

    @classmethod
    def around(cls, write: Box, box: Box, tile: Tile, back: Resampling | None) -> Piece:
        """Piece that covers a box; ``tile`` is any tile of the same image and grid."""
        needed = box if back is None else back.needed(box, "linear")
        return cls(write, box, Tile.around(needed, tile.shape_yx, tile.grid), back)

    def image(self, cyx: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images (C, Y, X) of the box, from those of the tile's kept pixels; NaN elsewhere."""
        whole = placed(self.tile, cyx)
        return whole if self.back is None else self.back.apply(whole, self.box, "linear")

    def distribution(self, found: Distribution) -> Distribution:
        """Distribution of the box, from that of the tile, whose parameters are interpolated."""
        back = self.back
        if back is None:
            return found
        return found.map(lambda p: torch.from_numpy(back.apply(p.numpy(), self.box, "linear")))


def plan_pieces(
    shape_yx: tuple[int, int],
    tile_px: int,
    grid: Grid,
    chunk_yx: tuple[int, int],
    resampling: Resampling | None = None,
) -> tuple[Piece, ...]:
    """Cover an image; every pixel is covered by exactly one piece.

    Parameters
    ----------
    shape_yx, chunk_yx
        Rows and columns of the image, and chunks of the output, as for
        `isl.inference.tiles.plan_tiles`.
    tile_px, grid
        Largest side of a tile and how the network covers the image, both in pixels of the model.
    resampling
        From the image to the pixels of the model; None where they are the same.

    Returns
    -------
    tuple of Piece
        Those that are written together follow each other.

    Raises
    ------
    ConfigError
        Where the tile or the image is empty.
    """
    if resampling is None:
        tiles = plan_tiles(shape_yx, tile_px, grid, chunk_yx)
        return tuple(Piece(tile.write, tile.write, tile) for tile in tiles)
    back = resampling.inverse
    model_yx = resampling.result_yx
    # Half a pixel more, so that what is one tile for the model is one piece of the image.
    side_y, side_x = (
        max(1, ceil((tile_px + 0.5) * axis.ratio)) for axis in (resampling.y, resampling.x)
    )
    some_tile = Tile.around(Box.of(model_yx), model_yx, grid)
    return tuple(
        Piece.around(write, box, some_tile, back)
        for write in plan_boxes(Box.of(shape_yx), (side_y, side_x), chunk_yx)
        for box in plan_boxes(write, (side_y, side_x), (1, 1))
    )


def within(pieces: Sequence[Piece], box: Box) -> tuple[Piece, ...]:
    """The parts of pieces inside a box, predicted as with the whole image."""
    parts = ((piece, piece.box.intersect(box)) for piece in pieces)
    return tuple(Piece.around(part, part, p.tile, p.back) for p, part in parts if part.size)


def joined(
    images: Iterable[tuple[Piece, NDArray[np.float32]]],
) -> Iterator[tuple[Box, NDArray[np.float32], int]]:
    """Put together what is written together.

    Parameters
    ----------
    images
        Pieces in the order of `plan_pieces`, with the images (C, Y, X) of their boxes.

    Yields
    ------
    tuple of Box, ndarray and int
        What is written, its images, and from how many pieces.
    """
    for write, group in groupby(images, key=lambda item: item[0].write):
        parts = list(group)
        whole = parts[0][1]
        if len(parts) > 1:
            whole = np.empty((len(whole), *write.shape), np.float32)
            for piece, cyx in parts:
                whole[(..., *piece.box.relative_to(write).slices)] = cyx
        yield write, whole, len(parts)


def placed(tile: Tile, cyx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images of a tile's kept pixels within those that it writes; NaN around them."""
    if tile.kept == tile.write:
        return cyx
    whole = np.full((len(cyx), *tile.write.shape), np.nan, np.float32)
    if tile.kept.size:
        whole[(..., *tile.kept.relative_to(tile.write).slices)] = cyx
    return whole
