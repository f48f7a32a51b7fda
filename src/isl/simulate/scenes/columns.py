"""From shapes to voxels: every shape is an interval of heights over each pixel.

The share of a voxel that lies within the interval is exact along z. Sideways the shapes hand out
thickness averaged over a pixel, so that thin things do not alias and optical path is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Pixels seen from above.

    Attributes
    ----------
    shape_yx
        Rows and columns.
    pixel_um
        Sides of a pixel along y and x.
    origin_um
        Where the corner of the first pixel lies.
    """

    shape_yx: tuple[int, int]
    pixel_um: tuple[float, float]
    origin_um: tuple[float, float] = (0.0, 0.0)

    @property
    def width_um(self) -> float:
        """Side of a pixel, the mean of y and x."""
        return (self.pixel_um[0] + self.pixel_um[1]) / 2

    def centres_um(self, axis: int, pixels: Indices) -> Floats:
        """Where the centres of rows (axis 0) or columns (axis 1) lie."""
        middles = pixels.astype(np.float64) + 0.5
        centres: Floats = self.origin_um[axis] + middles * self.pixel_um[axis]
        return centres

    def span(self, axis: int, low_um: float, high_um: float) -> Indices:
        """Rows or columns that have a part between two places; none where that is outside."""
        edges = np.array([low_um, high_um]) - self.origin_um[axis]
        first, last = np.floor(edges / self.pixel_um[axis]).astype(int)
        return np.arange(max(0, first), max(0, min(self.shape_yx[axis], last + 1)))

    def refined(self, parts: int) -> Grid:
        """The same area with each pixel divided into ``parts`` each way."""
        rows, cols = self.shape_yx
        pixel = (self.pixel_um[0] / parts, self.pixel_um[1] / parts)
        return Grid((rows * parts, cols * parts), pixel, self.origin_um)


@dataclass(frozen=True)
class Columns:
    """A shape over the pixels of a grid.

    Attributes
    ----------
    pixels
        (N,) flat numbers of the pixels, rising.
    bottom_um, top_um
        (N,) the heights between which the shape lies.
    inside
        (N,) bool: whether the centre of the pixel lies in the outline.
    """

    pixels: Indices
    bottom_um: Floats
    top_um: Floats
    inside: NDArray[np.bool_]

    def within(self, parent: Columns, gap_um: float) -> Columns:
        """What of it lies in another shape, ``gap_um`` below and above its surfaces."""
        if not parent.pixels.size:
            return self.where(np.zeros(self.pixels.shape, dtype=bool))
        at = np.minimum(np.searchsorted(parent.pixels, self.pixels), parent.pixels.size - 1)
        bottom = np.maximum(self.bottom_um, parent.bottom_um[at] + gap_um)
        top = np.minimum(self.top_um, parent.top_um[at] - gap_um)
        keep = (parent.pixels[at] == self.pixels) & (top > bottom)
        inside = self.inside & parent.inside[at]
        return Columns(self.pixels, bottom, top, inside).where(keep)

    def merged(self, grid: Grid, parts: int) -> Columns:
        """From a refined grid to the grid it was made from: mean thickness and mean height."""
        if parts == 1:
            return self
        rows, cols = np.divmod(self.pixels, grid.shape_yx[1] * parts)
        pixels, of = np.unique(
            rows // parts * grid.shape_yx[1] + cols // parts, return_inverse=True
        )
        thickness = self.top_um - self.bottom_um
        total = np.bincount(of, thickness, len(pixels))
        moment = np.bincount(of, thickness * (self.top_um + self.bottom_um) / 2, len(pixels))
        half, middle = total / parts**2 / 2, moment / total
        inside = 2 * np.bincount(of, self.inside, len(pixels)) >= parts**2
        return Columns(pixels, middle - half, middle + half, inside)

    def where(self, keep: NDArray[np.bool_]) -> Columns:
        """The columns that are to be kept."""
        return Columns(
            self.pixels[keep], self.bottom_um[keep], self.top_um[keep], self.inside[keep]
        )

    def coverage(self, planes: int, spacing_um: float) -> NDArray[np.float32]:
        """Share of each voxel that lies in the shape.

        Parameters
        ----------
        planes, spacing_um
            Number and thickness of the planes; the first one lies on height 0.

        Returns
        -------
        ndarray
            (P, N) float32 from 0 to 1 for the first P planes, above which there is nothing.
        """
        highest = float(self.top_um.max(initial=0.0))
        count = int(np.clip(np.ceil(highest / spacing_um), 0, planes))
        lower = (np.arange(count) * spacing_um)[:, None]
        length = np.minimum(self.top_um, lower + spacing_um) - np.maximum(self.bottom_um, lower)
        share: NDArray[np.float32] = np.clip(length / spacing_um, 0.0, 1.0).astype(np.float32)
        return share


def mean_chord(distance: Floats, radius: Floats | float, width: Floats | float) -> Floats:
    """Half the chord of a circle at a distance from its centre, averaged over a pixel.

    Parameters
    ----------
    distance, radius, width
        Distance from the centre (at least 0), radius, and width of the pixel, in one unit.

    Returns
    -------
    ndarray
        Mean of ``sqrt(radius**2 - d**2)`` (0 outside) for d within half a width of the distance.
    """
    area = _half_disc(distance + width / 2, radius) - _half_disc(distance - width / 2, radius)
    mean: Floats = np.maximum(area / width, 0.0)
    return mean


def _half_disc(distance: Floats, radius: Floats | float) -> Floats:
    """Area under the half circle from its middle to a distance, negative on the other side."""
    relative = np.clip(distance / radius, -1.0, 1.0)
    area: Floats = 0.5 * radius**2 * (relative * np.sqrt(1.0 - relative**2) + np.arcsin(relative))
    return area
