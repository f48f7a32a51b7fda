"""What a lens makes of a point, at any defocus: the scalar Debye integral as a Fourier transform.

References
----------
Goodman, J. W. Introduction to Fourier Optics, chapters 3.10 and 6.
Born, M. and Wolf, E. Principles of Optics, chapter 8.8 (the image of a point near the focus).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special


@dataclass(frozen=True)
class Grid:
    """A periodic grid in the object, with the origin at index 0.

    Attributes
    ----------
    shape
        Rows and columns.
    spacing_um
        Distance of neighbouring rows and columns, in micrometres.
    """

    shape: tuple[int, int]
    spacing_um: tuple[float, float]

    def radial_frequency(self) -> NDArray[np.float64]:
        """Distance from the origin of each spatial frequency, (Y, X) in cycles per micrometre."""
        fy = fft.fftfreq(self.shape[0], self.spacing_um[0])[:, None]
        fx = fft.fftfreq(self.shape[1], self.spacing_um[1])[None, :]
        radius: NDArray[np.float64] = np.hypot(fy, fx)
        return radius


def focal_intensity(
    grid: Grid, wavelength_um: float, na: float, immersion_index: float, defocus_um: float
) -> NDArray[np.float64]:
    """Intensity of the image of a point by a lens without aberrations.

    The pupil is uniform in spatial frequency, so that the image in focus is the Airy pattern; each
    direction gathers phase along the axis exactly, also at high aperture. Polarisation is left out.

    Parameters
    ----------
    grid
        Where to compute it; its spacing must be below ``wavelength_um / (4 * na)``.
    wavelength_um
        Wavelength in vacuum.
    na
        Numerical aperture, below `immersion_index`.
    immersion_index
        Refractive index around the point.
    defocus_um
        Distance of the point from the focal plane.

    Returns
    -------
    ndarray
        (Y, X), at least 0; its sum is 1 at every defocus, because no light is lost.
    """
    frequency = grid.radial_frequency()
    amplitude = _pupil(grid, frequency, na / wavelength_um)
    axial = np.sqrt(np.maximum((immersion_index / wavelength_um) ** 2 - frequency**2, 0.0))
    # Relative to the axial ray, so that the phase stays small and exact.
    phase = 2 * np.pi * defocus_um * (axial - immersion_index / wavelength_um)
    field = fft.ifft2(amplitude * np.exp(1j * phase))
    energy = np.sum(amplitude**2) / amplitude.size  # Parseval
    intensity: NDArray[np.float64] = (field.real**2 + field.imag**2) / energy
    return intensity


def through_pinhole(
    grid: Grid, intensity: NDArray[np.float64], diameter_um: float
) -> NDArray[np.float64]:
    """Light of each position that passes a round pinhole around it.

    Parameters
    ----------
    grid
        Grid of the intensity.
    intensity
        (Y, X) image of a point.
    diameter_um
        Diameter of the pinhole, measured in the object; 0 for a point.

    Returns
    -------
    ndarray
        (Y, X) mean over the pinhole, at least 0, with the same sum.
    """
    if diameter_um == 0:
        return intensity
    argument = np.pi * diameter_um * grid.radial_frequency()
    argument[0, 0] = 1.0
    transfer = 2 * special.j1(argument) / argument
    transfer[0, 0] = 1.0
    mean: NDArray[np.float64] = fft.ifft2(fft.fft2(intensity) * transfer).real
    return np.maximum(mean, 0.0)


def _pupil(grid: Grid, frequency: NDArray[np.float64], cutoff: float) -> NDArray[np.float64]:
    """Share of each frequency's cell inside the aperture: a hard edge would be a staircase."""
    cell = max(1 / (n * d) for n, d in zip(grid.shape, grid.spacing_um, strict=True))
    return np.clip((cutoff - frequency) / cell + 0.5, 0.0, 1.0)
