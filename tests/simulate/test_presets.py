from __future__ import annotations

import pytest

from isl.core.errors import ConfigError
from isl.simulate.presets import PRESETS, preset
from isl.simulate.scenes.scene import channels_of
from isl.simulate.settings import SimulationConfig


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert SimulationConfig.model_validate_json(PRESETS[name].model_dump_json()) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_stains_of_presets_stain_something(name):
    there = channels_of(PRESETS[name].scene)
    assert PRESETS[name].stains
    for stain in PRESETS[name].stains:
        assert set(stain.dyes) <= set(there)


@pytest.mark.parametrize("name", PRESETS)
def test_pixels_of_presets_are_fine_enough_for_the_objective(name):
    config = PRESETS[name]
    point_um = config.grid.pixel_um / config.grid.oversampling
    assert point_um <= config.light.wavelength_um / (2 * config.light.objective_na)


def test_neurons_have_the_channels_of_the_published_condition():
    config = preset("neurons")
    assert config.source_name == "PHASE_CONTRAST"
    assert config.grid.planes == 13
    names = [stain.name for stain in config.stains]
    assert names == ["DAPI_CONFOCAL", "MAP2_CONFOCAL", "NFH_CONFOCAL"]


def test_an_unknown_preset_is_told_the_others():
    with pytest.raises(ConfigError, match=r"'neuron'.*adherent, neurons"):
        preset("neuron")
