"""One z-stack as a network is shown it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isl.core.config import Normalization
from isl.data.depths import plane_depths
from isl.data.normalization import ReadBox, SourceNormalizer, measure_source
from isl.inference.arrays import check_finite
from isl.inference.held_bands import HeldBands, band_rows
from isl.io.arrays import ArrayPixels
from isl.io.fov import Fov
from isl.models.labeling import even_depths

KEEP_BYTES = 128 * 1024**2
"""Memory that the pixels of one source may take, from being measured until they are used."""


@dataclass(frozen=True)
class SourceStack:
    """One z-stack as a network is shown it.

    Attributes
    ----------
    shape_yx
        Rows and columns.
    read
        Access to its pixels; to those planes only that hold an image.
    normalizer
        Measured on the whole stack, so that a prediction does not depend on the tiles.
    depths
        (Z,) positions of its planes, see `isl.data.depths.plane_depths`; evenly spaced from 0 to 1
        where not given.
    left_out
        Planes that hold no image, counted from 0.
    """

    shape_yx: tuple[int, int]
    read: ReadBox
    normalizer: SourceNormalizer
    depths: NDArray[np.float32] | None = None
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class StackReader:
    """Reads stacks of one field, at the resolution of a model.

    Attributes
    ----------
    fov, channel
        The field and the channel to read.
    recipe
        How pixels are normalised.
    dtype
        Of the pixels before they were resampled.
    step_um, depth_um
        Step between the planes, and depth of the stacks in training, where both count.
    keep_bytes
        Stacks up to this size are read once, and kept from being measured until they are used;
        of larger ones at most that much is held, so that no chunk of a file is decoded twice.
    """

    fov: Fov
    channel: str
    recipe: Normalization
    dtype: np.dtype[np.generic]
    step_um: float | None = None
    depth_um: float | None = None
    keep_bytes: int = KEEP_BYTES

    def stack(self, t: int, what: str) -> SourceStack:
        """Measure the stack of one time point.

        Parameters
        ----------
        t
            Time point.
        what
            What it is, for messages.

        Raises
        ------
        BlankImageError
            Where no plane holds an image, or one that does holds NaN; that too when it is read.
        DataError
            Where the recipe does not fit the pixels.
        """
        shape_yx = (self.fov.size_y, self.fov.size_x)
        planes, rows = range(self.fov.channel(self.channel).planes), self._band_rows
        held = self._bands(t, planes)
        read = held.hold if self._keeps else self._reader(t, planes)
        measured = measure_source(read, shape_yx, what, self.recipe, self.dtype, rows)
        usable = np.flatnonzero(measured.usable).tolist()
        if len(usable) < len(planes):
            held = self._bands(t, usable)
        return SourceStack(
            shape_yx,
            lambda box: check_finite(held(box), what),
            measured.normalizer,
            self._depths[measured.usable],
            tuple(np.flatnonzero(~measured.usable).tolist()),
        )

    def _reader(self, t: int, planes: Sequence[int]) -> ReadBox:
        return lambda box: self.fov.read(self.channel, t=t, z=planes, box=box)

    def _bands(self, t: int, planes: Sequence[int]) -> HeldBands:
        shape_yx = (self.fov.size_y, self.fov.size_x)
        # Where the file can be read row by row, there is no need to hold what it would not keep.
        worthwhile = self._chunk_rows > 1 and self._band_rows * self._row_bytes <= self.keep_bytes
        return HeldBands(
            self._reader(t, planes), shape_yx, self._band_rows, self._keeps or worthwhile
        )

    @property
    def _keeps(self) -> bool:
        """Whether the whole stack stays in memory from when it is measured until it is used."""
        fits = self.fov.size_y * self._row_bytes <= self.keep_bytes
        return fits and not isinstance(self.fov.pixels, ArrayPixels)

    @cached_property
    def _chunk_rows(self) -> int:
        return self.fov.chunk_rows(self.channel)

    @property
    def _band_rows(self) -> int:
        return band_rows(self._chunk_rows, self._row_bytes)

    @property
    def _row_bytes(self) -> int:
        channel = self.fov.channel(self.channel)
        return channel.planes * self.fov.size_x * channel.dtype.itemsize

    @cached_property
    def _depths(self) -> NDArray[np.float32]:
        channel = self.fov.channel(self.channel)
        if channel.z_positions is None and not (self.step_um and self.depth_um):
            # The last digit matters to a network that takes the nearest plane.
            return even_depths(channel.planes).numpy()
        return plane_depths(
            channel.planes, channel.z_positions, step_um=self.step_um, depth_um=self.depth_um
        )
