"""Tile geometry: which pixels to read, which to write, where the one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Border
from isl.core.errors import ConfigError, ImageSizeError
from isl.models.labeling import LabelingNetwork

BLOCK_PX = 128
"""The published program predicts whole blocks of this side."""


@dataclass(frozen=True)
class Grid:
    """How a network covers an image.

    Attributes
    ----------
    stride
        Pieces given to the network start and end at multiples of it, counted from ``origin_px``.
    margin_px
        Pixels further away than this do not influence a prediction.
    lost_px
        Pixels by which a network's output is smaller than its input, before (top, left) and after;
        they are read, and beyond the image's border reflected.  ``(0, 0)`` where it keeps the size.
    origin_px
        First row and column of the grid.
    valid
        Where predictions are wanted; the rest of the image is NaN.  All of it by default.
    """

    stride: int
    margin_px: int
    lost_px: tuple[int, int] = (0, 0)
    origin_px: int = 0
    valid: Box | None = None

    @classmethod
    def of(
        cls, network: LabelingNetwork, shape_yx: tuple[int, int], border: Border = "reflect"
    ) -> Grid:
        """Cover an image with a network.

        Parameters
        ----------
        network
            The network.
        shape_yx
            Rows and columns of the image.
        border
            ``"reflect"`` predicts every pixel; where the network needs pixels beyond the border
            they are reflected.  ``"valid"`` predicts as the published program did: only whole
            blocks of 128 pixels for which there is image on all sides, the first of which starts
            as many pixels inside the image as the network loses.

        Raises
        ------
        ConfigError
            Where the network loses no border.
        ImageSizeError
            Where no block fits.
        """
        lost = network.lost_px
        if border == "reflect":
            return cls(network.stride, network.margin_px, lost)
        if not lost[0]:
            raise ConfigError(
                "this model's network predicts up to the border; leave out --border valid"
            )
        taken = 2 * lost[0] + network.stride // 2
        blocks = [(side - taken) // BLOCK_PX for side in shape_yx]
        if min(blocks) < 1:
            raise ImageSizeError(
                f"an image of {shape_yx[0]} x {shape_yx[1]} pixels has no block of {BLOCK_PX} px "
                f"with image around; it needs {taken + BLOCK_PX} px a side, or --border reflect"
            )
        rows, columns = (lost[0] + count * BLOCK_PX for count in blocks)
        valid = Box(lost[0], rows, lost[0], columns)
        return cls(network.stride, network.margin_px, lost, origin_px=lost[0], valid=valid)

    def aligned(self, box: Box) -> Box:
        """The smallest box of whole strides around another."""
        low = (self._down(box.y0), self._down(box.x0))
        high = (-self._down(-box.y1, -1), -self._down(-box.x1, -1))
        return Box(low[0], high[0], low[1], high[1])

    def _down(self, position: int, sign: int = 1) -> int:
        origin = sign * self.origin_px
        return (position - origin) // self.stride * self.stride + origin


@dataclass(frozen=True)
class Tile:
    """One step of tiled inference.

    Attributes
    ----------
    shape_yx, grid
        Rows and columns of the image, and how the network covers it.
    read
        Pixels of the source that are read.
    shown
        What the network is shown of them; where it reaches beyond the image, that is reflected.
    write
        Pixels of the prediction that are kept.
    kept
        Those of them that are predicted; the others are NaN.  Empty where there are none.
    output
        Pixels of the network's output; it may reach beyond the image.
    inside
        The kept pixels, counted from the upper left corner of the network's output.

    Examples
    --------
    >>> Tile.around(Box(64, 128, 0, 64), (128, 200), Grid(stride=8, margin_px=16)).read
    Box(y0=48, y1=128, x0=0, x1=80)
    """

    shape_yx: tuple[int, int]
    grid: Grid
    read: Box
    shown: Box
    write: Box
    kept: Box
    output: Box
    inside: Box

    @classmethod
    def around(cls, write: Box, shape_yx: tuple[int, int], grid: Grid) -> Tile:
        """Tile that writes a box and reads what the network needs for it.

        Parameters
        ----------
        write
            Pixels to predict, inside the image.
        shape_yx
            Rows and columns of the image.
        grid
            How the network covers it.
        """
        kept = write if grid.valid is None else write.intersect(grid.valid)
        before, after = grid.lost_px
        if before or after:
            output = grid.aligned(kept)
            shown = Box(
                output.y0 - before, output.y1 + after, output.x0 - before, output.x1 + after
            )
        else:
            # Convolutions of such a network pad with zeros; only whole strides may be missing.
            grown = grid.aligned(kept.grow(grid.margin_px))
            output = shown = grid.aligned(grown.intersect(Box.of(shape_yx)))
        return cls(
            shape_yx,
            grid,
            _mirrored_box(shown, shape_yx),
            shown,
            write,
            kept,
            output,
            kept.relative_to(output),
        )

    def show(self, zyx: NDArray[Any]) -> NDArray[Any]:
        """What the network is shown, from what was read.

        Parameters
        ----------
        zyx
            (Z, Y, X), the pixels of ``read``.

        Returns
        -------
        ndarray
            (Z, Y, X), the pixels of ``shown``; beyond the image reflected at its outermost rows
            and columns, repeatedly where it is small.  The same array where they are the same.
        """
        return self.rows(0, self.shown.shape[0]).show(zyx)

    def rows(self, low: int, high: int) -> Shown:
        """Rows of what the network is shown, counted from its first."""
        y0 = self.shown.y0
        box = Box(y0 + low, y0 + high, self.shown.x0, self.shown.x1)
        return Shown(box, self.shape_yx)


@dataclass(frozen=True)
class Shown:
    """Pixels that a network is shown; beyond the image they are reflected.

    Attributes
    ----------
    box
        The pixels; it may reach beyond the image.
    shape_yx
        Rows and columns of the image.
    """

    box: Box
    shape_yx: tuple[int, int]

    @cached_property
    def read(self) -> Box:
        """Pixels of the image that are read for it."""
        return _mirrored_box(self.box, self.shape_yx)

    def show(self, zyx: NDArray[Any]) -> NDArray[Any]:
        """From the pixels (Z, Y, X) of ``read`` to those of ``box``; see `Tile.show`."""
        box, read = self.box, self.read
        if box == read:
            return zyx
        rows = _mirrored(box.y0, box.y1, self.shape_yx[0]) - read.y0
        columns = _mirrored(box.x0, box.x1, self.shape_yx[1]) - read.x0
        return zyx[:, rows[:, None], columns]


def _mirrored_box(box: Box, shape_yx: tuple[int, int]) -> Box:
    """Pixels of an image that a box shows, itself and in its mirrors."""
    rows = _mirrored(box.y0, box.y1, shape_yx[0])
    columns = _mirrored(box.x0, box.x1, shape_yx[1])
    if not (rows.size and columns.size):
        return Box(0, 0, 0, 0)
    return Box(int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)


def _mirrored(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Pixels between 0 and ``size`` that stand for those from ``start`` to ``stop``."""
    period = max(2 * (size - 1), 1)
    inside = np.arange(start, stop) % period
    return np.minimum(inside, period - inside)


def plan_boxes(whole: Box, side_yx: tuple[int, int], chunk_yx: tuple[int, int]) -> tuple[Box, ...]:
    """Cut a box into boxes, row by row.

    Parameters
    ----------
    whole
        What is cut.
    side_yx
        Largest rows and columns of a part, unless a chunk is larger.
    chunk_yx
        Parts start at multiples of the chunk, counted from the corner, and hold at least one.
    """
    starts = ((whole.y0, whole.y1), (whole.x0, whole.x1))
    rows, columns = (
        _spans(*ends, max(side // chunk, 1) * chunk)
        for ends, side, chunk in zip(starts, side_yx, chunk_yx, strict=True)
    )
    return tuple(Box(*row, *column) for row, column in product(rows, columns))


def _spans(first: int, end: int, step: int) -> list[tuple[int, int]]:
    """Consecutive intervals of length ``step`` that cover ``range(first, end)``."""
    return [(start, min(start + step, end)) for start in range(first, end, step)]
