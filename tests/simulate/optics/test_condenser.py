"""Points of the condenser: even, symmetric, always the same."""

import numpy as np
import pytest

from isl.simulate.optics.condenser import condenser_points


@pytest.mark.parametrize("count", [1, 2, 5, 20, 21, 100])
def test_a_disc_gets_as_many_points_as_asked_within_it(count):
    points = condenser_points(0.0, 0.3, count)
    assert points.shape == (count, 2)
    assert np.hypot(*points.T).max() < 0.3


@pytest.mark.parametrize(("count", "made"), [(1, 2), (20, 20), (21, 22)])
def test_an_annulus_has_no_middle(count, made):
    radius = np.hypot(*condenser_points(0.2, 0.3, count).T)
    assert len(radius) == made
    assert radius.min() > 0.2
    assert radius.max() < 0.3


@pytest.mark.parametrize("inner", [0.0, 0.2])
def test_each_point_has_its_opposite(inner):
    points = condenser_points(inner, 0.3, 21)
    distance = np.linalg.norm(points[:, None] + points[None], axis=2)
    assert distance.min(axis=1).max() == 0


def test_no_aperture_is_one_plane_wave():
    np.testing.assert_array_equal(condenser_points(0.0, 0.0, 21), [[0, 0]])


@pytest.mark.parametrize("inner", [0.0, 0.7])
def test_points_are_even_in_area_and_apart(inner):
    count = 100
    points = condenser_points(inner, 1.0, count)
    # Mean of the squares along any axis is that of the aperture: (inner^2 + outer^2) / 4.
    np.testing.assert_allclose(points.T @ points / count, np.eye(2) * (1 + inner**2) / 4, atol=0.01)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(count)
    spacing = np.sqrt(np.pi * (1 - inner**2) / count)
    assert distance.min() > 0.45 * spacing
    assert distance.min(axis=1).max() < 1.6 * spacing
