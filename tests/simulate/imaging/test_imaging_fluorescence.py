"""Point-spread functions against theory, and images against the light that went in."""

import numpy as np
import pytest
from pydantic import ValidationError

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.simulate.imaging.fluorescence import (
    Confocal,
    WideField,
    bleed_through,
    image_stack,
    max_projection,
    psf,
)

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


def test_image_of_one_voxel_is_the_psf():
    volume, voxel_um = np.zeros((3, 32, 32), np.float32), (0.8, 0.3, 0.3)
    volume[1, 16, 16] = 1
    stack = image_stack(volume, voxel_um, [0.4, 1.2, 2.0], WideField())
    expected = 0.8 * psf(WideField(), voxel_um, (3, 32, 32))
    np.testing.assert_allclose(stack, expected, atol=1e-6)


def test_wide_field_planes_have_the_light_of_the_volume():
    volume = np.random.default_rng(1).random((4, 24, 40)).astype(np.float32)
    stack = image_stack(volume, (1.0, 0.5, 0.5), [-5.0, 0.0, 2.3, 30.0], WideField())
    np.testing.assert_allclose(stack.sum(axis=(1, 2)), volume.sum() * 1.0, rtol=1e-5)
    assert stack.dtype == np.float32


def test_brightness_does_not_depend_on_the_sampling_along_z():
    fine, coarse = np.ones((20, 16, 16)), np.ones((4, 16, 16))
    config = Confocal(na=0.75)
    images = [image_stack(v, (10 / len(v), 0.5, 0.5), [4.0], config).mean() for v in (fine, coarse)]
    assert images[0] == pytest.approx(images[1], rel=0.01)


def test_image_is_sharpest_where_the_object_is():
    volume = np.zeros((8, 24, 24), np.float32)
    volume[5, ::6, ::6] = 1
    stack = image_stack(volume, (1.5, 0.4, 0.4), [(k + 0.5) * 1.5 for k in range(8)], WideField())
    assert int(stack.std(axis=(1, 2)).argmax()) == 5


def test_stack_reports_progress_and_leaves_the_dark_dark():
    seen = []
    stack = image_stack(
        np.ones((2, 8, 8)), (1.0, 0.5, 0.5), [1.0], WideField(), progress=seen.append
    )
    assert [p.done for p in seen] == [1]
    assert seen[0].total == 1
    assert stack.min() > 0
    assert not image_stack(np.zeros((2, 8, 8)), (1.0, 0.5, 0.5), [1.0], WideField()).any()


@pytest.mark.parametrize(
    "volume",
    [np.ones((8, 8)), np.ones((0, 8, 8)), np.full((1, 8, 8), np.nan), -np.ones((1, 8, 8))],
)
def test_volumes_that_cannot_be_imaged_are_refused(volume):
    with pytest.raises(DataError, match="fluorophore"):
        image_stack(volume, (1.0, 0.5, 0.5), [0.0], WideField())


def test_voxels_and_heights_must_make_sense():
    with pytest.raises(ConfigError, match="voxel_um"):
        image_stack(np.ones((1, 8, 8)), (0.0, 0.5, 0.5), [0.0], WideField())
    with pytest.raises(ConfigError, match="focus_um"):
        image_stack(np.ones((1, 8, 8)), (1.0, 0.5, 0.5), [], WideField())


def test_aperture_needs_an_immersion():
    with pytest.raises(ValidationError, match=r"na is 1\.2 .* water"):
        WideField(na=1.2)
    assert WideField(na=1.2, immersion_index=1.33).na == 1.2


def test_projection_takes_the_brightest():
    stack = np.array([[[1.0, 5.0]], [[3.0, 2.0]]])
    assert max_projection(stack).tolist() == [[3.0, 5.0]]
    with pytest.raises(DataError, match="projection"):
        max_projection(stack[0])


def test_bleed_through_is_the_matrix():
    rng = np.random.default_rng(0)
    stains = {name: rng.random((3, 5)) for name in "ABC"}
    matrix = {"A": {"B": 0.2, "C": 0.05}, "C": {"A": 0.1, "C": 0.9}}
    seen = bleed_through(stains, matrix)
    assert list(seen) == ["A", "B", "C"]
    full = np.array([[1, 0.2, 0.05], [0, 1, 0], [0.1, 0, 0.9]])
    expected = np.einsum("cs,syx->cyx", full, np.stack(list(stains.values())))
    np.testing.assert_allclose(np.stack(list(seen.values())), expected, rtol=1e-6)


def test_bleed_through_names_what_is_missing():
    image = {"A": np.ones((2, 2))}
    with pytest.raises(ChannelError, match="'B'"):
        bleed_through(image, {"A": {"B": 0.1}})
    with pytest.raises(ConfigError, match="into A"):
        bleed_through(image, {"A": {"A": -0.1}})
