"""Shapes in micrometres: blobs over smooth outlines, and strands of tapering capsules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isl.simulate.scenes.columns import Columns, Floats, Grid, mean_chord
from isl.simulate.scenes.relief import FLAT, Relief

ORDERS = np.arange(2, 7)
"""Waves of an outline around its centre."""
LAMELLA = 0.4
"""Height of the thin part of a spread cell relative to that over its nucleus."""

MOST_PARTS = 6
"""Pixels are divided into at most so many parts each way for things thinner than a pixel."""


class Shape(Protocol):
    """Anything that can say between which heights it lies over each pixel."""

    def columns(self, grid: Grid) -> Columns:
        """Heights over the pixels of a grid."""
        ...


@dataclass(frozen=True)
class Blob:
    """An ellipsoid, a flat cell on the glass, or anything between, over a smooth outline.

    Attributes
    ----------
    centre_um
        y and x of the centre.
    radius_um, height_um, base_um
        Mean radius, height, and height of the lowest point.
    spreading
        1 for a flat bottom and a thin rim, 0 for an ellipsoid.
    stretch, angle_rad
        Length divided by width, and the direction of the length from x towards y.
    waves
        (2, 5) relative amplitude and phase of the outline's waves 2 to 6; None for an ellipse.
    relief
        What it lies on.
    """

    centre_um: tuple[float, float]
    radius_um: float
    height_um: float
    base_um: float = 0.0
    spreading: float = 0.0
    stretch: float = 1.0
    angle_rad: float = 0.0
    waves: Floats | None = None
    relief: Relief = FLAT

    def shrunk(self, by_um: float) -> Blob:
        """The same shape with its surface moved inwards."""
        return replace(
            self,
            radius_um=max(self.radius_um - by_um, 0.01),
            height_um=max(self.height_um - 2 * by_um, 0.01),
            base_um=self.base_um + by_um,
        )

    @property
    def reach_um(self) -> float:
        """No part of it is further than this from its centre, seen from above."""
        bulge = 1.0 if self.waves is None else 1.0 + float(np.abs(self.waves[0]).sum())
        return self.radius_um * bulge * math.sqrt(max(self.stretch, 1 / self.stretch))

    def columns(self, grid: Grid) -> Columns:
        """Heights over the pixels of a grid."""
        rows, cols = (
            grid.span(axis, c - self.reach_um - grid.width_um, c + self.reach_um + grid.width_um)
            for axis, c in enumerate(self.centre_um)
        )
        y, x = grid.centres_um(0, rows)[:, None], grid.centres_um(1, cols)[None, :]
        relative = self._relative(y - self.centre_um[0], x - self.centre_um[1])
        chord = mean_chord(relative, 1.0, grid.width_um / self.radius_um)
        thickness, rise = self._heights(relative, chord)
        keep = thickness > 0
        pixels = (rows[:, None] * grid.shape_yx[1] + cols[None, :])[keep]
        lifted = np.broadcast_to(self.relief.at(y, x), keep.shape)[keep]
        bottom = self.base_um + lifted + rise[keep]
        return Columns(pixels, bottom, bottom + thickness[keep], relative[keep] < 1.0)

    def _relative(self, dy: Floats, dx: Floats) -> Floats:
        """Distance from the centre, 1 on the outline."""
        cos, sin, stretch = np.cos(self.angle_rad), np.sin(self.angle_rad), np.sqrt(self.stretch)
        along, across = (cos * dx + sin * dy) / stretch, (cos * dy - sin * dx) * stretch
        outline: Floats | float = self.radius_um
        if self.waves is not None:
            turn = ORDERS[:, None, None] * np.arctan2(across, along) + self.waves[1][:, None, None]
            outline = self.radius_um * (1 + (self.waves[0][:, None, None] * np.cos(turn)).sum(0))
        relative: Floats = np.hypot(along, across) / np.maximum(outline, 0.3 * self.radius_um)
        return relative

    def _heights(self, relative: Floats, chord: Floats) -> tuple[Floats, Floats]:
        """Thickness, and how far the underside is above the lowest point."""
        dome = np.clip(1.0 - relative**2, 0.0, None)
        dome = dome * (LAMELLA + (1 - LAMELLA) * np.exp(-((relative / 0.5) ** 2)))
        round_height = (1.0 - self.spreading) * self.height_um
        thickness = self.spreading * self.height_um * dome + round_height * chord
        return thickness, 0.5 * round_height * (1.0 - chord)


@dataclass(frozen=True)
class Strand:
    """Union of tapering capsules: a neurite, a bacterium, or balls where capsules have no length.

    Attributes
    ----------
    start_um, end_um
        (N, 3) z, y and x of the axes' ends.
    start_radius_um, end_radius_um
        (N,) radii there.
    relief
        What it lies on.
    """

    start_um: Floats
    end_um: Floats
    start_radius_um: Floats
    end_radius_um: Floats
    relief: Relief = FLAT

    def shrunk(self, by_um: float) -> Strand:
        """The same axes with smaller radii."""
        return replace(
            self,
            start_radius_um=np.maximum(self.start_radius_um - by_um, 0.01),
            end_radius_um=np.maximum(self.end_radius_um - by_um, 0.01),
        )

    def columns(self, grid: Grid) -> Columns:
        """Heights over the pixels of a grid; where parts cross, those of the thicker one."""
        near = self._touching(grid)
        thinnest = np.minimum(self.start_radius_um, self.end_radius_um)[near].min(initial=np.inf)
        parts = int(np.clip(np.ceil(1.2 * grid.width_um / thinnest), 1, MOST_PARTS))
        return self._thickest(grid.refined(parts), near).merged(grid, parts)

    def _thickest(self, grid: Grid, near: NDArray[np.bool_]) -> Columns:
        """Heights over the pixels of a grid whose pixels are no wider than the capsules."""
        pixels, distance, height, radius = self._axes_under(grid, near)
        half = mean_chord(distance, radius, grid.width_um)
        keep = half > 0
        pixels, half, height = pixels[keep], half[keep], height[keep]
        inside = (distance < radius)[keep]
        order = np.lexsort((half, pixels))
        chosen = order[np.flatnonzero(np.diff(pixels[order], append=-1) != 0)]
        pixels, half = pixels[chosen], half[chosen]
        rows, cols = pixels // grid.shape_yx[1], pixels % grid.shape_yx[1]
        lifted = self.relief.at(grid.centres_um(0, rows), grid.centres_um(1, cols))
        middle = height[chosen] + lifted
        return Columns(pixels, middle - half, middle + half, inside[chosen])

    def _touching(self, grid: Grid) -> NDArray[np.bool_]:
        """Capsules that may touch the grid."""
        reach = np.maximum(self.start_radius_um, self.end_radius_um)[:, None] + grid.width_um
        low = np.minimum(self.start_um, self.end_um)[:, 1:] - reach
        high = np.maximum(self.start_um, self.end_um)[:, 1:] + reach
        first = np.array(grid.origin_um)
        last = first + np.array(grid.shape_yx) * np.array(grid.pixel_um)
        touching: NDArray[np.bool_] = ((high > first) & (low < last)).all(axis=1)
        return touching

    def _axes_under(
        self, grid: Grid, near: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
        """Pixels around the capsules: number, distance from the axis, its height, its radius."""
        start, end = self.start_um[near], self.end_um[near]
        radii = self.start_radius_um[near], self.end_radius_um[near]
        wide = 2 * np.maximum(*radii).max(initial=0.0) + 2 * grid.width_um
        extents = np.abs(end - start)[:, 1:].max(axis=0, initial=0.0) + wide
        low = np.minimum(start, end)[:, 1:] - np.maximum(*radii)[:, None] - grid.width_um
        spans = []
        for axis in (0, 1):
            first = np.floor((low[:, axis] - grid.origin_um[axis]) / grid.pixel_um[axis])
            count = int(np.ceil(extents[axis] / grid.pixel_um[axis])) + 2
            spans.append(first.astype(np.int64)[:, None] + np.arange(count))
        rows, cols = spans[0][:, :, None], spans[1][:, None, :]
        valid = (rows >= 0) & (rows < grid.shape_yx[0]) & (cols >= 0) & (cols < grid.shape_yx[1])
        y = grid.centres_um(0, rows) - start[:, 1, None, None]
        x = grid.centres_um(1, cols) - start[:, 2, None, None]
        rise, dy, dx = ((end - start)[:, i, None, None] for i in range(3))
        share = np.clip((y * dy + x * dx) / np.maximum(dy**2 + dx**2, 1e-12), 0.0, 1.0)
        distance = np.hypot(y - share * dy, x - share * dx)
        height = start[:, 0, None, None] + share * rise
        radius = radii[0][:, None, None] + share * (radii[1] - radii[0])[:, None, None]
        pixels = rows * grid.shape_yx[1] + cols
        return pixels[valid], distance[valid], height[valid], radius[valid]


def balls(zyx_um: Floats, radii_um: Floats, relief: Relief = FLAT) -> Strand:
    """Balls around points (N, 3)."""
    return Strand(zyx_um, zyx_um, radii_um, radii_um, relief)
