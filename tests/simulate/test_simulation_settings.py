from __future__ import annotations

import pytest

from isl.core.errors import ConfigError
from isl.simulate.presets import preset
from isl.simulate.settings import with_changes

ADHERENT = preset("adherent")


def test_changes_are_merged():
    changed = with_changes(ADHERENT, {"grid": {"planes": 5}, "light": {"condenser_na": 0.2}})
    assert (changed.grid.planes, changed.grid.pixel_um) == (5, ADHERENT.grid.pixel_um)
    assert changed.light.condenser_na == 0.2
    assert changed.light.objective_na == ADHERENT.light.objective_na


def test_an_absent_kind_of_cells_begins_with_its_defaults():
    changed = with_changes(ADHERENT, {"scene": {"dead": {"density_per_mm2": 50}}})
    assert (changed.scene.dead.density_per_mm2, changed.scene.dead.radius_um) == (50, 3.6)


def test_another_microscope_begins_with_its_defaults():
    changed = with_changes(ADHERENT, {"light": {"name": "phase-contrast"}})
    assert changed.source_name == "PHASE_CONTRAST"
    confocal = {"NUCLEI": {"microscope": {"kind": "confocal"}}}
    changed = with_changes(ADHERENT, {"stains": confocal})
    assert changed.stains[0].microscope.pinhole_airy == 1.0


def test_stains_are_changed_removed_and_added_by_name():
    changed = with_changes(
        ADHERENT,
        {
            "stains": {
                "NUCLEI": {"camera": {"bits": 8}},
                "CYTOPLASM": None,
                "LIPID": {"dyes": {"LIPID": 1}},
            }
        },
    )
    assert [(s.name, s.camera.bits) for s in changed.stains] == [("NUCLEI", 8), ("LIPID", 16)]


def test_size_in_pixels():
    assert ADHERENT.resized((30, 41)).size_yx == (30, 41)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gird": {}}, "gird is no parameter; did you mean grid"),
        ({"grid": {"plane": 3}}, r"grid\.plane is no parameter; did you mean plane"),
        ({"light": {"zoom": 3}}, r"light\.zoom is no parameter; there are: .*objective_na"),
        ({"grid": {"planes": 0}}, r"grid\.planes: input should be greater than 0, not 0"),
        ({"stains": {"NUCLEI": {"camera": {"bits": 9}}}}, r"stains\.NUCLEI\.camera\.bits"),
        ({"bleed_through": {"NUCLEI": {"GFP": 0.1}}}, "names GFP, but the stains are NUCLEI"),
        ({"stage": {"missing_channels": ["GFP"]}}, "missing_channels names GFP"),
        ({"stains": [{"name": "BRIGHTFIELD", "dyes": {}}]}, "a name of its own"),
    ],
)
def test_what_makes_no_sense_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        with_changes(ADHERENT, changes)
