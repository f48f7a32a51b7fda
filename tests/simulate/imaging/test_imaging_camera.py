"""The camera's numbers against the light that it was given."""

import numpy as np
import pytest
from pydantic import ValidationError

from isl.core.errors import DataError
from isl.simulate.imaging.camera import Camera, expose


def photon_transfer(camera, intensities):
    """Mean and variance of evenly lit images."""
    rng = np.random.default_rng(3)
    images = [expose(np.full((150, 150), i), camera, rng).astype(float) for i in intensities]
    return np.array([i.mean() for i in images]), np.array([i.var() for i in images])


@pytest.mark.parametrize(("gain", "read_noise"), [(0.5, 4.0), (2.0, 10.0)])
def test_noise_grows_with_the_light_as_gain_and_read_noise_say(gain, read_noise):
    camera = Camera(gain=gain, read_noise_e=read_noise, photons_per_unit=1.0, offset=200)
    intensities = np.array([0.0, 20.0, 50.0, 100.0, 200.0, 400.0, 700.0, 1000.0])
    mean, variance = photon_transfer(camera, intensities)
    assert (np.abs(mean - 200 - intensities / gain) < 5 * np.sqrt(variance) / 150).all()
    # Each variance is known to about 1 %; weigh them alike.
    slope, intercept = np.polyfit(mean - 200, variance, 1, w=1 / variance)
    assert slope == pytest.approx(1 / gain, rel=0.02)
    assert intercept == pytest.approx((read_noise / gain) ** 2 + 1 / 12, rel=0.03)
    np.testing.assert_allclose(variance, slope * (mean - 200) + intercept, rtol=0.05)


def test_full_well_limits_the_electrons():
    camera = Camera(full_well_e=1000, read_noise_e=0, gain=2, offset=10, photons_per_unit=1e6)
    assert set(expose(np.ones((4, 4)), camera, np.random.default_rng(0)).ravel()) == {510}


@pytest.mark.parametrize(
    ("bits", "largest", "dtype"), [(8, 255, "uint8"), (12, 4095, "uint16"), (16, 65535, "uint16")]
)
def test_numbers_end_at_the_type(bits, largest, dtype):
    camera = Camera(bits=bits, full_well_e=1e9, photons_per_unit=1e7)
    image = expose(np.array([[0.0, 1.0]]), camera, np.random.default_rng(0))
    assert image.dtype == dtype
    assert image[0, 1] == largest == camera.largest
    assert 90 < image[0, 0] < 110


def test_dark_noise_does_not_wrap_around():
    camera = Camera(offset=0, read_noise_e=50)
    image = expose(np.zeros((40, 40)), camera, np.random.default_rng(0))
    assert image.max() < 300
    assert (image == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_same_seed_gives_the_same_bytes():
    light = np.random.default_rng(9).random((3, 8, 8)).astype(np.float32)
    images = [expose(light, Camera(), np.random.default_rng([s, 1])).tobytes() for s in (4, 4, 5)]
    assert images[0] == images[1] != images[2]


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_light_that_is_none_is_refused(wrong):
    with pytest.raises(DataError, match="has 1 negative"):
        expose(np.array([1.0, wrong]), Camera(), np.random.default_rng(0))


@pytest.mark.parametrize("wrong", [{"bits": 10}, {"gain": 0}, {"read_noise_e": -1}])
def test_impossible_cameras_are_refused(wrong):
    with pytest.raises(ValidationError):
        Camera(**wrong)


def test_settings_survive_json():
    camera = Camera(bits=12, gain=0.46)
    assert Camera.model_validate_json(camera.model_dump_json()) == camera
