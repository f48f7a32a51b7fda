from __future__ import annotations

import numpy as np
import pytest

from isl.core.errors import ConfigError
from isl.simulate.acquisition import acquire
from isl.simulate.presets import PRESETS

EMPTY = {"scene": {"adherent": None, "debris": None}}
NO_NOISE = {"read_noise_e": 0, "full_well_e": 1e9, "photons_per_unit": 1e4}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_a_field(quick, name):
    config = quick(name)
    taken = acquire(config, 1)
    assert taken.source.shape == (3, 24, 32)
    assert {t.shape for t in taken.targets.values()} == {(1, 24, 32)}
    assert taken.truth.cells.shape == taken.truth.nuclei.shape == (24, 32)
    assert set(np.unique(taken.truth.cells)) - {0} <= set(taken.truth.classes)


def test_the_same_seed_gives_the_same_field_and_another_does_not(quick):
    config = quick("neurons")
    first, again, other = (acquire(config, seed) for seed in (3, 3, 4))
    for name, pixels in first.channels.items():
        np.testing.assert_array_equal(pixels, again.channels[name])
    assert (first.source != other.source).any()


def test_an_empty_dish_is_even_light_with_shot_noise(quick):
    taken = acquire(quick(changes=EMPTY), 0)
    electrons = taken.source.astype(float) - 100
    assert electrons.mean() == pytest.approx(6000, rel=0.01)
    assert electrons.var() == pytest.approx(6000, rel=0.1)
    assert taken.truth.cells.max() == 0


def test_nuclei_are_bright_where_their_labels_are(quick):
    config = quick(changes={"scene": {"adherent": {"density_per_mm2": 3000}}}, size_yx=(64, 64))
    taken = acquire(config, 2)
    image, inside = taken.targets["NUCLEI"][0].astype(float), taken.truth.nuclei > 0
    assert inside.any()
    assert image[inside].mean() > 2 * image[~inside].mean()


def test_source_and_labels_lie_on_each_other(quick):
    """Light absorbs nothing here, but what refracts it changes it there."""
    changes = {"scene": {"adherent": {"density_per_mm2": 1500}}, "camera": NO_NOISE}
    taken = acquire(quick(changes=changes, size_yx=(96, 96)), 5)
    contrast = np.abs(taken.source[0] / 10000.0 - 1.01)
    inside = taken.truth.cells > 0
    assert inside.any()
    assert (~inside).any()
    assert contrast[inside].mean() > 1.5 * contrast[~inside].mean()


def test_a_shift_of_fluorescence_moves_targets_and_nothing_else(quick):
    crowded = {"scene": {"adherent": {"density_per_mm2": 3000}}}
    by = {**crowded, "stage": {"lateral_offset_um": (0.0, 2.0)}}
    still, moved = acquire(quick(changes=crowded), 7), acquire(quick(changes=by), 7)
    np.testing.assert_array_equal(still.source, moved.source)
    a = still.targets["CYTOPLASM"][0, :, :-4].astype(float)
    b = moved.targets["CYTOPLASM"][0, :, 4:].astype(float)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


def test_missing_planes_and_channels(quick):
    stage = {"missing_planes": [1], "missing_channels": ["CYTOPLASM"]}
    taken = acquire(quick(changes={"stage": stage}), 0)
    assert taken.missing_planes == (1,)
    assert not taken.source[1].any()
    assert taken.source[0].all()
    assert list(taken.targets) == ["NUCLEI"]


def test_stacks_of_targets_and_other_bits(quick):
    camera = {"bits": 8, "photons_per_unit": 10, "offset": 5}
    stain = {"projection": "none", "camera": camera}
    taken = acquire(quick(changes={"stains": {"NUCLEI": stain}}), 0)
    assert taken.targets["NUCLEI"].shape == (3, 24, 32)
    assert taken.targets["NUCLEI"].dtype == np.uint8


def test_oversampling_bins_light_and_keeps_labels(quick):
    config = quick("neurons")
    fine = quick("neurons", {"grid": {"oversampling": 2}})
    taken, better = acquire(config, 1), acquire(fine, 1)
    assert better.source.shape == taken.source.shape
    agree = (better.truth.cells == taken.truth.cells).mean()
    assert agree > 0.7


def test_a_tilted_focus_changes_the_sides_and_not_the_middle(quick):
    changes = {"camera": NO_NOISE | {"photons_per_unit": 1e6, "gain": 100.0}}
    tilt = {**changes, "stage": {"tilt_um_per_mm": (0.0, 200.0)}}
    flat, tilted = acquire(quick(changes=changes), 1), acquire(quick(changes=tilt), 1)
    change = np.abs(flat.source.astype(float) - tilted.source)[1].mean(axis=0)
    assert change[:4].mean() > 3 * change[15:17].mean()


def test_mixed_projections_cannot_bleed_through(quick):
    changes = {
        "stains": {"NUCLEI": {"projection": "none"}},
        "bleed_through": {"NUCLEI": {"CYTOPLASM": 0.1}},
    }
    with pytest.raises(ConfigError, match="same projection"):
        acquire(quick(changes=changes), 0)


def test_lines_are_counted_from_the_field_and_touch_it(quick):
    taken = acquire(quick("neurons", size_yx=(60, 60)), 2)
    assert taken.truth.lines
    for line in taken.truth.lines:
        yx = line.zyx_um[:, 1:]
        assert ((yx >= 0) & (yx < 30)).all(axis=1).any()


def test_a_field_of_view_has_all_channels(quick):
    fov = acquire(quick(), 6).fov()
    assert fov.name == "S6"
    assert [(c.name, c.planes, c.modality) for c in fov.channels] == [
        ("BRIGHTFIELD", 3, "brightfield"),
        ("NUCLEI", 1, "fluorescence"),
        ("CYTOPLASM", 1, "fluorescence"),
    ]


def test_a_seed_below_zero_is_refused(quick):
    with pytest.raises(ConfigError, match="seed is -1"):
        acquire(quick(), -1)
