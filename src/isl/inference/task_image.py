"""Put the images of a task together from the parts in which they are predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.inference.pieces import Piece
from isl.inference.tasks import Task


class TaskImage:
    """Images (C, Y, X) of a task, given out as blocks that can be written.

    Where the task is one tile at the resolution of the image, each block is a row of shards, given
    out once its rows are there, so that memory is bounded by it. Else the whole is one block.

    Parameters
    ----------
    task
        The task.
    pieces
        What covers it.
    channels
        Number of images.
    block_rows
        Rows of a shard.
    """

    def __init__(self, task: Task, pieces: Sequence[Piece], channels: int, block_rows: int) -> None:
        self.task = task
        self._channels = channels
        self._in_rows = len(pieces) == 1 and _passes_unchanged(pieces[0])
        self._block_rows = block_rows if self._in_rows else task.write.shape[0]
        self._missing = task.write.size
        self._tiles: dict[Box, NDArray[np.float32]] = {}
        self._begin(task.write.y0)
        for piece in pieces:
            if not piece.tile.kept.size:
                self._put(piece.box, piece.image(np.empty((channels, 0, 0), np.float32)))

    @property
    def complete(self) -> bool:
        """Whether all pixels are there."""
        return self._missing == 0

    def add(
        self, piece: Piece, box: Box, cyx: NDArray[np.float32]
    ) -> Iterator[tuple[Box, NDArray[np.float32]]]:
        """Add rows of a piece's tile, from top to bottom.

        Parameters
        ----------
        piece
            The piece.
        box
            Pixels of the tile, in those of the model.
        cyx
            Their images.

        Yields
        ------
        tuple of Box and ndarray
            Blocks that are complete.
        """
        if self._in_rows:
            yield from self._add_rows(box, cyx)
            return
        whole = self._of_tile(piece, box, cyx)
        if whole is not None:
            self._put(piece.box, piece.image(whole))
        if self.complete:
            yield self._block, self._images

    def blank(self) -> Iterator[tuple[Box, NDArray[np.float32]]]:
        """The whole, where nothing of it is predicted."""
        yield self._block, self._images

    def _begin(self, y0: int) -> None:
        write = self.task.write
        y1 = min(y0 + self._block_rows, write.y1)
        self._block = Box(y0, y1, write.x0, write.x1)
        self._images = np.full((self._channels, *self._block.shape), np.nan, np.float32)

    def _add_rows(
        self, box: Box, cyx: NDArray[np.float32]
    ) -> Iterator[tuple[Box, NDArray[np.float32]]]:
        while box.size:
            part = box.intersect(self._block)
            self._put(part, cyx[(..., *part.relative_to(box).slices)])
            if part.y1 == self._block.y1:
                yield self._block, self._images
                self._begin(part.y1)
            box, cyx = Box(part.y1, box.y1, box.x0, box.x1), cyx[:, part.shape[0] :]

    def _put(self, box: Box, cyx: NDArray[np.float32]) -> None:
        self._images[(..., *box.relative_to(self._block).slices)] = cyx
        self._missing -= box.size

    def _of_tile(
        self, piece: Piece, box: Box, cyx: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """Images of what the tile of a piece keeps, once all of its rows are there."""
        kept = piece.tile.kept
        if box == kept:
            return cyx
        if piece.box not in self._tiles:
            self._tiles[piece.box] = np.empty((len(cyx), *kept.shape), np.float32)
        self._tiles[piece.box][(..., *box.relative_to(kept).slices)] = cyx
        return self._tiles.pop(piece.box) if box.y1 == kept.y1 else None


def _passes_unchanged(piece: Piece) -> bool:
    """Whether the rows of a tile are those of the image."""
    return piece.back is None and piece.tile.kept == piece.tile.write
