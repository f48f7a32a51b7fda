r"""Stacks of transmitted-light images of a volume of refractive index.

The condenser is a set of points that do not interfere [1]_: for each, a tilted plane wave goes
through the volume (`isl.simulate.optics.multislice`) and through the pupil of the objective
(`isl.simulate.optics.pupil`), and the intensities add up:

.. math:: I(r; d) = \frac{\sum_k |P(k) + s_k(r; d)|^2}{\sum_k |P(k)|^2},

relative to the empty field.  Focusing on the height :math:`d` above the glass changes the path in
the immersion of index :math:`n_i` by :math:`-d\, n_i / n`; the objective is corrected for the glass
itself.  For :math:`n_i = n` this is exact refocusing in the medium, else the usual spherical
aberration of the mismatch comes with it [2]_.

For a weak thin object :math:`t = 1 + i\varphi - \mu` the image is linear [3]_:

.. math:: \hat I(f) = \delta(f) + i [C(f) - C^*(-f)] \hat\varphi(f)
          - [C(f) + C^*(-f)] \hat\mu(f), \qquad
          C(f) = \frac{\sum_k P(k + f) P^*(k)}{\sum_k |P(k)|^2},

with the defocus as a part of :math:`P`; in bright field and in focus the phase vanishes by
symmetry.  In phase contrast, with :math:`A = \sqrt T e^{i\psi}` on the ring, the middle of a small
weak disc of phase :math:`\varphi` is

.. math:: I = |1 + i \varphi (q_o / A + q_r)|^2 \approx 1 + 2 \varphi q_o \sin\psi / \sqrt T,

where :math:`q_o` and :math:`q_r` are the shares of the middle's amplitude that go beside and
through the ring: light scattered by the object into the ring does not contribute.

Limits: scalar waves; no reflections; no apodisation of the objective; monochromatic.  Intensity is
sampled at points, so frequencies above those of the grid fold back, unless
:math:`2\,(NA_o + NA_c)` times the pixel is at most the wavelength.

References
----------
.. [1] Born, M. and Wolf, E. Principles of Optics, 7th ed., section 10.6.
.. [2] Gibson, S. F. and Lanni, F. (1991). Experimental test of an analytical model of aberration
   in an oil-immersion objective lens. J. Opt. Soc. Am. A 8, 1601-1613.
.. [3] Streibl, N. (1985). Three-dimensional imaging by a microscope. J. Opt. Soc. Am. A 2,
   121-127.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.errors import ConfigError, DataError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.simulate.optics.condenser import condenser_points
from isl.simulate.optics.light import BrightField, Dic, PhaseContrast, TransmittedLight
from isl.simulate.optics.multislice import Directions, Grid, directions, propagator, scattered
from isl.simulate.optics.pupil import direct_light, pupil

__all__ = [
    "BrightField",
    "Dic",
    "PhaseContrast",
    "TransmittedLight",
    "image_stack",
    "transmitted_field",
]

_Volume = NDArray[np.floating] | Tensor
_ROUNDING = 1e-9


def image_stack(
    index: _Volume,
    voxel_um: tuple[float, float, float],
    medium_index: float,
    focus_um: Sequence[float],
    light: TransmittedLight,
    *,
    absorption: _Volume | None = None,
    device: str = "cpu",
    progress: ProgressCallback = silent,
) -> NDArray[np.float32]:
    """Images of a volume at several heights of focus.

    Time is proportional to pixels, to planes of the volume plus heights, and to source points; one
    source point is held in memory at a time.

    Parameters
    ----------
    index
        (Z, Y, X) refractive index minus that of the medium; plane 0 lies on the glass, on the side
        of the objective; light falls from above.  The edges are periodic in y and x.
    voxel_um
        z, y and x.
    medium_index
        Refractive index of the medium.
    focus_um
        Heights of focus above the glass, the lower face of plane 0.
    light
        The microscope.
    absorption
        (Z, Y, X) in 1/um, of intensity; None where nothing absorbs.
    device
        Torch device, such as ``"cpu"`` or ``"cuda"``.
    progress
        Told after each source point.

    Returns
    -------
    ndarray
        (heights, Y, X) float32 intensity, exactly 1 where there is nothing.

    Raises
    ------
    DataError
        The volume is not three-dimensional or finite, or the absorption does not fit it.
    ConfigError
        The heights or the medium make no sense, or the pixels are too large for the aperture.

    Examples
    --------
    >>> stack = image_stack(np.zeros((3, 32, 32)), (1.0, 0.3, 0.3), 1.34, [0.0], BrightField())
    >>> stack.shape, float(stack.min()), float(stack.max())
    ((1, 32, 32), 1.0, 1.0)
    """
    volume, loss, grid = _checked(
        index, absorption, voxel_um, medium_index, light.wavelength_um, device
    )
    heights = _checked_heights(focus_um)
    _check_sampling(grid, light)
    points = condenser_points(*light.illumination_na, light.source_points)
    stack = torch.zeros((len(heights), *grid.shape_yx), device=grid.device)
    empty = 0.0
    for done, (na_y, na_x) in enumerate(points.tolist(), 1):
        lit = directions(grid, (na_y, na_x))
        direct = direct_light(light, lit)
        field = scattered(volume, grid, lit, loss)
        _add_images(stack, field, direct, heights, light, grid, lit)
        empty += abs(direct) ** 2
        progress(Progress(done, len(points), "source point"))
    if empty < _ROUNDING:
        raise ConfigError(
            "no light of the condenser enters the objective: raise objective_na or lower the "
            "aperture of the condenser"
        )
    images: NDArray[np.float32] = (stack / empty + 1).cpu().numpy()
    return images


def transmitted_field(
    index: _Volume,
    voxel_um: tuple[float, float, float],
    medium_index: float,
    wavelength_um: float,
    direction_na: tuple[float, float] = (0.0, 0.0),
    *,
    absorption: _Volume | None = None,
    device: str = "cpu",
) -> NDArray[np.complex64]:
    """Complex field of one plane wave behind a volume, at the glass and before any objective.

    Parameters
    ----------
    index
        (Z, Y, X) refractive index minus that of the medium; plane 0 lies on the glass, light
        falls from above.
    voxel_um
        z, y and x.
    medium_index
        Refractive index of the medium.
    wavelength_um
        In vacuum.
    direction_na
        Direction of the wave along y and x, as numerical apertures.
    absorption
        (Z, Y, X) in 1/um, of intensity; None where nothing absorbs.
    device
        Torch device.

    Returns
    -------
    ndarray
        (Y, X) complex64 relative to the same wave in the empty medium; a phase above 0 is a delay.

    Raises
    ------
    DataError
        The volume is not three-dimensional or finite, or the absorption does not fit it.
    ConfigError
        Light of this direction does not enter the medium.
    """
    volume, loss, grid = _checked(index, absorption, voxel_um, medium_index, wavelength_um, device)
    lit = directions(grid, direction_na)
    field = scattered(volume, grid, lit, loss)
    down = propagator(lit, voxel_um[0] / 2, medium_index / wavelength_um)
    at_glass = torch.fft.ifft2(torch.fft.fft2(field) * down) + 1
    behind: NDArray[np.complex64] = at_glass.cpu().numpy()
    return behind


def _add_images(
    stack: Tensor,
    field: Tensor,
    direct: complex,
    heights: Sequence[float],
    light: TransmittedLight,
    grid: Grid,
    lit: Directions,
) -> None:
    """Add the intensities of one source point, less that of the empty field."""
    in_medium = grid.medium_index / grid.wavelength_um
    in_immersion = light.immersion_index / grid.wavelength_um
    spectrum = torch.fft.fft2(field)
    spectrum *= propagator(lit, grid.voxel_um[0] / 2, in_medium) * pupil(light, lit)
    for image, height in zip(stack, heights, strict=True):
        moved_um = -height * light.immersion_index / grid.medium_index
        seen = torch.fft.ifft2(spectrum * propagator(lit, moved_um, in_immersion))
        # |a + s|^2 - |a|^2, so that small contrasts do not drown in rounding.
        image += seen.real**2 + seen.imag**2
        image += 2 * (direct.real * seen.real + direct.imag * seen.imag)


def _checked(
    index: _Volume,
    absorption: _Volume | None,
    voxel_um: tuple[float, float, float],
    medium_index: float,
    wavelength_um: float,
    device: str,
) -> tuple[Tensor, Tensor | None, Grid]:
    """The volume and its absorption as float32 tensors, without empty planes on top."""
    if min(voxel_um) <= 0 or medium_index < 1 or wavelength_um <= 0:
        raise ConfigError(
            f"voxel_um {voxel_um} and wavelength_um {wavelength_um} must be above 0, and "
            f"medium_index {medium_index} at least 1"
        )
    place = torch.device(device)
    volume = torch.as_tensor(index).detach().to(place, torch.float32)
    if volume.ndim != 3 or not volume.numel() or not bool(torch.isfinite(volume).all()):
        raise DataError(
            f"index has shape {tuple(volume.shape)} but must be (Z, Y, X), not empty, and finite"
        )
    loss = (
        None
        if absorption is None
        else torch.as_tensor(absorption).detach().to(place, torch.float32)
    )
    if loss is not None and (loss.shape != volume.shape or not bool((loss >= 0).all())):
        raise DataError(
            f"absorption has shape {tuple(loss.shape)} but must have that of index, "
            f"{tuple(volume.shape)}, and be at least 0 and finite"
        )
    grid = Grid((volume.shape[1], volume.shape[2]), voxel_um, wavelength_um, medium_index, place)
    top = _first_above(volume, loss)
    return volume[:top], None if loss is None else loss[:top], grid


def _first_above(volume: Tensor, loss: Tensor | None) -> int:
    """Number of planes up to the highest with anything in it, at least 1."""
    filled = volume.flatten(1).any(dim=1)
    if loss is not None:
        filled |= loss.flatten(1).any(dim=1)
    return int(filled.nonzero().max()) + 1 if bool(filled.any()) else 1


def _checked_heights(focus_um: Sequence[float]) -> list[float]:
    heights = [float(height) for height in focus_um]
    if not heights or not all(math.isfinite(height) for height in heights):
        raise ConfigError(f"focus_um is {heights}; give at least one finite height")
    return heights


def _check_sampling(grid: Grid, light: TransmittedLight) -> None:
    largest = grid.wavelength_um / (2 * light.objective_na)
    if max(grid.voxel_um[1:]) > largest * (1 + _ROUNDING):
        raise ConfigError(
            f"pixels of {max(grid.voxel_um[1:])} um are too large for objective_na "
            f"{light.objective_na}: take at most {largest:.3g} um, or a smaller aperture"
        )
