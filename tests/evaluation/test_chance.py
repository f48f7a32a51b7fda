"""What luck would give."""

import numpy as np
from scipy.ndimage import gaussian_filter

from isl.evaluation.chance import chance_level
from isl.evaluation.scores import pearson_r


def image(seed, sigma=2, shape=(96, 128)):
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)


def test_a_perfect_prediction_moved_elsewhere_is_chance():
    chance = chance_level([(image(0), image(0))])
    assert abs(chance.value) < 0.05
    assert chance.low < 0 < chance.high < 0.3


def test_unrelated_images_lie_within_chance():
    inside = 0
    for seed in range(20):
        chance = chance_level([(image(seed), image(seed + 100))], shifts=50)
        inside += chance.low <= pearson_r(image(seed), image(seed + 100)).value <= chance.high
    assert inside >= 15


def test_coarse_structures_leave_more_to_chance_and_several_fields_less():
    fine, coarse = (chance_level([(image(0, s), image(1, s))]) for s in (1, 12))
    assert coarse.high - coarse.low > 2 * (fine.high - fine.low)
    several = chance_level([(image(i, 12), image(i + 50, 12)) for i in range(0, 8)])
    assert several.high - several.low < coarse.high - coarse.low


def test_pixels_without_truth_and_constant_images():
    truth = image(1)
    truth[:, :20] = np.nan
    assert np.isfinite(chance_level([(image(0), truth)], shifts=5).value)
    assert np.isnan(chance_level([(np.ones((8, 8)), np.ones((8, 8)))], shifts=5).value)
    assert np.isnan(chance_level([]).value)
