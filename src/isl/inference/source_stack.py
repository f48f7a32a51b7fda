"""One z-stack as a network is shown it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isl.core.config import Normalization
from isl.data.depths import plane_depths
from isl.data.normalization import ReadBox, SourceNormalizer, measure_source
from isl.inference.arrays import check_finite
from isl.io.fov import Fov
from isl.models.labeling import even_depths


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
    """

    fov: Fov
    channel: str
    recipe: Normalization
    dtype: np.dtype[np.generic]
    step_um: float | None = None
    depth_um: float | None = None

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
        measured = measure_source(
            lambda box: self.fov.read(self.channel, t=t, box=box),
            shape_yx,
            what,
            self.recipe,
            self.dtype,
        )
        planes = np.flatnonzero(measured.usable).tolist()
        return SourceStack(
            shape_yx,
            lambda box: check_finite(self.fov.read(self.channel, t=t, z=planes, box=box), what),
            measured.normalizer,
            self._depths[measured.usable],
            tuple(np.flatnonzero(~measured.usable).tolist()),
        )

    @cached_property
    def _depths(self) -> NDArray[np.float32]:
        channel = self.fov.channel(self.channel)
        if channel.z_positions is None and not (self.step_um and self.depth_um):
            # The last digit matters to a network that takes the nearest plane.
            return even_depths(channel.planes).numpy()
        return plane_depths(
            channel.planes, channel.z_positions, step_um=self.step_um, depth_um=self.depth_um
        )
