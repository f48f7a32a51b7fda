"""Block bootstrap: sums, coverage of the interval, and its limits."""

import numpy as np
import pytest

from isl.evaluation.bootstrap import (
    block_means,
    block_moments,
    block_sums,
    confidence_interval,
)
from isl.evaluation.scores import mean_from_sums, moments, pearson_r, r_from_moments


def test_blocks_hold_every_pixel_once():
    image = np.arange(7.0 * 11).reshape(7, 11)
    sums = block_sums(image, 4)
    assert sums.shape == (6,)
    assert sums[0] == image[:4, :4].sum()
    assert sums[-1] == image[4:, 8:].sum()
    assert sums.sum() == image.sum()


def test_sums_of_blocks_give_the_figure_of_the_image():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(30, 30))
    prediction = truth + rng.normal(size=truth.shape)
    mask = rng.random(truth.shape) > 0.3
    sums = block_moments(prediction, truth, mask, 8)
    np.testing.assert_allclose(sums.sum(axis=0), moments(prediction, truth, mask))
    interval = confidence_interval([sums], r_from_moments)
    assert interval.value == pytest.approx(pearson_r(prediction, truth, mask).value)
    assert interval.low < interval.value < interval.high


def test_same_seed_same_interval():
    sums = [np.random.default_rng(1).random((9, 2)) + 1]
    first = confidence_interval(sums, mean_from_sums, seed=4)
    assert first == confidence_interval(sums, mean_from_sums, seed=4)
    assert first != confidence_interval(sums, mean_from_sums, seed=5)


def test_interval_of_independent_blocks_covers_the_mean():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        sums = np.stack([np.ones(60), rng.normal(2.0, 1.0, 60)], axis=-1)
        interval = confidence_interval([sums], mean_from_sums, seed=seed, resamples=300)
        hits += interval.low <= 2.0 <= interval.high
    assert 86 <= hits <= 100


def test_differences_between_fields_widen_the_interval():
    alike = [np.stack([np.ones(50), np.full(50, 1.0)], axis=-1) for _ in range(6)]
    apart = [s * [1, level] for level, s in enumerate(alike)]
    tight = confidence_interval(alike, mean_from_sums)
    wide = confidence_interval(apart, mean_from_sums)
    assert tight.high - tight.low == 0
    assert wide.value == pytest.approx(2.5)
    assert wide.high - wide.low > 1


def test_one_block_has_no_interval():
    mask = np.ones((5, 5), bool)
    interval = confidence_interval([block_means(np.eye(5), mask)], mean_from_sums)
    assert interval.value == pytest.approx(0.2)
    assert np.isnan([interval.low, interval.high]).all()


def test_nothing_counts():
    nothing = np.zeros((4, 2))
    assert np.isnan(confidence_interval([nothing], mean_from_sums).value)
    assert np.isnan(confidence_interval([], mean_from_sums).value)


def test_samples_without_a_figure_are_left_out():
    sums = np.zeros((2, 6))
    sums[0] = moments(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]))
    sums[1] = moments(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]))
    interval = confidence_interval([sums], r_from_moments)
    assert interval.high == pytest.approx(1)
