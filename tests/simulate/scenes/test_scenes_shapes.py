"""Shapes become columns and voxels without aliasing."""

import numpy as np
import pytest

from isl.simulate.scenes.columns import Columns, Grid, mean_chord
from isl.simulate.scenes.relief import Ground, settle
from isl.simulate.scenes.shapes import Blob, Strand, balls

BALL_UM3 = 4 / 3 * np.pi * 3**3


def volume_um3(shape, pixel_um, spacing_um=0.5):
    side = round(12 / pixel_um)
    grid = Grid((side, side), (pixel_um, pixel_um))
    share = shape.columns(grid).coverage(round(12 / spacing_um), spacing_um)
    return float(share.sum()) * pixel_um**2 * spacing_um


@pytest.mark.parametrize("pixel_um", [1.5, 0.5, 0.25])
@pytest.mark.parametrize("spacing_um", [3.0, 0.5])
def test_balls_keep_their_volume_whatever_the_voxel(pixel_um, spacing_um):
    for y in (6.0, 6.13):
        blob = Blob((y, 6.0), 3.0, 6.0, base_um=1.0)
        strand = balls(np.array([[4.0, y, 6.0]]), np.array([3.0]))
        for shape in (blob, strand):
            found = volume_um3(shape, pixel_um, spacing_um)
            assert found == pytest.approx(BALL_UM3, rel=0.04)


def test_a_tube_thinner_than_a_pixel_keeps_its_volume():
    ends = np.array([[2.0, 5.9, 1.0]]), np.array([[2.0, 5.9, 11.0]])
    tube = Strand(*ends, np.array([0.2]), np.array([0.2]))
    assert volume_um3(tube, 1.0) == pytest.approx(np.pi * 0.2**2 * 10, rel=0.08)


def test_the_mean_chord_is_the_mean_of_chords():
    distance, radius, width = 0.8, 1.0, 0.5
    fine = np.linspace(distance - width / 2, distance + width / 2, 200001)
    chords = np.sqrt(np.clip(radius**2 - fine**2, 0, None))
    assert mean_chord(np.array(distance), radius, width) == pytest.approx(chords.mean(), rel=1e-4)


def test_where_capsules_overlap_they_count_once():
    start = np.array([[3.0, 6.0, 2.0], [3.0, 6.0, 5.0]])
    end = np.array([[3.0, 6.0, 7.0], [3.0, 6.0, 10.0]])
    two = Strand(start, end, np.ones(2), np.ones(2))
    one = Strand(start[:1], end[1:], np.ones(1), np.ones(1))
    assert volume_um3(two, 0.25) == pytest.approx(volume_um3(one, 0.25), rel=1e-6)


def test_shapes_beyond_the_grid_have_no_columns():
    grid = Grid((8, 8), (1.0, 1.0))
    assert not Blob((-20.0, 4.0), 3.0, 6.0).columns(grid).pixels.size
    assert not balls(np.array([[3.0, 4.0, 40.0]]), np.array([2.0])).columns(grid).pixels.size


def test_a_cut_shape_is_the_part_of_the_whole_one():
    large, small = Grid((24, 24), (0.5, 0.5), (-6.0, -6.0)), Grid((12, 12), (0.5, 0.5))
    for shape in (Blob((0.0, 0.0), 3.0, 6.0, stretch=0.4), balls(np.zeros((1, 3)), np.ones(1))):
        whole, part = np.zeros(24 * 24), np.zeros(12 * 12)
        for grid, image in ((large, whole), (small, part)):
            columns = shape.columns(grid)
            image[columns.pixels] = columns.top_um - columns.bottom_um
        assert part.reshape(12, 12) == pytest.approx(whole.reshape(24, 24)[12:, 12:])


def test_a_part_is_cut_to_what_it_is_in():
    grid = Grid((12, 12), (1.0, 1.0))
    cell = Blob((6.0, 6.0), 5.0, 4.0).columns(grid)
    inner = Blob((9.0, 6.0), 4.0, 9.0).columns(grid).within(cell, 0.1)
    assert inner.pixels.size
    at = np.searchsorted(cell.pixels, inner.pixels)
    assert (inner.bottom_um >= cell.bottom_um[at] + 0.1).all()
    assert (inner.top_um <= cell.top_um[at] - 0.1).all()
    nothing = Columns(*(np.empty(0, dtype=t) for t in (np.int64, float, float, bool)))
    assert not inner.within(nothing, 0.1).pixels.size


def test_things_settle_on_each_other():
    ground = Ground.flat((40.0, 40.0), 5.0, 1.0)
    first = settle(Blob((20.0, 20.0), 8.0, 4.0, spreading=1.0), ground, 20.0, draping=1.0)
    second = settle(Blob((20.0, 22.0), 4.0, 4.0), ground, 20.0, draping=0.0)
    grid = Grid((80, 80), (0.5, 0.5))
    assert first.columns(grid).bottom_um.min() == 0.0
    assert second.columns(grid).bottom_um.min() > 2.0
    third = settle(Blob((20.0, 22.0), 4.0, 4.0), ground, 5.0, draping=1.0)
    assert third.columns(grid).top_um.max() <= 5.0 + 1e-6
