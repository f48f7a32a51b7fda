"""Images against what theory says of them; see also test_weak_objects.py."""

import math

import numpy as np
import pytest
import torch
from scipy.special import j0

from isl.core.errors import ConfigError, DataError
from isl.simulate.optics.transmitted import BrightField, Dic, PhaseContrast, image_stack

MEDIUM = 1.34
VOXEL = (0.5, 0.25, 0.25)
MIDDLE_UM = VOXEL[0] / 2
"""Height at which one slice acts."""
BRIGHT = BrightField(objective_na=0.6, condenser_na=0.3, immersion_index=MEDIUM, source_points=9)
LIGHTS = [BRIGHT, PhaseContrast(source_points=6), Dic(source_points=5)]
WAVELENGTH = BRIGHT.wavelength_um


def radius_um(shape=(64, 64), pixel=VOXEL[1]):
    y, x = (np.arange(n) * pixel - n // 2 * pixel for n in shape)
    return np.hypot(y[:, None], x[None])


def thin(phase):
    """One slice that delays light along the axis by a phase."""
    return phase[None] * WAVELENGTH / (2 * np.pi * VOXEL[0])


def ball(planes=8, contrast=0.03):
    z = (np.arange(planes) + 0.5 - planes / 2)[:, None, None] * VOXEL[0]
    return contrast * np.exp(-(z**2 + radius_um((48, 48))[None] ** 2) / 2)


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 15, 21)])
def test_an_empty_field_is_exactly_one(light, shape):
    stack = image_stack(np.zeros(shape), VOXEL, MEDIUM, [-3.0, 0.0, 40.0], light)
    assert stack.dtype == np.float32
    assert stack.shape == (3, *shape[1:])
    assert (stack == 1).all()


def test_a_full_pupil_loses_no_energy():
    light = BRIGHT.model_copy(update={"objective_na": 1.1})
    index = ball(contrast=0.05)
    stack = image_stack(index, VOXEL, MEDIUM, [-4.0, 2.0, 8.0], light)
    assert np.abs(stack - 1).max() > 0.3
    np.testing.assert_allclose(stack.mean(axis=(1, 2)), 1, atol=2e-4)


def test_absorbed_light_is_missing():
    absorption = np.full((4, 8, 8), 0.1)
    stack = image_stack(
        np.zeros((4, 8, 8)),
        VOXEL,
        MEDIUM,
        [0.0],
        BrightField(condenser_na=0),
        absorption=absorption,
    )
    np.testing.assert_allclose(stack, np.exp(-0.1 * 4 * VOXEL[0]), rtol=1e-5)


def test_contrast_of_a_phase_object_reverses_through_focus_and_vanishes_in_focus():
    phase = 0.02 * np.exp(-(radius_um() ** 2) / 2)
    foci = [MIDDLE_UM - 2, MIDDLE_UM, MIDDLE_UM + 2]
    below, within, above = image_stack(thin(phase), VOXEL, MEDIUM, foci, BRIGHT) - 1
    assert np.abs(within).max() < 0.01 * np.abs(below).max()
    assert np.abs(below + above).max() < 0.05 * np.abs(below).max()
    # What delays light collects it on the side of the objective, below.
    assert below[32, 32] == below.max() > 0.003
    assert above[32, 32] == above.min() < -0.003


@pytest.mark.parametrize("light", [BRIGHT, PhaseContrast(immersion_index=MEDIUM, source_points=4)])
def test_a_higher_object_is_in_focus_higher_up(light):
    spot = thin(0.3 * np.exp(-(radius_um() ** 2)))[0]
    volume = np.zeros((9, 64, 64))
    volume[0], raised = spot, volume.copy()
    raised[0], raised[8] = 0, spot
    low = image_stack(volume, VOXEL, MEDIUM, [-1.0, 1.5], light)
    high = image_stack(raised, VOXEL, MEDIUM, [3.0, 5.5], light)
    np.testing.assert_allclose(low, high, atol=2e-4)
    assert np.abs(low[0] - low[1]).max() > 0.02


