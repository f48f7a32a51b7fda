"""The image at its own resolution, the tiles at that of the model, and how they fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.inference.tiles import Grid, Tile, plan_boxes
from isl.io.resample import Resampling
from isl.models.distribution import Distribution


@dataclass(frozen=True)
class Piece:
    """A part of an image, and the tile from which it is predicted.

    Attributes
    ----------
    write
        Pixels of the image that are predicted and written together.
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
    write: Box,
    shape_yx: tuple[int, int],
    side_yx: tuple[int, int],
    grid: Grid,
    resampling: Resampling | None = None,
) -> tuple[Piece, ...]:
    """Cover a part of an image; each of its pixels is covered by exactly one piece.

    Parameters
    ----------
    write
        The part.
    shape_yx
        Rows and columns of the image.
    side_yx, grid
        Most rows and columns of a tile, and how the network covers the image, both in pixels of
        the model.
    resampling
        From the image to the pixels of the model; None where they are the same.

    Returns
    -------
    tuple of Piece
        Row by row.

    Raises
    ------
    ConfigError
        Where the tile or the image is empty.
    """
    if min(side_yx) < 1:
        raise ConfigError(f"tiles of {min(side_yx)} px hold nothing; ask for 256 or more")
    if min(shape_yx) < 1:
        raise ConfigError(f"an image of {shape_yx[0]} x {shape_yx[1]} pixels is empty")
    back = None if resampling is None else resampling.inverse
    model_yx, side = shape_yx, side_yx
    if resampling is not None:
        model_yx = resampling.result_yx
        # Half a pixel more, so that what is one tile for the model is one piece of the image.
        ratios = (resampling.y.ratio, resampling.x.ratio)
        rows, columns = (
            max(1, ceil((n + 0.5) * ratio)) for n, ratio in zip(side_yx, ratios, strict=True)
        )
        side = (rows, columns)
    some_tile = Tile.around(Box.of(model_yx), model_yx, grid)
    return tuple(
        Piece.around(write, box, some_tile, back) for box in plan_boxes(write, side, (1, 1))
    )


def within(pieces: Sequence[Piece], box: Box) -> tuple[Piece, ...]:
    """The parts of pieces inside a box, predicted as with the whole image."""
    parts = ((piece, piece.box.intersect(box)) for piece in pieces)
    return tuple(Piece.around(part, part, p.tile, p.back) for p, part in parts if part.size)


def placed(tile: Tile, cyx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images of a tile's kept pixels within those that it writes; NaN around them."""
    if tile.kept == tile.write:
        return cyx
    whole = np.full((len(cyx), *tile.write.shape), np.nan, np.float32)
    if tile.kept.size:
        whole[(..., *tile.kept.relative_to(tile.write).slices)] = cyx
    return whole
