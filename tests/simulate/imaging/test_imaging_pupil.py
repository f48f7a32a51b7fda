"""The image of a point, against closed forms."""

import numpy as np
import pytest
from scipy import ndimage, special

from isl.simulate.imaging.pupil import Grid, focal_intensity, through_pinhole

GRID = Grid((128, 144), (0.1, 0.1))


def test_image_in_focus_is_the_airy_pattern():
    intensity = focal_intensity(GRID, 0.5, 0.8, 1.0, 0.0)
    r = np.arange(1, 12) * 0.1
    v = 2 * np.pi * 0.8 / 0.5 * r
    airy = (2 * special.j1(v) / v) ** 2
    np.testing.assert_allclose(intensity[0, 1:12] / intensity[0, 0], airy, atol=0.01)


def test_first_axial_zero_is_where_the_theory_says():
    config = (0.5, 0.4, 1.0)
    zero_um = 0.5 / (1 - np.sqrt(1 - 0.4**2))
    peak, dark = (focal_intensity(GRID, *config, z)[0, 0] for z in (0.0, zero_um))
    assert dark < 0.005 * peak


def test_light_is_kept_at_every_defocus_and_on_both_sides():
    images = [focal_intensity(GRID, 0.5, 1.2, 1.33, z) for z in (0.0, 1.5, -1.5, 40.0)]
    np.testing.assert_allclose([i.sum() for i in images], 1.0, rtol=1e-9)
    np.testing.assert_allclose(images[1], images[2], atol=1e-12)


def test_pinhole_averages_over_its_disc():
    intensity = focal_intensity(GRID, 0.5, 0.4, 1.0, 0.0)
    seen = through_pinhole(GRID, intensity, 2.0)
    assert seen.sum() == pytest.approx(1.0, rel=1e-6)
    y, x = np.mgrid[-10:11, -10:11]
    disc = np.clip(10.5 - np.hypot(y, x), 0, 1)
    expected = ndimage.convolve(intensity, disc / disc.sum(), mode="wrap")
    np.testing.assert_allclose(seen, expected, atol=0.02 * expected.max())
    assert through_pinhole(GRID, intensity, 0) is intensity
