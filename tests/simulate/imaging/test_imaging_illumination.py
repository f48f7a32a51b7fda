"""Uneven light has the shape that was asked for."""

import numpy as np
import pytest

from isl.simulate.imaging.illumination import dust, shading
from isl.simulate.imaging.stage import Stage

DUSTY = Stage(dust_per_mm2=3000, dust_radius_um=2.0, dust_opacity=0.8)


def light(stage, size=(64, 64), pixel_um=(0.5, 0.5), seed=0):
    return shading(stage, size, pixel_um, np.random.default_rng(seed))


def test_even_light_is_one():
    np.testing.assert_array_equal(light(Stage()), 1)


def test_vignetting_takes_its_share_in_the_corners():
    factor = light(Stage(vignetting=0.3), (41, 61))
    assert factor[20, 30] == 1
    corners = factor[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, 0.7, rtol=1e-6)
    assert (np.diff(factor[20, 30:]) < 0).all()


def test_gradient_is_linear_over_the_field():
    factor = light(Stage(gradient=(0.0, 0.4)), (5, 101))
    np.testing.assert_allclose(
        factor, np.linspace(0.8, 1.2, 101)[None] * np.ones((5, 1)), rtol=1e-6
    )


def test_dust_in_focus_only_darkens():
    factor = dust(DUSTY, (64, 64), (0.5, 0.5), np.random.default_rng(0))
    assert factor.max() == 1
    assert factor.min() < 0.5
    assert 0.5 < np.mean(factor == 1) < 1


def test_dust_out_of_focus_makes_rings_and_loses_no_more_light():
    blurred = DUSTY.model_copy(update={"dust_defocus_um": 20.0})
    sharp, rings = (
        dust(s, (64, 64), (0.5, 0.5), np.random.default_rng(0)) for s in (DUSTY, blurred)
    )
    assert rings.mean() == pytest.approx(sharp.mean(), rel=1e-9)
    assert rings.max() > 1.05
    assert rings.min() >= 0


def test_number_of_grains_follows_the_density():
    stage = Stage(dust_per_mm2=2000, dust_radius_um=0.5, dust_opacity=1.0)
    shares = [
        1
        - dust(
            stage.model_copy(update={"dust_per_mm2": d}),
            (200, 200),
            (0.5, 0.5),
            np.random.default_rng(1),
        ).mean()
        for d in (2000, 8000)
    ]
    assert shares[1] / shares[0] == pytest.approx(4, rel=0.4)


def test_the_seed_decides_the_dust():
    assert light(DUSTY, seed=3).tobytes() == light(DUSTY, seed=3).tobytes()
    assert light(DUSTY, seed=3).tobytes() != light(DUSTY, seed=4).tobytes()
