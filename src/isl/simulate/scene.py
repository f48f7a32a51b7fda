"""A synthetic field of view whose answer is known: a first, simple simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.simulate.camera import Camera, expose
from isl.simulate.shapes import FloatImage, Specimen, grow_specimen, smooth_noise
from isl.simulate.simple_optics import Microscope, blur, bright_field_stack

SOURCE = "BRIGHTFIELD"
VOXEL_SIZE = VoxelSize(z=1.5, y=0.5, x=0.5)
CELL_AREA_UM2 = 1500.0
EDGE_PX = 16
FOCUS_OFFSET_UM = 3.0
"""The middle plane is focused this far beyond the cells: a phase object in focus is invisible."""
CYTOPLASM_INDEX, NUCLEUS_INDEX, NUCLEOLUS_INDEX = 0.025, 0.035, 0.07
"""Refractive index of each material above that of the medium."""


@dataclass(frozen=True)
class Scene:
    """Images of one synthetic field of view.

    Attributes
    ----------
    source
        (Z, Y, X) uint16 bright-field stack.
    targets
        Fluorescence images (Y, X) uint16 by channel name: ``"NUCLEI"`` and ``"CYTOPLASM"``.
    labels
        Instance masks (Y, X) int32, 0 outside, of ``"cells"`` and ``"nuclei"``; a nucleus has the
        number of its cell.
    voxel_size
        In micrometres.
    seed
        The number that the scene was drawn from.
    """

    source: NDArray[np.uint16]
    targets: Mapping[str, NDArray[np.uint16]]
    labels: Mapping[str, NDArray[np.int32]]
    voxel_size: VoxelSize
    seed: int


def simulate_scene(
    seed: int = 0,
    size_yx: tuple[int, int] = (512, 512),
    planes: int = 13,
    cells: int | None = None,
    voxel_size: VoxelSize = VOXEL_SIZE,
) -> Scene:
    """Draw cells and image them in bright field and in fluorescence.

    Parameters
    ----------
    seed
        The same seed and settings give the same bytes.
    size_yx
        Rows and columns.
    planes
        Number of z planes; the middle one is focused 3 um beyond the cells.
    cells
        Number of cells; by default one for every 1500 square micrometres.
    voxel_size
        Distance of the planes and side of a pixel, in micrometres; pixels are square.

    Returns
    -------
    Scene
        Source, targets and labels.

    Raises
    ------
    ConfigError
        Where a size, a number or a length makes no sense.

    Examples
    --------
    >>> scene = simulate_scene(seed=1, size_yx=(64, 48), planes=3)
    >>> scene.source.shape, sorted(scene.targets)
    ((3, 64, 48), ['CYTOPLASM', 'NUCLEI'])
    """
    spacing_um, pixel_um = _lengths(voxel_size)
    if min(size_yx) < 16 or planes < 1 or (cells is not None and cells < 0) or seed < 0:
        raise ConfigError(
            f"cannot draw a scene of {size_yx[0]} x {size_yx[1]} pixels with {planes} planes and "
            f"{cells} cells from seed {seed}; ask for at least 16 x 16 pixels, 1 plane, 0 cells "
            "and seed 0"
        )
    if cells is None:
        cells = max(1, round(size_yx[0] * size_yx[1] * pixel_um**2 / CELL_AREA_UM2))
    random = np.random.default_rng(seed)
    specimen = grow_specimen(size_yx, cells, pixel_um, random)
    middle = (planes - 1) / 2
    defoci_um = [FOCUS_OFFSET_UM + spacing_um * (i - middle) for i in range(planes)]
    return Scene(
        source=_bright_field(specimen, defoci_um, pixel_um, random),
        targets=_fluorescence(specimen, pixel_um, random),
        labels={"cells": specimen.cell_labels, "nuclei": specimen.nucleus_labels},
        voxel_size=voxel_size,
        seed=seed,
    )


def _lengths(voxel_size: VoxelSize) -> tuple[float, float]:
    """Distance of the planes and side of a pixel, checked."""
    z, y, x = voxel_size
    if not z or not y or not x or min(z, y, x) <= 0 or y != x:
        raise ConfigError(
            f"a scene needs a known, positive voxel size with square pixels, but it is {voxel_size}"
        )
    return z, y


def _bright_field(
    specimen: Specimen, defoci_um: list[float], pixel_um: float, random: np.random.Generator
) -> NDArray[np.uint16]:
    """Bright-field stack with an uneven lamp."""
    path_um = (
        CYTOPLASM_INDEX * specimen.cytoplasm_um
        + NUCLEUS_INDEX * specimen.nucleus_um
        + NUCLEOLUS_INDEX * specimen.nucleoli_um
    )
    beyond = np.pad(
        path_um, EDGE_PX, mode="symmetric"
    )  # keeps periodic light from the other side out
    stack = bright_field_stack(beyond, defoci_um, Microscope(pixel_um=pixel_um))
    stack = stack[:, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
    lamp = 1.0 + 0.02 * smooth_noise(path_um.shape, min(path_um.shape) / 6, random)
    return expose(np.clip(9000.0 * lamp * stack, 0.0, None), Camera(), random)


def _fluorescence(
    specimen: Specimen, pixel_um: float, random: np.random.Generator
) -> dict[str, NDArray[np.uint16]]:
    """Fluorescence of the nuclei (without nucleoli) and of the cytoplasm, in this order."""
    chromatin = np.clip(1.0 + 0.12 * smooth_noise(specimen.nucleus_um.shape, 1.2, random), 0.5, 1.5)
    nuclei = specimen.nucleus_um * chromatin
    stains = {"NUCLEI": (nuclei, 500.0), "CYTOPLASM": (specimen.cytoplasm_um, 400.0)}
    return {
        name: _stained(stain, photons, specimen.cell_labels, pixel_um, random)
        for name, (stain, photons) in stains.items()
    }


def _stained(
    stain_um: FloatImage,
    photons: float,
    cell_labels: NDArray[np.int32],
    pixel_um: float,
    random: np.random.Generator,
) -> NDArray[np.uint16]:
    """Image of one stain: cells differ in brightness, light spreads, and there is a background."""
    brightness = random.lognormal(0.0, 0.12, int(cell_labels.max()) + 1)
    sharp = blur(photons * stain_um * brightness[cell_labels], 0.35, pixel_um)
    haze = 0.06 * blur(sharp, 6.0, pixel_um)
    return expose(sharp + haze + 60.0, Camera(), random)
