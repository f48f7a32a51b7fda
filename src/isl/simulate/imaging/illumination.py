"""Uneven light: vignetting, a gradient, and dust with its diffraction rings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from isl.simulate.imaging.pupil import Grid
from isl.simulate.imaging.stage import Pair, Stage


def shading(
    stage: Stage, shape_yx: tuple[int, int], pixel_um: Pair, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Factor on the light of each pixel, the same for all planes of a modality.

    Parameters
    ----------
    stage
        How uneven the light is.
    shape_yx
        Rows and columns.
    pixel_um
        Size of a pixel in y and x.
    rng
        Source of the dust.

    Returns
    -------
    ndarray
        (Y, X) float32, at least 0; 1 at the centre where there is no dust.
    """
    y, x = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape_yx)
    corners = 1 - stage.vignetting * (y[:, None] ** 2 + x[None, :] ** 2) / 2
    slope = 1 + (stage.gradient[0] * y[:, None] + stage.gradient[1] * x[None, :]) / 2
    factor = corners * slope * dust(stage, shape_yx, pixel_um, rng)
    return np.maximum(factor, 0.0).astype(np.float32)


def dust(
    stage: Stage, shape_yx: tuple[int, int], pixel_um: Pair, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Factor on the light behind dust, periodic at the edges.

    Parameters
    ----------
    stage
        Density, size, opacity and distance of the dust.
    shape_yx
        Rows and columns.
    pixel_um
        Size of a pixel in y and x.
    rng
        Source of the number, places, sizes and opacities of the grains.

    Returns
    -------
    ndarray
        (Y, X) intensity, 1 where there is no dust. Out of focus the grains become rings, which
        are brighter than 1 in places; the mean stays as it is in focus.
    """
    area_mm2 = np.prod(shape_yx) * np.prod(pixel_um) / 1e6
    count = int(rng.poisson(stage.dust_per_mm2 * area_mm2))
    grid = Grid(shape_yx, pixel_um)
    amplitude = np.ones(shape_yx)
    for _ in range(count):
        amplitude *= 1 - _grain(stage, grid, rng)
    if count == 0 or stage.dust_defocus_um == 0:
        return amplitude**2
    # Fresnel propagation: of modulus 1, so that no light is lost.
    phase = np.pi * stage.dust_wavelength_um * stage.dust_defocus_um * grid.radial_frequency() ** 2
    field = fft.ifft2(fft.fft2(amplitude) * np.exp(-1j * phase))
    intensity: NDArray[np.float64] = field.real**2 + field.imag**2
    return intensity


def _grain(stage: Stage, grid: Grid, rng: np.random.Generator) -> NDArray[np.float64]:
    """Amplitude that one grain takes away: a disc with an edge one pixel wide."""
    place, size, darkness = rng.random(2), rng.lognormal(0.0, 0.3), rng.uniform(0.5, 1.0)
    y, x = (
        ((np.arange(n) - p * n + n / 2) % n - n / 2) * d
        for n, p, d in zip(grid.shape, place, grid.spacing_um, strict=True)
    )
    radius = np.hypot(y[:, None], x[None, :])
    covered = (stage.dust_radius_um * size - radius) / max(grid.spacing_um) + 0.5
    taken: NDArray[np.float64] = stage.dust_opacity * darkness * np.clip(covered, 0.0, 1.0)
    return taken
