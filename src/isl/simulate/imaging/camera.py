"""A camera: intensity in, noisy whole numbers out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from isl.core.errors import DataError
from isl.core.settings import Config, NonNegative


class Camera(Config):
    """What turns light into numbers."""

    bits: Literal[8, 12, 16] = 16
    """Bits of a number; 8 are stored as uint8, 12 and 16 as uint16."""
    photons_per_unit: Annotated[float, Field(gt=0)] = 1000.0
    """Detected photons of a pixel for an intensity of 1: light, exposure and efficiency."""
    full_well_e: Annotated[float, Field(gt=0)] = 30000.0
    """Electrons that a pixel holds; more are lost."""
    gain: Annotated[float, Field(gt=0)] = 1.0
    """Electrons per unit of the number that is read."""
    offset: NonNegative = 100.0
    """Number read in the dark."""
    read_noise_e: NonNegative = 1.6
    """Standard deviation of the electronics' noise, in electrons."""

    @property
    def largest(self) -> int:
        """Largest number that can be read: 255, 4095 or 65535."""
        return int(2**self.bits - 1)


def expose(
    intensity: NDArray[np.floating], camera: Camera, rng: np.random.Generator
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Detect light with shot noise and read noise.

    Below saturation the mean is ``offset + photons_per_unit * intensity / gain`` and the variance
    ``(mean - offset) / gain + (read_noise_e / gain) ** 2 + 1 / 12``, the last from rounding.

    Parameters
    ----------
    intensity
        Any shape, at least 0.
    camera
        Exposure, noise and bits.
    rng
        Source of the noise.

    Returns
    -------
    ndarray
        Same shape, uint8 for 8 bits, else uint16; from 0 to ``camera.largest``.

    Raises
    ------
    DataError
        If the intensity is negative, infinite or undefined somewhere.

    Examples
    --------
    >>> camera = Camera(bits=12)
    >>> expose(np.full(2, 1000.0), camera, np.random.default_rng(0)).tolist()
    [4095, 4095]
    """
    _check_intensity(intensity)
    photons = np.asarray(intensity, dtype=np.float64) * camera.photons_per_unit
    electrons = np.minimum(rng.poisson(photons), camera.full_well_e)
    electrons = electrons + rng.normal(0.0, camera.read_noise_e, photons.shape)
    numbers = np.clip(np.rint(camera.offset + electrons / camera.gain), 0, camera.largest)
    return numbers.astype(np.uint8) if camera.bits == 8 else numbers.astype(np.uint16)


def _check_intensity(intensity: NDArray[Any]) -> None:
    wrong = int(np.count_nonzero(~(np.isfinite(intensity) & (intensity >= 0))))
    if wrong:
        raise DataError(
            f"intensity has {wrong} negative, infinite or undefined pixels; "
            "a camera needs at least 0: clip the image first"
        )
