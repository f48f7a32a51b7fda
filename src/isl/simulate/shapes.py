"""Smooth random cells: where they are, how thick they are, which pixels belong to which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatImage = NDArray[np.float64]
REACH_UM = 36.0
"""No cell reaches further than this from its centre: 19 um times the largest outline, 1.8."""


@dataclass(frozen=True)
class Specimen:
    """Thickness maps and instance labels of a layer of cells, all (Y, X).

    Attributes
    ----------
    cytoplasm_um, nucleus_um, nucleoli_um
        Thickness of each material in micrometres; 0 where there is none. The nucleus takes room
        from the cytoplasm and the nucleoli from the nucleus.
    cell_labels, nucleus_labels
        int32, 0 outside; a nucleus has the number of its cell.
    """

    cytoplasm_um: FloatImage
    nucleus_um: FloatImage
    nucleoli_um: FloatImage
    cell_labels: NDArray[np.int32]
    nucleus_labels: NDArray[np.int32]


def smooth_noise(
    shape_yx: tuple[int, ...], sigma_px: float, random: np.random.Generator
) -> FloatImage:
    """Smooth random image (Y, X) of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(random.standard_normal(shape_yx), sigma_px, mode="wrap")
    spread = float(noise.std()) or 1.0
    centred: FloatImage = (noise - noise.mean()) / spread
    return centred


def blob_height(
    yx: tuple[NDArray[np.float64], NDArray[np.float64]],
    centre_yx: tuple[float, float],
    radius: float,
    roughness: float,
    random: np.random.Generator,
) -> FloatImage:
    """Dome over a smooth random outline.

    Parameters
    ----------
    yx
        Coordinates of the rows (Y, 1) and columns (1, X), in the unit of ``radius``.
    centre_yx, radius
        Where the dome stands and its mean radius.
    roughness
        Relative deviation of the outline from an ellipse, 0 for none.
    random
        Source of the shape.

    Returns
    -------
    ndarray
        (Y, X) height in [0, 1], 0 outside the outline and 1 at the centre.
    """
    dy, dx = yx[0] - centre_yx[0], yx[1] - centre_yx[1]
    angle = np.arctan2(dy, dx)
    outline = np.ones_like(angle)
    for order in (2, 3, 4, 5):
        amplitude = roughness * random.normal() / (order - 1)
        outline += amplitude * np.cos(order * angle + random.uniform(0, 2 * np.pi))
    relative = np.hypot(dy, dx) / (radius * np.clip(outline, 0.4, 1.8))
    height: FloatImage = np.sqrt(np.clip(1.0 - relative**2, 0.0, 1.0))
    return height


def scatter_cells(
    size_um: tuple[float, float], cells: int, distance_um: float, random: np.random.Generator
) -> list[tuple[float, float]]:
    """Centres (y, x) in micrometres, at least ``distance_um`` apart as long as there is room.

    Parameters
    ----------
    size_um
        Height and width of the field.
    cells
        How many centres to draw.
    distance_um
        Smallest distance wanted; it shrinks by a tenth whenever a hundred draws in a row fail.
    random
        Source of the positions.

    Returns
    -------
    list of tuple
        Exactly ``cells`` centres.
    """
    centres: list[tuple[float, float]] = []
    failures = 0
    while len(centres) < cells:
        y, x = random.uniform(0, size_um[0]), random.uniform(0, size_um[1])
        if all(np.hypot(y - cy, x - cx) >= distance_um for cy, cx in centres):
            centres.append((y, x))
        else:
            failures += 1
            distance_um *= 0.9 if failures % 100 == 0 else 1.0
    return centres


def grow_specimen(
    shape_yx: tuple[int, int], cells: int, pixel_um: float, random: np.random.Generator
) -> Specimen:
    """Draw a layer of cells, each with a cytoplasm, a nucleus and nucleoli.

    Parameters
    ----------
    shape_yx
        Rows and columns.
    cells
        Number of cells; where two overlap, a pixel belongs to the thicker one.
    pixel_um
        Side of a pixel in micrometres.
    random
        Source of the shapes.

    Returns
    -------
    Specimen
        Thickness maps and labels.
    """
    y_um = np.arange(shape_yx[0], dtype=np.float64)[:, None] * pixel_um
    x_um = np.arange(shape_yx[1], dtype=np.float64)[None, :] * pixel_um
    thickest = np.zeros(shape_yx)
    labels = np.zeros(shape_yx, dtype=np.int32)
    nucleus, nucleoli = np.zeros(shape_yx), np.zeros(shape_yx)
    size_um = (shape_yx[0] * pixel_um, shape_yx[1] * pixel_um)
    for number, centre in enumerate(scatter_cells(size_um, cells, 24.0, random), start=1):
        near = _window(shape_yx, centre, REACH_UM, pixel_um)
        here = (y_um[near[0]], x_um[:, near[1]])
        body = 3.5 * blob_height(here, centre, random.uniform(13, 19), 0.16, random) ** 1.5
        core, spots = _nucleus(here, centre, random)
        mine = body > thickest[near]
        for image, cell in ((thickest, body), (nucleus, core), (nucleoli, spots)):
            image[near][mine] = cell[mine]
        labels[near][mine] = number
    return _fill(thickest, nucleus, nucleoli, labels, random)


def _window(
    shape_yx: tuple[int, int], centre: tuple[float, float], reach_um: float, pixel_um: float
) -> tuple[slice, slice]:
    """Pixels within ``reach_um`` of a centre, in rows and in columns."""
    bounds = [
        (max(0, int((c - reach_um) / pixel_um)), min(n, int((c + reach_um) / pixel_um) + 2))
        for c, n in zip(centre, shape_yx, strict=True)
    ]
    return slice(*bounds[0]), slice(*bounds[1])


def _nucleus(
    yx: tuple[FloatImage, FloatImage], centre: tuple[float, float], random: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Thickness of a nucleus near the centre of its cell, and of the nucleoli within it."""
    offset = random.normal(0, 1.5, 2)
    middle = (centre[0] + offset[0], centre[1] + offset[1])
    nucleus = 4.5 * blob_height(yx, middle, random.uniform(4.5, 6.5), 0.06, random)
    nucleoli = np.zeros_like(nucleus)
    for _ in range(random.integers(1, 4)):
        shift = random.normal(0, 1.7, 2)
        place = (middle[0] + shift[0], middle[1] + shift[1])
        spot = 1.6 * blob_height(yx, place, random.uniform(0.7, 1.3), 0.05, random)
        nucleoli = np.maximum(nucleoli, spot)
    return nucleus, np.minimum(nucleoli, nucleus)


def _fill(
    body: FloatImage,
    nucleus: FloatImage,
    nucleoli: FloatImage,
    labels: NDArray[np.int32],
    random: np.random.Generator,
) -> Specimen:
    """Let each material take its room, and make the cytoplasm granular."""
    granules = 1.0 + 0.15 * smooth_noise(body.shape, 1.5, random)
    around = np.where(nucleus > 0, 0.3 * body, body)
    cytoplasm = ndimage.gaussian_filter(around, 1.0) * np.clip(granules, 0.4, 1.6)
    return Specimen(
        cytoplasm_um=cytoplasm * (labels > 0),
        nucleus_um=nucleus - nucleoli,
        nucleoli_um=nucleoli,
        cell_labels=labels,
        nucleus_labels=np.where(nucleus > 0, labels, 0).astype(np.int32),
    )
