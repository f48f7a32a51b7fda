"""A camera: photons in, sixteen-bit numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HIGHEST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Camera:
    """What turns light into numbers.

    Attributes
    ----------
    offset
        Number read in the dark.
    gain
        Numbers per detected photon.
    read_noise
        Standard deviation of the electronics' noise, in photons.
    """

    offset: float = 100.0
    gain: float = 2.0
    read_noise: float = 1.6


def expose(
    photons: NDArray[np.floating], camera: Camera, random: np.random.Generator
) -> NDArray[np.uint16]:
    """Detect light with shot noise and read noise.

    Parameters
    ----------
    photons
        Expected number of photons in each pixel, any shape, 0 or more.
    camera
        Offset, gain and read noise.
    random
        Source of the noise.

    Returns
    -------
    ndarray
        Same shape, uint16, clipped at 0 and 65535.
    """
    detected = random.poisson(photons) + random.normal(0.0, camera.read_noise, photons.shape)
    numbers = np.rint(camera.offset + camera.gain * detected)
    return np.clip(numbers, 0, HIGHEST).astype(np.uint16)
