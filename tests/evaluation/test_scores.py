"""Scores against known answers, scipy and scikit-image."""

import numpy as np
import pytest
from scipy.stats import norm, pearsonr
from skimage.metrics import structural_similarity

from isl.evaluation import scores


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    truth = rng.gamma(2.0, 400.0, (40, 50)).astype(np.float32)
    return truth + rng.normal(0, 300, truth.shape).astype(np.float32), truth


def test_r_equals_scipy(pair):
    prediction, truth = pair
    score = scores.pearson_r(prediction, truth)
    assert score.value == pytest.approx(pearsonr(prediction.ravel(), truth.ravel())[0], abs=1e-6)
    assert score.pixels == truth.size


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.01, 500.0), (-3.0, 60000.0)])
def test_r_is_blind_to_gain_and_offset(pair, gain, offset):
    _, truth = pair
    r = scores.pearson_r(truth.astype(np.float64) * gain + offset, truth)
    assert r.value == pytest.approx(np.sign(gain), abs=1e-9)


def test_only_the_pixels_of_the_mask_count(pair):
    prediction, truth = pair
    mask = np.zeros(truth.shape, bool)
    mask[5:25, 7:40] = True
    spoiled = np.where(mask, prediction, np.nan)
    for score in (scores.pearson_r, scores.nrmse, scores.ssim):
        inside = score(prediction, np.where(mask, truth, np.nan), mask)
        assert score(spoiled, truth, mask) == inside
        assert np.isfinite(inside.value)
        assert inside.pixels <= mask.sum()


def test_nan_truth_does_not_count(pair):
    prediction, truth = pair
    holes = truth.copy()
    holes[:, :10] = np.nan
    assert scores.pearson_r(prediction, holes) == scores.pearson_r(
        prediction, truth, np.isfinite(holes)
    )


def test_nrmse_of_the_mean_is_one(pair):
    _, truth = pair
    assert scores.nrmse(np.full_like(truth, truth.mean()), truth).value == pytest.approx(
        1, abs=1e-6
    )
    assert scores.nrmse(truth, truth).value == 0
    assert scores.nrmse(truth + 5, truth).value == pytest.approx(5 / truth.std(), rel=1e-4)


def test_ssim_equals_skimage(pair):
    prediction, truth = pair
    low, high = np.percentile(truth, (0.1, 99.9))
    expected = structural_similarity(
        truth.astype(float), prediction.astype(float), win_size=7, data_range=high - low
    )
    assert scores.ssim(prediction, truth).value == pytest.approx(expected, abs=0.002)
    assert scores.ssim(truth, truth).value == pytest.approx(1)


def test_ssim_uses_whole_windows_only(pair):
    prediction, truth = pair
    hole = np.ones(truth.shape, bool)
    hole[20, 20] = False
    assert scores.ssim(prediction, truth, hole).pixels == (40 - 6) * (50 - 6) - 49


def test_constant_images_have_no_score_but_a_reason(pair):
    image, _ = pair
    flat = np.full(image.shape, 7.3, np.float32)
    for score in (scores.pearson_r, scores.nrmse, scores.ssim):
        result = score(image, flat)
        assert np.isnan(result.value)
        assert "truth is constant" in result.reason
    result = scores.pearson_r(flat, image)
    assert np.isnan(result.value)
    assert result.reason == "the prediction is constant"
    assert np.isfinite(scores.nrmse(flat, image).value)
    assert scores.otsu_foreground(flat)[1] is None
    assert not scores.otsu_foreground(flat)[0].any()


def test_nothing_counts(pair):
    prediction, truth = pair
    nothing = np.zeros(truth.shape, bool)
    assert "fewer than two" in scores.pearson_r(prediction, truth, nothing).reason
    assert "constant" in scores.ssim(prediction, truth, nothing).reason
    assert scores.crps(truth, 1.0, nothing).reason == "no pixel counts"
    assert scores.display_range(truth, nothing) == (0, 0)


def test_ssim_of_an_image_smaller_than_its_window():
    image = np.arange(24.0).reshape(4, 6)
    assert "smaller than the 7 px window" in scores.ssim(image, image).reason


def test_foreground_is_the_bright_half():
    truth = np.zeros((20, 20))
    truth[:, 10:] = 100
    truth[0, 0] = np.nan
    foreground, threshold = scores.otsu_foreground(truth)
    assert 0 <= threshold < 100
    assert np.array_equal(foreground, truth > 50)


def test_log_score_of_the_right_normal_distribution():
    rng = np.random.default_rng(0)
    truth = rng.normal(500, 20, (200, 200))
    log_prob = norm(500, 20).logpdf(truth)
    assert scores.log_score(log_prob, 20).value == pytest.approx(1.419, abs=0.02)
    brighter = norm(5000, 200).logpdf(truth * 10)
    assert scores.log_score(brighter, 200).value == pytest.approx(
        scores.log_score(log_prob, 20).value
    )


def test_crps_is_counted_in_units():
    assert scores.crps(np.full((3, 3), 8.0), 4.0).value == 2


def test_coverage_of_the_right_interval():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, (200, 200))
    bound = np.full(truth.shape, norm.ppf(0.9))
    assert scores.coverage(truth, -bound, bound).value == pytest.approx(0.8, abs=0.01)
    truth[:100] = np.nan
    assert scores.coverage(truth, -bound, bound).pixels == truth.size // 2
