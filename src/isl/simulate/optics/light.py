"""Settings of transmitted-light microscopes: bright field, phase contrast, DIC."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from isl.core.settings import Config, NonNegative, Positive

_Length = Annotated[float, Field(gt=0)]
_DARK = 1e-6


class TransmittedLight(Config, ABC):
    """What all transmitted-light microscopes have."""

    wavelength_um: _Length = 0.55
    """Wavelength in vacuum."""
    objective_na: _Length = 0.45
    """Numerical aperture of the objective."""
    immersion_index: Annotated[float, Field(ge=1)] = 1.0
    """Refractive index between objective and glass: 1 for a dry objective."""
    source_points: Positive = 21
    """Points by which the aperture of the condenser is sampled; time grows in proportion."""

    @model_validator(mode="after")
    def _aperture_fits_the_immersion(self) -> Self:
        if self.objective_na > self.immersion_index:
            raise ValueError(
                f"objective_na is {self.objective_na}, more than immersion_index "
                f"{self.immersion_index} allows; lower the one or raise the other"
            )
        return self

    @property
    @abstractmethod
    def illumination_na(self) -> tuple[float, float]:
        """Smallest and largest numerical aperture of the light that falls on the object."""


class BrightField(TransmittedLight):
    """Köhler illumination by a filled disc."""

    name: Literal["bright-field"] = "bright-field"
    """Which microscope."""
    condenser_na: NonNegative = 0.3
    """Numerical aperture of the condenser; 0 for one plane wave."""

    @property
    def illumination_na(self) -> tuple[float, float]:
        """Smallest and largest numerical aperture of the light that falls on the object."""
        return (0.0, self.condenser_na)


class PhaseContrast(TransmittedLight):
    """Zernike's phase contrast: illumination by an annulus, whose image a ring weakens and shifts.

    The ring in the pupil covers exactly the annulus.
    """

    name: Literal["phase-contrast"] = "phase-contrast"
    """Which microscope."""
    annulus_inner_na: NonNegative = 0.12
    """Numerical aperture of the inner edge; 0 for a disc."""
    annulus_outer_na: _Length = 0.16
    """Numerical aperture of the outer edge."""
    ring_transmission: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the intensity that the ring lets pass."""
    ring_phase_rad: float = -math.pi / 2
    """Phase that the ring adds to the direct light: -pi/2 makes what has a higher refractive index
    than the medium dark (positive phase contrast), pi/2 makes it bright."""

    @property
    def condenser_na(self) -> float:
        """Numerical aperture of the outer edge of the annulus."""
        return self.annulus_outer_na

    @property
    def illumination_na(self) -> tuple[float, float]:
        """Smallest and largest numerical aperture of the light that falls on the object."""
        return (self.annulus_inner_na, self.annulus_outer_na)

    @model_validator(mode="after")
    def _annulus_is_open_and_seen(self) -> Self:
        if not self.annulus_inner_na < self.annulus_outer_na <= self.objective_na:
            raise ValueError(
                f"annulus_inner_na {self.annulus_inner_na}, annulus_outer_na "
                f"{self.annulus_outer_na} and objective_na {self.objective_na} must rise in this "
                "order: the objective has to see the whole annulus"
            )
        return self


class Dic(TransmittedLight):
    """Differential interference contrast: two copies of the image, sheared and shifted in phase."""

    name: Literal["dic"] = "dic"
    """Which microscope."""
    condenser_na: NonNegative = 0.3
    """Numerical aperture of the condenser; 0 for one plane wave."""
    shear_um: _Length = 0.3
    """Distance between the two copies."""
    shear_angle_deg: float = 45.0
    """Direction of the shear: 0 along increasing x (columns), 90 along increasing y (rows)."""
    bias_rad: float = math.pi / 2
    """Phase between the two copies; between 0 and pi, phase that rises along the shear is bright.
    Not a multiple of 2 pi, where the empty field is dark and nothing can be relative to it."""

    @property
    def shear_yx_um(self) -> tuple[float, float]:
        """Shear along y and x."""
        angle = math.radians(self.shear_angle_deg)
        return (self.shear_um * math.sin(angle), self.shear_um * math.cos(angle))

    @property
    def illumination_na(self) -> tuple[float, float]:
        """Smallest and largest numerical aperture of the light that falls on the object."""
        return (0.0, self.condenser_na)

    @model_validator(mode="after")
    def _empty_field_is_not_dark(self) -> Self:
        if abs(math.sin(self.bias_rad / 2)) < _DARK:
            raise ValueError(
                f"bias_rad is {self.bias_rad}, a multiple of 2 pi, where the empty field is dark; "
                "take pi/2"
            )
        return self
