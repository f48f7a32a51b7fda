"""Best single plane and mean image."""

import numpy as np
import pytest

from isl.evaluation.controls import best_plane, control_sums, mean_image
from isl.evaluation.scores import pearson_r


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (70, 90))
    source = rng.normal(0, 10, (4, 70, 90))
    source[2] -= truth
    return source, truth, np.ones(truth.shape, bool)


def test_best_plane_counts_the_absolute_correlation(images):
    source, truth, mask = images
    score = best_plane([control_sums(source, truth, mask)])
    assert score.plane == 2
    assert score.is_negative
    assert score.interval.value == pytest.approx(-pearson_r(source[2], truth).value)
    assert score.interval.low < score.interval.value < score.interval.high


def test_mean_image_is_the_mean_of_the_planes(images):
    source, truth, mask = images
    score = mean_image([control_sums(source, truth, mask)])
    assert score.interval.value == pytest.approx(-pearson_r(source.mean(axis=0), truth).value)
    assert score.plane is None


def test_one_plane_is_its_own_mean(images):
    source, truth, mask = images
    sums = [control_sums(source[2:3], truth, mask)]
    assert best_plane(sums).interval == mean_image(sums).interval


def test_plane_is_chosen_over_all_fields(images):
    source, truth, mask = images
    other = source.copy()
    other[0] += 0.1 * truth
    score = best_plane([control_sums(s, truth, mask) for s in (source, other)])
    assert score.plane == 2
    assert score.pixels == 2 * truth.size


def test_constant_source_has_no_score(images):
    _, truth, mask = images
    score = best_plane([control_sums(np.ones((2, 70, 90)), truth, mask)])
    assert np.isnan(score.interval.value)
