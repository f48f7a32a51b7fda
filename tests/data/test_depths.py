import numpy as np
import pytest

from isl.data.depths import plane_depths
from isl.models.labeling import even_depths


@pytest.mark.parametrize("planes", [1, 2, 13, 60])
def test_planes_without_lengths_are_evenly_spaced(planes):
    assert np.allclose(plane_depths(planes), even_depths(planes), atol=1e-6)


def test_missing_planes_leave_a_gap():
    assert plane_depths(3, (0, 1, 4)).tolist() == [0.0, 0.25, 1.0]


def test_micrometres_count_where_both_are_known():
    assert plane_depths(3, step_um=1.0, depth_um=4.0).tolist() == [0.25, 0.5, 0.75]
    assert plane_depths(3, step_um=4.0, depth_um=4.0).tolist() == [-0.5, 0.5, 1.5]
    assert plane_depths(3, step_um=4.0).tolist() == [0.0, 0.5, 1.0]
    assert plane_depths(5, step_um=1.0, depth_um=4.0).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_single_plane_is_in_the_middle():
    assert plane_depths(1, (7.0,), step_um=1.0, depth_um=4.0).tolist() == [0.5]
