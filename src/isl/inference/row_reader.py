"""Rows of a tile as the network is shown them: read, reflected beyond the image, normalised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isl.inference.flow import Rows
from isl.inference.source_stack import SourceStack
from isl.inference.tiles import Tile

_ROWS_AT_ONCE = 256
_NO_ROWS: tuple[Rows, NDArray[np.float32]] = ((0, 0), np.empty((0, 0, 0), np.float32))


class RowReader:
    """Reads bands of rows, from top to bottom; rows in which two of them overlap are read once.

    Two rooms take turns, as the network looks at one band while the next is read: a band is lost
    when the one after the next is read.
    """

    def __init__(self) -> None:
        self._rooms = [np.empty(0, np.float32), np.empty(0, np.float32)]
        self._last = _NO_ROWS

    def begin(self) -> None:
        """Another tile comes."""
        self._last = _NO_ROWS

    def read(self, stack: SourceStack, tile: Tile, rows: Rows) -> NDArray[np.float32]:
        """Read rows.

        Parameters
        ----------
        stack
            The source of the tile.
        tile
            The tile that `begin` announced.
        rows
            Counted from the first that the network is shown; neither end lies above that of the
            last call.

        Returns
        -------
        ndarray
            (Z, Y, X), float32, normalised.
        """
        (low, high), above = self._last
        start, stop = rows
        again = min(high, stop) - start if low <= start < high else 0
        shape_yx = tile.rows(*rows).box.shape
        found = self._room(len(above), shape_yx) if again else None
        if found is not None:
            found[:, :again] = above[:, start - low : start - low + again]
        # In pieces that caches can hold, but no smaller: chunks of a file may be decoded for each.
        for row in range(start + again, stop, _ROWS_AT_ONCE):
            shown = tile.rows(row, min(row + _ROWS_AT_ONCE, stop))
            piece = shown.show(stack.read(shown.read))
            if found is None:
                found = self._room(len(piece), shape_yx)
            at = row - start
            stack.normalizer.apply(piece, out=found[:, at : at + piece.shape[1]])
        if found is None:
            raise IndexError(f"no rows: {rows}")
        self._last = (rows, found)
        return found

    def _room(self, planes: int, shape_yx: tuple[int, int]) -> NDArray[np.float32]:
        """Memory that the band before the last was in, where it is large enough."""
        self._rooms.reverse()
        size = planes * shape_yx[0] * shape_yx[1]
        if self._rooms[0].size < size:
            self._rooms[0] = np.empty(size, np.float32)
        return self._rooms[0][:size].reshape(planes, *shape_yx)
