"""Items become voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.simulate.scenes.columns import Columns, Floats, Grid
from isl.simulate.scenes.items import GAP_UM, Item, Part


@dataclass(frozen=True)
class Canvas:
    """Arrays that items are drawn into, one after the other.

    Attributes
    ----------
    grid, planes, spacing_um
        The voxels.
    index, occupied, stains
        (Z, Y * X) refractive index, share of each voxel that is taken, and each fluorophore.
    labels, nuclei, surface_um
        (Y * X) what is seen from above, and how high it is.
    """

    grid: Grid
    planes: int
    spacing_um: float
    index: NDArray[np.float32]
    occupied: NDArray[np.float32]
    stains: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    surface_um: Floats

    @classmethod
    def blank(cls, grid: Grid, planes: int, spacing_um: float, channels: Sequence[str]) -> Canvas:
        """Nothing but medium."""
        pixels = grid.shape_yx[0] * grid.shape_yx[1]
        flat = (planes, pixels)
        return cls(
            grid,
            planes,
            spacing_um,
            np.zeros(flat, dtype=np.float32),
            np.zeros(flat, dtype=np.float32),
            {name: np.zeros(flat, dtype=np.float32) for name in channels},
            np.zeros(pixels, dtype=np.int32),
            np.zeros(pixels, dtype=np.int32),
            np.full(pixels, -np.inf),
        )


def draw(items: Iterable[Item], canvas: Canvas) -> None:
    """Draw items into a canvas; each takes only the room that those before it have left.

    Fluorophores add up where things would share room, as in bundles of axons.
    """
    nuclei: list[tuple[int, Columns]] = []
    for item in items:
        placed: list[Columns] = []
        for part in item.parts:
            columns = part.shape.columns(canvas.grid)
            if part.inside is not None:
                columns = columns.within(placed[part.inside], GAP_UM)
            placed.append(columns)
            if part.nucleus and item.label:
                nuclei.append((item.label, columns))
        if placed[0].pixels.size:
            _fill(item.parts, placed, canvas)
            _label(item.label, placed[0], canvas)
    for label, columns in nuclei:
        pixels = columns.pixels[columns.inside]
        canvas.nuclei[pixels[canvas.labels[pixels] == label]] = label


def _fill(parts: tuple[Part, ...], placed: list[Columns], canvas: Canvas) -> None:
    """Add index and stains of all parts, each in place of the part that it is in."""
    root = placed[0]
    outer = root.coverage(canvas.planes, canvas.spacing_um)
    taken = canvas.occupied[: len(outer), root.pixels]
    room = np.minimum(outer, 1.0 - taken)
    canvas.occupied[: len(outer), root.pixels] = taken + room
    left = np.divide(room, outer, out=np.zeros_like(room), where=outer > 0)
    for part, columns in zip(parts, placed, strict=True):
        if not columns.pixels.size:
            continue
        share = columns.coverage(canvas.planes, canvas.spacing_um)[: len(outer)]
        around = parts[part.inside] if part.inside is not None else None
        textured = share * _texture(part, columns, canvas.grid)
        replaced = share * _texture(around, columns, canvas.grid) if around else share
        at = np.searchsorted(root.pixels, columns.pixels)
        change = part.index * textured - (around.index * replaced if around else 0.0)
        canvas.index[: len(share), columns.pixels] += change * left[: len(share), at]
        for name, stain in canvas.stains.items():
            mine = part.stains.get(name, 0.0)
            theirs = around.stains.get(name, 0.0) if around else 0.0
            if mine or theirs:
                stain[: len(share), columns.pixels] += mine * textured - theirs * replaced


def _texture(part: Part, columns: Columns, grid: Grid) -> NDArray[np.float32] | float:
    """Texture of a part over the pixels of columns."""
    if part.grain is None:
        return 1.0
    rows, cols = columns.pixels // grid.shape_yx[1], columns.pixels % grid.shape_yx[1]
    texture = part.grain.at(grid.centres_um(0, rows), grid.centres_um(1, cols))
    return texture.astype(np.float32)


def _label(label: int, columns: Columns, canvas: Canvas) -> None:
    """Label the pixels in which this is the highest thing so far."""
    if not label:
        return
    higher = columns.inside & (columns.top_um > canvas.surface_um[columns.pixels])
    pixels = columns.pixels[higher]
    canvas.labels[pixels] = label
    canvas.surface_um[pixels] = columns.top_um[higher]
