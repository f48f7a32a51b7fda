"""Microscopes for fluorescence: wide field and confocal."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from isl.core.settings import Config, NonNegative

AIRY_RADIUS = 0.61
"""Radius of the first dark ring of the Airy pattern, in wavelengths per numerical aperture."""

Length = Annotated[float, Field(gt=0)]


class Objective(Config):
    """What wide field and confocal share."""

    emission_um: Length = 0.52
    """Wavelength of the detected light in vacuum."""
    na: Length = 0.75
    """Numerical aperture of the objective."""
    immersion_index: Annotated[float, Field(ge=1)] = 1.0
    """Refractive index of the immersion; the sample is taken to have the same."""

    @model_validator(mode="after")
    def _aperture_below_index(self) -> Self:
        if self.na >= self.immersion_index:
            raise ValueError(
                f"na is {self.na} but must be below immersion_index, {self.immersion_index}; "
                "lower it or choose water (1.33) or oil (1.515)"
            )
        return self

    @property
    def lateral_fwhm_um(self) -> float:
        """Full width at half maximum of the Airy pattern, 0.51 emission_um / na."""
        return 0.5145 * self.emission_um / self.na

    @property
    def axial_fwhm_um(self) -> float:
        """Full width at half maximum along the axis, 0.88 emission_um / (n - sqrt(n^2 - na^2))."""
        n = self.immersion_index
        return float(0.886 * self.emission_um / (n - np.sqrt(n**2 - self.na**2)))


class WideField(Objective):
    """Every plane is lit, and the camera sees all of them."""

    kind: Literal["wide-field"] = "wide-field"
    """Kind of microscope."""

    @property
    def shortest_um(self) -> float:
        """Shortest wavelength that takes part in the image."""
        return self.emission_um


class Confocal(Objective):
    """A focused spot scans the field, and a pinhole keeps most light from other planes out."""

    kind: Literal["confocal"] = "confocal"
    """Kind of microscope."""
    excitation_um: Length = 0.488
    """Wavelength of the laser in vacuum."""
    pinhole_airy: NonNegative = 1.0
    """Diameter of the pinhole in Airy discs, 1.22 emission_um / na; 0 for a point."""

    @property
    def shortest_um(self) -> float:
        """Shortest wavelength that takes part in the image."""
        return min(self.emission_um, self.excitation_um)

    @property
    def pinhole_um(self) -> float:
        """Diameter of the pinhole, measured in the object."""
        return self.pinhole_airy * 2 * AIRY_RADIUS * self.emission_um / self.na


Microscope = Annotated[WideField | Confocal, Field(discriminator="kind")]
"""How fluorescence is imaged."""
