r"""Light through a volume of refractive index, slice by slice.

A plane wave of direction :math:`k` (transverse frequency, cycles per micrometre) falls from above
through the volume onto the glass, as in an inverted microscope.  The field is written as that wave
times an envelope, and the envelope as

.. math:: v(r) = 1 + s(r),

so that :math:`s`, what the object scatters, is all that is computed: where there is nothing it
stays exactly 0.  A slice of thickness :math:`\Delta z` turns it into

.. math:: s \leftarrow t s + (t - 1), \qquad
   t = \exp\left(\frac{2 \pi i}{\lambda} \frac{\Delta n\, \Delta z}{\cos\theta}
   - \frac{\alpha\, \Delta z}{2 \cos\theta}\right),

with the angle :math:`\theta` of the illumination in the medium, and the way to the next slice
multiplies its spectrum at :math:`f` by

.. math:: \exp\left(2 \pi i \Delta z\, [k_z(g) - k_z(k)]\right), \qquad
   k_z(g) = \sqrt{(n / \lambda)^2 - |g|^2}, \quad g = f + k,

which is of modulus 1 where light propagates and decays where it does not (beam propagation with the
angular spectrum [1]_, [2]_).  The slice acts in its middle.

The *envelope* is periodic at the edges, so that every direction is exact on every grid; the field
itself is periodic but for the tilt.  Frequencies :math:`g` are taken from the base band of the
grid.

References
----------
.. [1] Goodman, J. W. Introduction to Fourier Optics, 4th ed., section 3.10.
.. [2] Van Roey, J., van der Donk, J. and Lagasse, P. E. (1981). Beam-propagation method: analysis
   and assessment. J. Opt. Soc. Am. 71, 803-810.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isl.core.errors import ConfigError

_SMALLEST = 1e-9


@dataclass(frozen=True)
class Grid:
    """Where fields are sampled, and in what.

    Attributes
    ----------
    shape_yx
        Rows and columns.
    voxel_um
        z, y and x.
    wavelength_um
        In vacuum.
    medium_index
        Refractive index of the medium.
    device
        Torch device.
    """

    shape_yx: tuple[int, int]
    voxel_um: tuple[float, float, float]
    wavelength_um: float
    medium_index: float
    device: torch.device


@dataclass(frozen=True)
class Directions:
    """Frequencies of one tilted illumination, in cycles per micrometre.

    Attributes
    ----------
    tilt
        Of the illumination, along y and x.
    y, x
        (Y, 1) and (1, X) absolute frequencies of the bins of an envelope's spectrum.
    """

    tilt: tuple[float, float]
    y: Tensor
    x: Tensor

    @property
    def squared(self) -> Tensor:
        """(Y, X) squared frequency of each bin."""
        return self.y**2 + self.x**2

    @property
    def tilt_squared(self) -> float:
        """Squared frequency of the illumination."""
        return self.tilt[0] ** 2 + self.tilt[1] ** 2


def directions(grid: Grid, na_yx: tuple[float, float]) -> Directions:
    """Frequencies of a grid under illumination from one direction (numerical apertures)."""
    if math.hypot(*na_yx) >= grid.medium_index:
        raise ConfigError(
            f"light of numerical aperture {math.hypot(*na_yx):.3g} does not enter a medium of "
            f"refractive index {grid.medium_index}; lower the aperture of the condenser"
        )
    axes = []
    for count, pixel, aperture in zip(grid.shape_yx, grid.voxel_um[1:], na_yx, strict=True):
        tilt = aperture / grid.wavelength_um
        bins = torch.fft.fftfreq(count, pixel, dtype=torch.float64) + tilt
        wrapped = bins - torch.round(bins * pixel) / pixel
        axes.append(wrapped.to(grid.device, torch.float32))
    tilt_yx = (na_yx[0] / grid.wavelength_um, na_yx[1] / grid.wavelength_um)
    return Directions(tilt_yx, axes[0][:, None], axes[1][None, :])


def propagator(directions: Directions, distance_um: float, wavenumber: float) -> Tensor:
    """Factor on the spectrum of an envelope that moves it along the axis.

    The phase is counted from that of the illumination, so that an empty field stays as it is.

    Parameters
    ----------
    directions
        Frequencies of the bins.
    distance_um
        How far to move with the light; negative against it, where evanescent light is dropped.
    wavenumber
        Refractive index over wavelength, in cycles per micrometre.

    Returns
    -------
    Tensor
        (Y, X) complex64.
    """
    limit = wavenumber**2
    squared = directions.squared
    tilt_squared = min(directions.tilt_squared, limit)
    axial = torch.sqrt((limit - squared).clamp_(min=0.0)) + math.sqrt(limit - tilt_squared)
    # The difference of two square roots, written so that it keeps its precision.
    difference = (tilt_squared - squared.clamp(max=limit)) / axial.clamp_(min=_SMALLEST)
    if distance_um >= 0:
        decay = torch.sqrt((squared - limit).clamp_(min=0.0))
        modulus = torch.exp(decay * (-2 * math.pi * distance_um))
    else:
        modulus = (squared <= limit).to(torch.float32)
    return torch.polar(modulus, difference * (2 * math.pi * distance_um))


def scattered(
    index: Tensor, grid: Grid, directions: Directions, absorption: Tensor | None = None
) -> Tensor:
    """What a volume scatters of one tilted plane wave, in the middle of its lowest slice.

    Parameters
    ----------
    index
        (Z, Y, X) float32 refractive index minus that of the medium; plane 0 on the glass, the
        last plane met first by the light.
    grid
        Sampling and medium.
    directions
        Frequencies under this illumination.
    absorption
        (Z, Y, X) float32 in 1/um, of intensity.

    Returns
    -------
    Tensor
        (Y, X) complex64, envelope of the field minus 1.
    """
    wavenumber = grid.medium_index / grid.wavelength_um
    cosine = math.sqrt(1 - directions.tilt_squared / wavenumber**2)
    path_um = grid.voxel_um[0] / cosine
    step = propagator(directions, grid.voxel_um[0], wavenumber)
    field = torch.zeros(grid.shape_yx, dtype=torch.complex64, device=grid.device)
    for plane in range(len(index) - 1, -1, -1):
        if plane < len(index) - 1:
            field = torch.fft.ifft2(torch.fft.fft2(field).mul_(step))
        phase = index[plane] * (2 * math.pi / grid.wavelength_um * path_um)
        loss = torch.ones_like(phase)
        if absorption is not None:
            loss = torch.exp(absorption[plane] * (-path_um / 2))
        screen = torch.polar(loss, phase)
        field.mul_(screen).add_(screen.sub_(1))
    return field
