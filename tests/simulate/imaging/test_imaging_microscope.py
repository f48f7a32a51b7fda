"""Settings of the fluorescence microscopes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from isl.simulate.imaging.microscope import Confocal, Microscope, WideField


def test_aperture_needs_an_immersion():
    with pytest.raises(ValidationError, match=r"na is 1\.2 .* water"):
        WideField(na=1.2)
    assert WideField(na=1.2, immersion_index=1.33).na == 1.2


def test_pinhole_is_given_in_airy_discs():
    config = Confocal(emission_um=0.6, na=0.5, pinhole_airy=2)
    assert config.pinhole_um == pytest.approx(2 * 1.22 * 0.6 / 0.5)


@pytest.mark.parametrize("config", [WideField(na=0.4), Confocal(pinhole_airy=0.5)])
def test_settings_survive_json_and_know_their_kind(config):
    assert TypeAdapter(Microscope).validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("wrong", [{"na": 0}, {"emission_um": -1}, {"pinhole_airy": -1}])
def test_impossible_microscopes_are_refused(wrong):
    with pytest.raises(ValidationError):
        Confocal(**wrong)
