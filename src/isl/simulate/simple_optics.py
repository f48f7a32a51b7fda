"""Bright-field intensity of a thin phase object at several defoci, by the angular spectrum.

References
----------
Goodman, J. W. Introduction to Fourier Optics, chapter 3.10 (angular spectrum of plane waves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage


@dataclass(frozen=True)
class Microscope:
    """What the light goes through.

    Attributes
    ----------
    pixel_um
        Side of a pixel in the object, in micrometres.
    wavelength_um
        Wavelength in vacuum, in micrometres.
    refractive_index
        Of the medium between the object and the objective.
    numerical_aperture
        Of the objective; directions beyond it are lost.
    condenser_aperture
        Numerical aperture of the ring of tilted illuminations; 0 for one plane wave.
    tilts
        Number of tilted illuminations; their intensities are averaged (partial coherence).
    """

    pixel_um: float = 0.5
    wavelength_um: float = 0.55
    refractive_index: float = 1.34
    numerical_aperture: float = 0.45
    condenser_aperture: float = 0.12
    tilts: int = 4


def frequencies(shape_yx: tuple[int, int], pixel_um: float) -> tuple[NDArray[np.float64], ...]:
    """Spatial frequencies of rows (Y, 1) and columns (1, X), in cycles per micrometre."""
    fy = fft.fftfreq(shape_yx[0], pixel_um)[:, None]
    fx = fft.fftfreq(shape_yx[1], pixel_um)[None, :]
    return fy, fx


def transfer_function(
    shape_yx: tuple[int, int], distance_um: float, microscope: Microscope
) -> NDArray[np.complex128]:
    """Factor on each spatial frequency that moves a field along the optical axis.

    Parameters
    ----------
    shape_yx
        Rows and columns of the field.
    distance_um
        How far to move, in micrometres; negative goes back towards the light source.
    microscope
        Pixel, wavelength and medium; apertures play no part here.

    Returns
    -------
    ndarray
        (Y, X) complex, of modulus 1 where the wave propagates and 0 where it is evanescent.
    """
    fy, fx = frequencies(shape_yx, microscope.pixel_um)
    squared = (microscope.refractive_index / microscope.wavelength_um) ** 2 - fy**2 - fx**2
    phase = 2 * np.pi * distance_um * np.sqrt(np.maximum(squared, 0.0))
    transfer: NDArray[np.complex128] = np.exp(1j * phase) * (squared > 0)
    return transfer


def propagate(
    field: NDArray[np.complex128], distance_um: float, microscope: Microscope
) -> NDArray[np.complex128]:
    """Move a complex field along the optical axis; its energy stays the same.

    Parameters
    ----------
    field
        (Y, X) complex amplitude; the edges are periodic.
    distance_um
        How far to move, in micrometres.
    microscope
        Pixel, wavelength and medium.

    Returns
    -------
    ndarray
        (Y, X) complex amplitude.
    """
    transfer = transfer_function((field.shape[0], field.shape[1]), distance_um, microscope)
    moved: NDArray[np.complex128] = fft.ifft2(fft.fft2(field) * transfer)
    return moved


def bright_field_stack(
    path_um: NDArray[np.floating], defoci_um: Sequence[float], microscope: Microscope
) -> NDArray[np.float64]:
    """Bright-field images of a thin transparent object.

    Parameters
    ----------
    path_um
        (Y, X) optical path length that the object adds, in micrometres.
    defoci_um
        Distance of each plane from the object, in micrometres.
    microscope
        The optics.

    Returns
    -------
    ndarray
        (Z, Y, X) intensity, 1 where there is no object.
    """
    shape_yx = (path_um.shape[0], path_um.shape[1])
    transfers = [transfer_function(shape_yx, z, microscope) for z in defoci_um]
    stack = np.zeros((len(transfers), *shape_yx))
    tilts = _tilts(shape_yx, microscope)
    for tilt in tilts:
        spectrum = _imaged_spectrum(path_um, tilt, microscope)
        for image, transfer in zip(stack, transfers, strict=True):
            image += np.abs(fft.ifft2(spectrum * transfer)) ** 2
    return stack / len(tilts)


def blur(image: NDArray[np.floating], sigma_um: float, pixel_um: float) -> NDArray[np.float64]:
    """Gaussian blur of an incoherent image (Y, X), standard deviation in micrometres."""
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(
        np.asarray(image, dtype=np.float64), sigma_um / pixel_um, mode="nearest"
    )
    return blurred


def _tilts(shape_yx: tuple[int, int], microscope: Microscope) -> list[tuple[int, int]]:
    """Directions of the light in whole frequency steps, so that each is periodic."""
    if microscope.condenser_aperture == 0 or microscope.tilts < 2:
        return [(0, 0)]
    radius = microscope.condenser_aperture / microscope.wavelength_um * microscope.pixel_um
    angles = 2 * np.pi * (np.arange(microscope.tilts) + 0.5) / microscope.tilts
    return [
        (round(radius * shape_yx[0] * np.sin(a)), round(radius * shape_yx[1] * np.cos(a)))
        for a in angles
    ]


def _imaged_spectrum(
    path_um: NDArray[np.floating], tilt: tuple[int, int], microscope: Microscope
) -> NDArray[np.complex128]:
    """Spectrum of the field behind the object, lit from one direction, within the aperture."""
    transmission = np.exp(2j * np.pi / microscope.wavelength_um * path_um)
    spectrum = np.roll(fft.fft2(transmission), tilt, axis=(0, 1))
    fy, fx = frequencies((path_um.shape[0], path_um.shape[1]), microscope.pixel_um)
    limit = microscope.numerical_aperture / microscope.wavelength_um
    inside: NDArray[np.complex128] = spectrum * (fy**2 + fx**2 <= limit**2)
    return inside
