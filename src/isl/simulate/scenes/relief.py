"""What things lie on: the glass, or what was put there before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isl.simulate.scenes.columns import Floats, Grid

if TYPE_CHECKING:
    from isl.simulate.scenes.shapes import Blob, Shape


@dataclass(frozen=True)
class Relief:
    """A smooth map of heights.

    Attributes
    ----------
    heights_um
        (Y, X) heights, interpolated linearly between the centres of the pixels.
    grid
        Where they are.
    """

    heights_um: NDArray[np.float32]
    grid: Grid

    def at(self, y_um: Floats, x_um: Floats) -> Floats | float:
        """Heights at places that broadcast against each other."""
        if not self.heights_um.any():
            return 0.0
        places = [
            (p - self.grid.origin_um[i]) / self.grid.pixel_um[i] - 0.5
            for i, p in enumerate((y_um, x_um))
        ]
        heights: Floats = ndimage.map_coordinates(
            self.heights_um, np.broadcast_arrays(*places), order=1, mode="nearest"
        ).astype(np.float64)
        return heights


FLAT = Relief(np.zeros((1, 1), dtype=np.float32), Grid((1, 1), (1.0, 1.0)))
"""The glass."""


@dataclass(frozen=True)
class Ground:
    """Highest surface so far, on a coarse grid; things are put on it one after the other.

    Attributes
    ----------
    grid
        Where it is known.
    heights_um
        (Y, X) float32, changed by `put`.
    """

    grid: Grid
    heights_um: NDArray[np.float32] = field(repr=False)

    @classmethod
    def flat(cls, size_um: tuple[float, float], margin_um: float, step_um: float) -> Ground:
        """Bare glass under a field and a margin around it."""
        rows, cols = (max(1, int(np.ceil((s + 2 * margin_um) / step_um))) for s in size_um)
        grid = Grid((rows, cols), (step_um, step_um), (-margin_um, -margin_um))
        return cls(grid, np.zeros((rows, cols), dtype=np.float32))

    def put(self, shape: Shape) -> None:
        """Lay a shape on it: the surface is then at its top."""
        columns = shape.columns(self.grid)
        flat = self.heights_um.reshape(-1)
        flat[columns.pixels] = np.maximum(flat[columns.pixels], columns.top_um)

    def under(
        self, centre_um: tuple[float, float], reach_um: float, draping: float, most_um: float
    ) -> Relief:
        """What a thing lies on.

        Parameters
        ----------
        centre_um, reach_um
            Where the thing is.
        draping
            1 for a thing that follows the surface, 0 for a stiff one.
        most_um
            No height is above this.
        """
        rows, cols = (
            self.grid.span(axis, c - reach_um - 4, c + reach_um + 4)
            for axis, c in enumerate(centre_um)
        )
        if not rows.size or not cols.size or most_um <= 0:
            return FLAT
        window = self.heights_um[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        if not window.any():
            return FLAT
        smooth = ndimage.gaussian_filter(window, 1.0 / self.grid.width_um, mode="nearest")
        y, x = self.grid.centres_um(0, rows), self.grid.centres_um(1, cols)
        far = np.hypot(y[:, None] - centre_um[0], x[None, :] - centre_um[1])
        near = smooth[far <= max(reach_um / 2, self.grid.width_um)]
        stiff = float(near.mean()) if near.size else 0.0
        heights = np.clip(draping * smooth + (1 - draping) * stiff, 0.0, most_um)
        corner = (float(y[0]) - self.grid.width_um / 2, float(x[0]) - self.grid.width_um / 2)
        return Relief(heights.astype(np.float32), Grid(heights.shape, self.grid.pixel_um, corner))

    def along(self, yx_um: Floats, radius_um: float, most_um: float) -> Floats:
        """Smoothed heights under a thin thing along points (N, 2)."""
        far = radius_um + self.grid.width_um / 2
        highest = np.zeros(len(yx_um))
        for dy in (-far, 0.0, far):
            for dx in (-far, 0.0, far):
                places = (yx_um + np.array([dy, dx]) - self.grid.origin_um) / self.grid.pixel_um
                rows, cols = (
                    np.clip(places[:, i].astype(int), 0, self.grid.shape_yx[i] - 1) for i in (0, 1)
                )
                highest = np.maximum(highest, self.heights_um[rows, cols])
        wide = ndimage.maximum_filter1d(np.minimum(highest, most_um), 3)
        smooth: Floats = ndimage.uniform_filter1d(wide, 3)
        return smooth


def settle(shape: Blob, ground: Ground, ceiling_um: float, *, draping: float) -> Blob:
    """Put a blob on what lies there already, and let the ground know.

    Parameters
    ----------
    shape
        The blob on the bare glass.
    ground
        What lies there; the blob is added to it.
    ceiling_um
        The blob is not lifted above this height.
    draping
        1 for a thing that follows the surface, 0 for a stiff one.
    """
    most = ceiling_um - shape.base_um - shape.height_um
    relief = ground.under(shape.centre_um, shape.reach_um, draping, most)
    settled = replace(shape, relief=relief)
    ground.put(settled)
    return settled
