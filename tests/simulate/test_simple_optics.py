from __future__ import annotations

import numpy as np
import pytest

from isl.simulate.simple_optics import Microscope, blur, bright_field_stack, propagate

SCOPE = Microscope()


@pytest.fixture
def bump_um() -> np.ndarray:
    """Weak phase object: a thousandth of a wavelength high at its centre."""
    y, x = np.mgrid[:64, :64] - 32.0
    return 5e-4 * np.exp(-(y**2 + x**2) / (2 * 3.0**2))


def contrast(image: np.ndarray) -> float:
    return float(image[32, 32] - 1)


@pytest.mark.parametrize("distance_um", [-20.0, 0.0, 3.0, 250.0])
def test_propagation_keeps_the_energy(distance_um):
    random = np.random.default_rng(0)
    field = random.standard_normal((32, 48)) + 1j * random.standard_normal((32, 48))
    moved = propagate(field, distance_um, SCOPE)
    assert np.sum(np.abs(moved) ** 2) == pytest.approx(np.sum(np.abs(field) ** 2), rel=1e-12)


def test_propagation_there_and_back_is_the_identity():
    field = np.exp(1j * np.random.default_rng(1).standard_normal((32, 32)))
    np.testing.assert_allclose(propagate(propagate(field, 7.0, SCOPE), -7.0, SCOPE), field)


def test_evanescent_waves_are_lost():
    fine = Microscope(pixel_um=0.1)
    checkerboard = (-1.0) ** np.add.outer(np.arange(16), np.arange(16)) + 0j
    assert np.abs(propagate(checkerboard, 1.0, fine)).max() < 1e-12


def test_contrast_of_a_weak_phase_object_vanishes_in_focus_and_reverses(bump_um):
    below, focus, above = map(contrast, bright_field_stack(bump_um, [-4.0, 0.0, 4.0], SCOPE))
    assert abs(focus) < 0.05 * abs(above)
    assert below * above < 0
    assert below == pytest.approx(-above, rel=0.05)


def test_a_denser_object_is_a_lens_that_brightens_the_planes_behind_it(bump_um):
    (behind,) = bright_field_stack(bump_um, [4.0], SCOPE)
    assert contrast(behind) > 0


def test_no_object_gives_intensity_one():
    stack = bright_field_stack(np.zeros((32, 48)), [-3.0, 5.0], SCOPE)
    np.testing.assert_allclose(stack, 1.0, rtol=1e-12)


def test_mean_intensity_stays_one_within_the_aperture(bump_um):
    stack = bright_field_stack(100 * bump_um, [-6.0, 0.0, 6.0], SCOPE)
    np.testing.assert_allclose(stack.mean(axis=(1, 2)), 1.0, atol=1e-3)


def test_partial_coherence_lowers_the_contrast_far_from_focus(bump_um):
    coherent = bright_field_stack(bump_um, [25.0], Microscope(condenser_aperture=0))
    partial = bright_field_stack(bump_um, [25.0], Microscope(condenser_aperture=0.2, tilts=8))
    assert partial.std() < coherent.std()


def test_blur_keeps_the_sum_and_widens_in_micrometres():
    point = np.zeros((41, 41))
    point[20, 20] = 1.0
    wide = blur(point, sigma_um=2.0, pixel_um=1.0)
    y = np.arange(41) - 20.0
    assert wide.sum() == pytest.approx(1.0)
    assert (wide.sum(1) * y**2).sum() == pytest.approx(4.0, rel=0.05)
