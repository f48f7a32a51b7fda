"""What a scene is made of, on a grid: refractive index, fluorophores, and the truth about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Line:
    """Centre line of a neurite or another thin thing.

    Attributes
    ----------
    zyx_um
        (N, 3) points along the line in micrometres; z from the glass upwards, y and x from the
        upper left corner of the field.
    kind
        What it is, such as ``"dendrite"`` or ``"axon"``.
    cell
        Label of the cell it belongs to.
    """

    zyx_um: NDArray[np.float32]
    kind: str
    cell: int


@dataclass(frozen=True)
class Truth:
    """What is in a scene, known because it was put there.

    Attributes
    ----------
    cells, nuclei
        (Y, X) int32 labels; 0 is background. A nucleus has the label of its cell.
    classes
        Class of each cell by its label, such as ``"neuron"``, ``"dead"``, ``"dividing"``.
    lines
        Centre lines.
    """

    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    classes: Mapping[int, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Volume:
    """A scene on a grid.

    Attributes
    ----------
    index
        (Z, Y, X) float32: refractive index minus that of the medium; plane 0 lies on the glass.
    absorption
        (Z, Y, X) float32 in 1/um, of intensity; None where nothing absorbs.
    fluorophores
        (Z, Y, X) float32 for each channel, in arbitrary units, at least 0.
    voxel_um
        z, y and x.
    medium_index
        Refractive index of the medium.
    truth
        What is in it.
    """

    index: NDArray[np.float32]
    fluorophores: Mapping[str, NDArray[np.float32]]
    voxel_um: tuple[float, float, float]
    medium_index: float
    truth: Truth
    absorption: NDArray[np.float32] | None = None