def test_a_dry_objective_focuses_at_the_same_height_but_for_its_aberration():
    absorption = np.zeros((41, 64, 64))
    absorption[40] = np.exp(-(radius_um() ** 2) / 0.1)
    height = 40.5 * VOXEL[0]
    foci = [height - 2, height - 1, height, height + 1, height + 2]
    light = BrightField(objective_na=0.4, condenser_na=0.2, source_points=9)
    stack = image_stack(absorption * 0, VOXEL, MEDIUM, foci, light, absorption=absorption)
    sharpness = (1 - stack)[:, 32, 32]
    assert sharpness.argmax() == 2


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("transmission", [0.25, 1.0])
def test_phase_contrast_of_a_small_disc_has_the_analytic_sign_and_size(sign, transmission):
    """Zernike's case: light along the axis, and a spot of the pupil for a ring.

    The amplitude in the middle of a disc of radius R, seen through a pupil of radius F (cycles
    per micrometre), is 1 - J0(2 pi R F); so its share beside the spot is
    J0(2 pi R F_spot) - J0(2 pi R F), and the image is 1 + 2 phi share sin(psi) / sqrt(T).
    """
    phi, disc_um, spot_na, pixel, side = 0.003, 1.5, 0.05, 0.25, 256
    fine = radius_um((side * 8, side * 8), pixel / 8) <= disc_um
    # Areas of the disc on pixels that are centred where the fine ones are.
    disc = np.roll(fine, (4, 4), (0, 1)).reshape(side, 8, side, 8).mean(axis=(1, 3))
    light = PhaseContrast(
        objective_na=0.6,
        immersion_index=MEDIUM,
        annulus_inner_na=0,
        annulus_outer_na=spot_na,
        ring_transmission=transmission,
        ring_phase_rad=sign * math.pi / 2,
        source_points=1,
    )
    image = image_stack(thin(phi * disc), VOXEL, MEDIUM, [MIDDLE_UM], light)[0]
    spot, edge = (
        2 * np.pi * disc_um * na / light.wavelength_um for na in (spot_na, light.objective_na)
    )
    expected = 2 * phi * (j0(spot) - j0(edge)) * sign / math.sqrt(transmission)
    assert image[side // 2, side // 2] - 1 == pytest.approx(expected, rel=0.03)


def test_phase_contrast_makes_dense_things_dark_by_default():
    phase = 0.1 * np.exp(-(radius_um() ** 2))
    image = image_stack(thin(phase), VOXEL, MEDIUM, [MIDDLE_UM], PhaseContrast())[0]
    assert image[32, 32] < 0.9


def dic(**settings):
    return Dic(objective_na=1.1, immersion_index=MEDIUM, source_points=5, **settings)


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_dic_shows_the_gradient_along_the_shear(angle):
    """A weak smooth phase: I = 1 + cot(bias / 2) shear . grad(phi)."""
    pixel, phi = VOXEL[1], 0.02
    phase = phi * np.exp(-(radius_um() ** 2) / 8)
    light = dic(shear_angle_deg=angle, shear_um=0.2, bias_rad=1.2)
    image = image_stack(thin(phase), VOXEL, MEDIUM, [MIDDLE_UM], light)[0] - 1
    gradient_y, gradient_x = np.gradient(phase, pixel)
    along = light.shear_yx_um[0] * gradient_y + light.shear_yx_um[1] * gradient_x
    expected = along / math.tan(light.bias_rad / 2)
    np.testing.assert_allclose(image, expected, atol=0.04 * np.abs(expected).max())


@pytest.mark.parametrize("other", [{"shear_angle_deg": 180.0}, {"bias_rad": -1.2}])
def test_dic_reverses_with_the_shear_and_with_the_bias(other):
    phase = 0.02 * np.exp(-(radius_um() ** 2) / 8)
    settings = {"shear_angle_deg": 0.0, "bias_rad": 1.2}
    first, second = (
        image_stack(thin(phase), VOXEL, MEDIUM, [MIDDLE_UM], dic(**given))[0] - 1
        for given in (settings, settings | other)
    )
    assert np.abs(first + second).max() < 0.02 * np.abs(first).max()


@pytest.mark.parametrize("condenser_na", [0.0, 0.2, 0.4])
def test_resolution_ends_at_the_sum_of_the_apertures(condenser_na):
    """Absorption gratings along the first pair of directions of the condenser, and a bit more."""
    light = BrightField(objective_na=0.4, condenser_na=condenser_na, source_points=200)
    limit = (light.objective_na + condenser_na) / light.wavelength_um
    pixels, pixel = 64, 0.2
    step = 1 / (pixels * pixel)
    x = np.arange(pixels) * pixel
    contrast = {}
    for cycles in (math.floor(limit / step * 0.93), math.ceil(limit / step * 1.02)):
        grating = np.tile(0.01 * (1 + np.cos(2 * np.pi * cycles * step * x)), (1, 8, 1))
        image = image_stack(
            grating * 0, (0.5, pixel, pixel), MEDIUM, [MIDDLE_UM], light, absorption=grating
        )[0]
        contrast[cycles * step < limit] = abs(np.fft.fft(image[0])[cycles]) * 2 / pixels
    assert contrast[True] > 1e-5
    # What is left beyond is of second order in the absorption.
    assert contrast[False] < 1e-7 + contrast[True] / 50


def test_images_repeat_and_follow_a_shift_of_the_object():
    index = ball()
    light = PhaseContrast(source_points=4)
    first, again = (image_stack(index, VOXEL, MEDIUM, [1.0], light) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    shifted = image_stack(np.roll(index, (5, -3), (1, 2)), VOXEL, MEDIUM, [1.0], light)
    np.testing.assert_allclose(np.roll(first, (5, -3), (1, 2)), shifted, atol=1e-5)


def test_arrays_tensors_and_empty_planes_on_top_give_the_same():
    index = ball().astype(np.float32)
    more = np.concatenate([index, np.zeros((3, *index.shape[1:]), np.float32)])
    first = image_stack(index, VOXEL, MEDIUM, [1.0], BRIGHT)
    np.testing.assert_array_equal(
        first, image_stack(torch.from_numpy(more), VOXEL, MEDIUM, [1.0], BRIGHT)
    )


def test_progress_counts_source_points():
    seen = []
    image_stack(np.zeros((1, 8, 8)), VOXEL, MEDIUM, [0.0], BRIGHT, progress=seen.append)
    assert [(p.done, p.total, p.unit) for p in seen] == [
        (i, 9, "source point") for i in range(1, 10)
    ]


@pytest.mark.gpu
@pytest.mark.parametrize("light", LIGHTS)
def test_a_gpu_sees_the_same(light):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    here, there = (
        image_stack(ball(), VOXEL, MEDIUM, [0.0, 3.0], light, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "error", "named"),
    [
        ({"index": np.zeros((8, 8))}, DataError, "must be \\(Z, Y, X\\)"),
        ({"index": np.zeros((0, 8, 8))}, DataError, "not empty"),
        ({"index": np.full((1, 8, 8), np.nan)}, DataError, "finite"),
        ({"absorption": np.zeros((2, 8, 8))}, DataError, "that of index"),
        ({"absorption": np.full((1, 8, 8), -1.0)}, DataError, "at least 0"),
        ({"voxel_um": (0.0, 0.2, 0.2)}, ConfigError, "voxel_um"),
        ({"voxel_um": (0.5, 0.2, 0.7)}, ConfigError, "take at most 0.458 um"),
        ({"medium_index": 0.9}, ConfigError, "medium_index"),
        ({"focus_um": []}, ConfigError, "at least one"),
        ({"focus_um": [float("nan")]}, ConfigError, "finite height"),
        ({"light": BrightField(condenser_na=1.4)}, ConfigError, "does not enter a medium"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, error, named):
    asked = {
        "index": np.zeros((1, 8, 8)),
        "voxel_um": VOXEL,
        "medium_index": MEDIUM,
        "focus_um": [0.0],
        "light": BRIGHT,
        "absorption": None,
    }
    if "voxel_um" in changed:
        asked["light"] = BrightField(objective_na=0.6)
    with pytest.raises(error, match=named):
        image_stack(**(asked | changed))


def test_a_condenser_that_the_objective_does_not_see_is_refused():
    light = BrightField(objective_na=0.05, condenser_na=1.2, source_points=2)
    with pytest.raises(ConfigError, match="no light of the condenser"):
        image_stack(np.zeros((1, 8, 8)), VOXEL, MEDIUM, [0.0], light)
