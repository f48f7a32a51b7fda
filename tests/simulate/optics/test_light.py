"""Settings of the microscopes."""

import math

import pytest
from pydantic import ValidationError

from isl.simulate.optics.light import BrightField, Dic, PhaseContrast, TransmittedLight


@pytest.mark.parametrize("light", [BrightField(), PhaseContrast(), Dic()])
def test_settings_travel_as_json(light):
    assert type(light).model_validate_json(light.model_dump_json()) == light
    assert isinstance(light, TransmittedLight)


def test_apertures_of_the_illumination():
    assert BrightField(condenser_na=0.2).illumination_na == (0.0, 0.2)
    assert Dic(condenser_na=0.2).illumination_na == (0.0, 0.2)
    light = PhaseContrast(annulus_inner_na=0.1, annulus_outer_na=0.2)
    assert light.illumination_na == (0.1, 0.2)
    assert light.condenser_na == 0.2


def test_shear_along_y_and_x():
    shear = Dic(shear_um=0.4, shear_angle_deg=90).shear_yx_um
    assert shear == pytest.approx((0.4, 0.0))


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        (BrightField, {"objective_na": 1.2}, "immersion_index"),
        (BrightField, {"condenser_na": -0.1}, "condenser_na"),
        (BrightField, {"source_points": 0}, "source_points"),
        (BrightField, {"condenser": 0.1}, "condenser"),
        (PhaseContrast, {"annulus_inner_na": 0.3}, "annulus_inner_na"),
        (PhaseContrast, {"annulus_outer_na": 0.6}, "objective has to see"),
        (PhaseContrast, {"ring_transmission": 0.0}, "ring_transmission"),
        (Dic, {"bias_rad": 2 * math.pi}, "multiple of 2 pi"),
        (Dic, {"shear_um": 0.0}, "shear_um"),
    ],
)
def test_senseless_settings_are_refused(kind, settings, named):
    with pytest.raises(ValidationError, match=named):
        kind(**settings)
