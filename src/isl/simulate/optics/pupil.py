r"""What an objective does to the directions of light.

The pupil passes :math:`\lambda |g| \le NA` and multiplies

- in bright field by 1;
- in phase contrast by :math:`\sqrt T e^{i \psi}` on the ring, of transmission :math:`T` and phase
  :math:`\psi`, and by 1 beside it;
- in DIC by :math:`i \sin(b / 2 + \pi f \cdot \Delta)`, which is half the difference of two copies
  of the envelope, sheared by :math:`\pm \Delta / 2` and shifted in phase by :math:`\pm b / 2`.  The
  prism of the condenser splits the light by the same shear beforehand, so that the bias is the same
  for every direction of illumination and :math:`f = g - k` enters [1]_.

References
----------
.. [1] Preza, C., Snyder, D. L. and Conchello, J.-A. (1999). Theoretical development and
   experimental evaluation of imaging models for differential-interference-contrast microscopy.
   J. Opt. Soc. Am. A 16, 2185-2199.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isl.simulate.optics.light import Dic, PhaseContrast, TransmittedLight
from isl.simulate.optics.multislice import Directions


def pupil(light: TransmittedLight, directions: Directions) -> Tensor:
    """Factor of the objective on the spectrum of an envelope.

    Parameters
    ----------
    light
        The microscope.
    directions
        Frequencies of the bins.

    Returns
    -------
    Tensor
        (Y, X) complex64.
    """
    squared = directions.squared * light.wavelength_um**2
    passed = (squared <= light.objective_na**2).to(torch.complex64)
    if isinstance(light, PhaseContrast):
        amplitude = math.sqrt(light.ring_transmission)
        phase = light.ring_phase_rad
        ring = complex(amplitude * math.cos(phase), amplitude * math.sin(phase))
        inside = squared <= light.annulus_outer_na**2
        return torch.where(inside & (squared >= light.annulus_inner_na**2), passed * ring, passed)
    if isinstance(light, Dic):
        shear_y, shear_x = light.shear_yx_um
        y, x = directions.y - directions.tilt[0], directions.x - directions.tilt[1]
        phase_yx = light.bias_rad / 2 + math.pi * (shear_y * y + shear_x * x)
        return passed * torch.sin(phase_yx) * 1j
    return passed


def direct_light(light: TransmittedLight, directions: Directions) -> complex:
    """Factor of the objective on the light that the object leaves as it is."""
    axis_y, axis_x = (torch.tensor([[tilt]], dtype=torch.float64) for tilt in directions.tilt)
    return complex(pupil(light, Directions(directions.tilt, axis_y, axis_x)).item())
