"""Point-spread functions against theory."""

import numpy as np
import pytest

from isl.core.errors import ConfigError
from isl.simulate.imaging.microscope import Confocal, WideField
from isl.simulate.imaging.point_spread import psf, voxel_image

OBJECTIVES = [(0.52, 0.45, 1.0), (0.6, 0.75, 1.0), (0.52, 1.3, 1.515)]


def full_width(profile, spacing):
    """Width at half of the maximum of a peak in the middle of a profile, interpolated."""
    centre = int(np.argmax(profile))
    right = profile[centre:] / profile[centre]
    below = int(np.argmax(right < 0.5))
    crossing = below - 1 + (right[below - 1] - 0.5) / (right[below - 1] - right[below])
    return 2 * crossing * spacing


def lateral_width(config):
    spacing = config.emission_um / config.na / 20
    plane = psf(config, (0.01, spacing, spacing), (1, 96, 96))[0]
    return full_width(plane[48, :], spacing)


def axial_width(config):
    lateral, step = config.emission_um / config.na / 12.5, config.axial_fwhm_um / 12
    stack = psf(config, (step, lateral, lateral), (19, 250, 250))
    return full_width(stack[:, 125, 125], step)


@pytest.mark.parametrize(("emission", "na", "index"), OBJECTIVES)
def test_wide_field_width_is_that_of_the_airy_pattern(emission, na, index):
    config = WideField(emission_um=emission, na=na, immersion_index=index)
    assert lateral_width(config) == pytest.approx(0.51 * emission / na, rel=0.05)


@pytest.mark.parametrize(("emission", "na", "index"), OBJECTIVES)
def test_wide_field_depth_is_that_of_the_aperture(emission, na, index):
    config = WideField(emission_um=emission, na=na, immersion_index=index)
    theory = 0.88 * emission / (index - np.sqrt(index**2 - na**2))
    assert axial_width(config) == pytest.approx(theory, rel=0.05)


def test_confocal_with_a_point_pinhole_is_narrower_by_the_root_of_two():
    wide = WideField(emission_um=0.52, na=0.75)
    confocal = Confocal(emission_um=0.52, excitation_um=0.52, na=0.75, pinhole_airy=0)
    assert lateral_width(confocal) == pytest.approx(lateral_width(wide) / np.sqrt(2), rel=0.05)
    assert axial_width(confocal) == pytest.approx(axial_width(wide) / np.sqrt(2), rel=0.05)


def test_confocal_with_an_open_pinhole_is_as_wide_as_the_laser_spot():
    config = Confocal(emission_um=0.52, excitation_um=0.488, na=0.75, pinhole_airy=6)
    assert lateral_width(config) == pytest.approx(0.51 * 0.488 / 0.75, rel=0.05)


@pytest.mark.parametrize("size", [(40, 48), (33, 17)])
def test_wide_field_loses_no_light_out_of_focus(size):
    stack = psf(WideField(na=0.75), (2.0, 0.4, 0.5), (9, *size))
    np.testing.assert_allclose(stack.sum(axis=(1, 2)), 1.0, rtol=1e-5)
    assert stack.min() >= 0
    assert stack[0].max() < 0.2 * stack[4].max()


def test_confocal_sees_little_of_other_planes_and_a_wider_pinhole_sees_more():
    sums = [
        psf(Confocal(pinhole_airy=d), (2.0, 0.4, 0.4), (5, 32, 32)).sum(axis=(1, 2))
        for d in (0.0, 1.0, 3.0)
    ]
    assert all(s[0] < s[1] < s[2] for s in sums)
    assert sums[0][0] < sums[1][0] < sums[2][0] < 0.5


def test_psf_is_symmetric_around_its_centre():
    stack = psf(WideField(), (0.8, 0.3, 0.3), (5, 33, 33))
    np.testing.assert_allclose(stack, stack[::-1], atol=1e-7)
    np.testing.assert_allclose(stack, stack[:, ::-1, ::-1], atol=1e-7)
    assert np.unravel_index(stack.argmax(), stack.shape) == (2, 16, 16)


def test_coarse_pixels_gather_the_light_of_fine_ones():
    config = WideField(na=0.75)
    fine = psf(config, (1.0, 0.1, 0.1), (1, 165, 165))[0]
    coarse = psf(config, (1.0, 0.5, 0.5), (1, 33, 33))[0]
    np.testing.assert_allclose(
        fine.reshape(33, 5, 33, 5).sum(axis=(1, 3)), coarse, atol=0.01 * coarse.max()
    )


def test_thick_voxels_average_thin_ones():
    config, size = Confocal(na=0.75), (24, 24)
    thick = voxel_image(config, (4.0, 0.4, 0.4), 0.0, size)
    thin = [voxel_image(config, (0.25, 0.4, 0.4), z, size) for z in np.arange(-1.875, 2, 0.25)]
    np.testing.assert_allclose(np.mean(thin, axis=0), thick, atol=0.02 * thick.max())


def test_voxels_have_a_size():
    with pytest.raises(ConfigError, match="voxel_um"):
        psf(WideField(), (1.0, -0.1, 0.1), (1, 8, 8))
