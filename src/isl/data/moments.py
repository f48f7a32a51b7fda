"""Sums and extremes of image planes, exact for 8- and 16-bit integers.

Sums are kept row by row and added up only at the end, so that the answer does not depend on the
bands in which an image is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 64
# The inner products of longer rows may be shared among threads, which changes the last digit.
_BLOCK_COLUMNS = 4096


@dataclass(frozen=True)
class PlaneMoments:
    """Sums and extremes of the rows of Z planes, in double precision.

    Attributes
    ----------
    columns
        Pixels in a row.
    total, squares
        (Z, Y) sum, and sum of squares, of each row.
    low, high
        (Z,) extremes; they leave NaN out, and are NaN where a plane holds nothing else.
    """

    columns: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(Z,) planes that are neither NaN nor one value throughout."""
        return np.asarray(self.high > self.low)

    @property
    def means(self) -> tuple[float, float]:
        """Mean, and mean of the squares, of all pixels together; NaN where one is."""
        count = self.total.size * self.columns
        return float(self.total.sum()) / count, float(self.squares.sum()) / count

    def of(self, planes: NDArray[np.bool_]) -> PlaneMoments:
        """The moments of some of the planes."""
        parts = (self.total, self.squares, self.low, self.high)
        return PlaneMoments(self.columns, *(np.ascontiguousarray(part[planes]) for part in parts))


def moments_of(zyx: NDArray[Any]) -> PlaneMoments:
    """Measure planes.

    Parameters
    ----------
    zyx
        (Z, Y, X), any real dtype. Memory for 64 rows of one plane is needed beside it.

    Returns
    -------
    PlaneMoments
        Of its rows.
    """
    size_z, size_y, size_x = zyx.shape
    total, squares = np.zeros((2, size_z, size_y))
    columns = min(_BLOCK_COLUMNS, size_x)
    block, ones = np.empty((min(_BLOCK_ROWS, size_y), columns)), np.ones(columns)
    for x0 in range(0, size_x, columns):
        width = min(columns, size_x - x0)
        for y0 in range(0, size_y, _BLOCK_ROWS):
            rows = slice(y0, min(size_y, y0 + _BLOCK_ROWS))
            part = block[: rows.stop - y0, :width]
            for z in range(size_z):
                np.copyto(part, zyx[z, rows, x0 : x0 + width])
                total[z, rows] += np.vecdot(part, ones[:width])
                squares[z, rows] += np.vecdot(part, part)
    return PlaneMoments(size_x, total, squares, *_extremes(zyx))


def joined(parts: Sequence[PlaneMoments]) -> PlaneMoments:
    """Moments of bands of rows together, in the order of the rows."""
    return PlaneMoments(
        parts[0].columns,
        np.concatenate([part.total for part in parts], axis=1),
        np.concatenate([part.squares for part in parts], axis=1),
        np.fmin.reduce([part.low for part in parts]),
        np.fmax.reduce([part.high for part in parts]),
    )


def _extremes(zyx: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.fmin.reduce(zyx, axis=(1, 2)), np.fmax.reduce(zyx, axis=(1, 2))
    return low.astype(np.float64), high.astype(np.float64)
