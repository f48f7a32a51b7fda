from __future__ import annotations

import itertools

import numpy as np
import pytest

from isl.simulate.shapes import blob_height, grow_specimen, scatter_cells, smooth_noise


@pytest.fixture(scope="module")
def specimen():
    return grow_specimen((160, 200), 9, 0.5, np.random.default_rng(3))


def test_every_material_lies_in_its_cell(specimen):
    inside = specimen.cell_labels > 0
    for thickness in (specimen.cytoplasm_um, specimen.nucleus_um, specimen.nucleoli_um):
        assert thickness.min() >= 0
        assert not thickness[~inside].any()
    assert not specimen.nucleoli_um[specimen.nucleus_labels == 0].any()


def test_a_nucleus_has_the_number_of_its_cell(specimen):
    nuclear = specimen.nucleus_labels > 0
    np.testing.assert_array_equal(specimen.nucleus_labels[nuclear], specimen.cell_labels[nuclear])
    np.testing.assert_array_equal(nuclear, specimen.nucleus_um + specimen.nucleoli_um > 0)


def test_labels_count_the_cells(specimen):
    numbers = np.unique(specimen.cell_labels)
    assert specimen.cell_labels.dtype == np.int32
    assert 0 in numbers
    assert set(numbers) <= set(range(10))
    assert len(numbers) >= 9  # a cell at the edge may be hidden by a thicker one


def test_no_cells_give_an_empty_layer():
    empty = grow_specimen((20, 20), 0, 0.5, np.random.default_rng(0))
    assert not empty.cell_labels.any()
    assert not empty.cytoplasm_um.any()


def test_centres_keep_their_distance_where_there_is_room():
    centres = scatter_cells((200.0, 200.0), 8, 30.0, np.random.default_rng(0))
    for (y0, x0), (y1, x1) in itertools.combinations(centres, 2):
        assert np.hypot(y1 - y0, x1 - x0) >= 30.0


def test_crowded_centres_are_all_placed():
    assert len(scatter_cells((20.0, 20.0), 40, 30.0, np.random.default_rng(0))) == 40


def test_a_dome_is_highest_at_its_centre_and_zero_outside():
    yx = (np.arange(41.0)[:, None], np.arange(41.0)[None, :])
    dome = blob_height(yx, (20.0, 20.0), 10.0, 0.0, np.random.default_rng(0))
    assert dome[20, 20] == dome.max() == 1.0
    assert dome[20, 31] == 0.0
    assert dome[20, 26] == pytest.approx(0.8)


def test_smooth_noise_has_unit_spread():
    noise = smooth_noise((64, 64), 3.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0.0, abs=1e-12)
    assert noise.std() == pytest.approx(1.0)
