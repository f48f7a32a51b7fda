from __future__ import annotations

import numpy as np
import pytest

from isl.simulate.camera import Camera, expose


def test_mean_and_variance_follow_offset_gain_and_shot_noise():
    camera = Camera(offset=100.0, gain=2.0, read_noise=3.0)
    image = expose(np.full((300, 300), 50.0), camera, np.random.default_rng(0)).astype(float)
    assert image.mean() == pytest.approx(100 + 2 * 50, rel=0.005)
    assert image.var() == pytest.approx(4 * (50 + 9), rel=0.03)


def test_numbers_stay_within_sixteen_bits():
    image = expose(np.array([0.0, 1e7]), Camera(offset=-50.0), np.random.default_rng(0))
    assert image.dtype == np.uint16
    assert image.tolist() == [0, 65535]
