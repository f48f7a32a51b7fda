"""How far a prediction is from the truth: pure functions on images and masks of pixels that count.

Scores of the predicted value (`pearson_r`, `nrmse`, `ssim`) and of the predicted distribution
(`log_score`, `crps`, `coverage`). A figure that does not exist, such as the correlation
with a constant image, is NaN and says why; it is never a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]
SSIM_WINDOW_PX = 7
DISPLAY_PERCENTILES = (0.1, 99.9)
_CONSTANT = 1e-13  # share of the mean square below which a variance is rounding error


@dataclass(frozen=True)
class Score:
    """One figure.

    Attributes
    ----------
    value
        NaN where the figure does not exist.
    pixels
        Number of pixels it was computed on.
    reason
        Why the value is NaN; empty otherwise.
    """

    value: float
    pixels: int
    reason: str = ""


def moment_images(
    prediction: FloatArray, truth: FloatArray, mask: BoolArray
) -> Iterator[NDArray[np.float64]]:
    """Yield the six images whose sums determine r and NRMSE.

    Parameters
    ----------
    prediction, truth
        (Y, X) images; values outside the mask may be NaN.
    mask
        (Y, X), True where a pixel counts.

    Yields
    ------
    ndarray
        1, p, t, p^2, t^2 and p t as (Y, X) float64, zero outside the mask.
    """
    p = np.where(mask, prediction, 0.0).astype(np.float64)
    t = np.where(mask, truth, 0.0).astype(np.float64)
    yield mask.astype(np.float64)
    yield p
    yield t
    yield p * p
    yield t * t
    yield p * t


def moments(
    prediction: FloatArray, truth: FloatArray, mask: BoolArray | None = None
) -> NDArray[np.float64]:
    """Sums (n, p, t, p^2, t^2, p t) over the pixels that count, as (6,) float64."""
    counted = _mask(truth, mask)
    return np.array([image.sum() for image in moment_images(prediction, truth, counted)])


def r_from_moments(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation from (..., 6) sums; NaN where either image is constant or empty."""
    n, p, t, pp, tt, pt = np.moveaxis(sums, -1, 0)
    var_p, var_t = _variance(n, p, pp), _variance(n, t, tt)
    product = var_p * var_t
    exists = product > 0
    r = (n * pt - p * t) / np.sqrt(np.where(exists, product, 1.0))
    return np.where(exists, np.clip(r, -1.0, 1.0), np.nan)


def nrmse_from_moments(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square error over the truth's standard deviation, from (..., 6) sums."""
    n, _, t, pp, tt, pt = np.moveaxis(sums, -1, 0)
    var_t = _variance(n, t, tt)
    exists = var_t > 0
    squares = np.maximum(pp - 2.0 * pt + tt, 0.0) * n
    return np.where(exists, np.sqrt(squares / np.where(exists, var_t, 1.0)), np.nan)


def mean_from_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean from (..., 2) sums of (n, value); NaN where n is zero."""
    n, total = np.moveaxis(sums, -1, 0)
    return np.where(n > 0, total / np.where(n > 0, n, 1.0), np.nan)


def pearson_r(prediction: FloatArray, truth: FloatArray, mask: BoolArray | None = None) -> Score:
    """Pearson correlation, ``cov(p, t) / (std(p) std(t))``, in [-1, 1]; 1 is best.

    Blind to gain and offset: a prediction that is right up to a linear map has r = 1.

    Parameters
    ----------
    prediction, truth
        (Y, X) images in any unit.
    mask
        (Y, X), True where a pixel counts; pixels with a finite truth by default.

    Returns
    -------
    Score
        NaN where fewer than two pixels count or either image is constant on them.

    References
    ----------
    K. Pearson, Proc. R. Soc. Lond. 58, 240 (1895).

    Examples
    --------
    >>> pearson_r(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0]])).value
    1.0
    """
    sums = moments(prediction, truth, mask)
    return Score(float(r_from_moments(sums)), int(sums[0]), why_no_r(sums))


def nrmse(prediction: FloatArray, truth: FloatArray, mask: BoolArray | None = None) -> Score:
    """Root mean square error divided by the standard deviation of the truth; 0 is best.

    ``sqrt(mean((p - t)^2)) / std(t)``, in [0, inf). Predicting the mean everywhere scores 1, so
    a figure above 1 is worse than that constant. Parameters as for `pearson_r`.
    NaN where the truth is constant or no pixel counts; a constant prediction has a score.
    """
    sums = moments(prediction, truth, mask)
    value = float(nrmse_from_moments(sums))
    return Score(value, int(sums[0]), why_no_r(sums) if np.isnan(value) else "")


def why_no_r(sums: NDArray[np.float64]) -> str:
    """Reason why no correlation follows from (6,) sums; empty where one does."""
    n, p, t, pp, tt, _ = sums
    if n < 2:
        return "fewer than two pixels count"
    if _variance(n, t, tt) == 0:
        return "the truth is constant"
    return "the prediction is constant" if _variance(n, p, pp) == 0 else ""


def display_range(truth: FloatArray, mask: BoolArray | None = None) -> tuple[float, float]:
    """Return the 0.1 and 99.9 percentiles of the pixels that count; (0, 0) if there are none."""
    values = truth[_mask(truth, mask)]
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, DISPLAY_PERCENTILES)
    return float(low), float(high)


def ssim_map(
    prediction: FloatArray, truth: FloatArray, mask: BoolArray | None = None
) -> tuple[NDArray[np.float64], BoolArray, str]:
    """Structural similarity at every pixel whose whole window counts.

    Parameters
    ----------
    prediction, truth, mask
        As for `pearson_r`.

    Returns
    -------
    similarity
        (Y, X) float64 in [-1, 1].
    valid
        (Y, X), True where all 7 x 7 pixels of the window count.
    reason
        Why there is no map (then it is all zero and nothing is valid); empty otherwise.
    """
    from scipy.ndimage import binary_erosion
    from skimage.metrics import structural_similarity

    counted = _mask(truth, mask)
    nothing = np.zeros(truth.shape), np.zeros(truth.shape, bool)
    low, high = display_range(truth, counted)
    if min(truth.shape) < SSIM_WINDOW_PX:
        return *nothing, f"the region is smaller than the {SSIM_WINDOW_PX} px window"
    if not high > low:
        return *nothing, "the truth is constant between its 0.1 and 99.9 percentiles"
    valid = binary_erosion(counted, np.ones((SSIM_WINDOW_PX, SSIM_WINDOW_PX), bool))
    if not valid.any():
        return *nothing, f"no window of {SSIM_WINDOW_PX} x {SSIM_WINDOW_PX} px counts as a whole"
    # numbers near 1: the sums of float32 counts of a 16-bit camera lose digits otherwise
    p, t = (np.where(counted, (a - low) / (high - low), 0.0) for a in (prediction, truth))
    options: dict[str, Any] = {"win_size": SSIM_WINDOW_PX, "data_range": 1.0, "full": True}
    similarity = structural_similarity(t.astype(np.float64), p.astype(np.float64), **options)[1]
    return similarity, valid, ""


def ssim(prediction: FloatArray, truth: FloatArray, mask: BoolArray | None = None) -> Score:
    """Mean structural similarity, in [-1, 1]; 1 is best.

    Computed by scikit-image with a uniform window of 7 x 7 pixels and the range from the 0.1 to
    the 99.9 percentile of the truth as data range, then averaged over the pixels whose whole
    window counts. Unlike r it sees gain and offset. Parameters as for `pearson_r`. NaN where
    that range is empty, or no window counts as a whole.

    References
    ----------
    Z. Wang et al., IEEE Trans. Image Process. 13, 600 (2004).
    """
    similarity, valid, reason = ssim_map(prediction, truth, mask)
    pixels = int(valid.sum())
    return Score(float(similarity[valid].mean()) if pixels else float("nan"), pixels, reason)


def otsu_foreground(
    truth: FloatArray, mask: BoolArray | None = None
) -> tuple[BoolArray, float | None]:
    """Pixels of the truth above its Otsu threshold.

    Parameters
    ----------
    truth
        (Y, X) image.
    mask
        (Y, X), True where a pixel counts; pixels with a finite truth by default.

    Returns
    -------
    foreground
        (Y, X), True where a pixel counts and is brighter than the threshold; nothing where
        the truth is constant.
    threshold
        In units of the image; None where the truth is constant.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979).
    """
    from skimage.filters import threshold_otsu

    counted = _mask(truth, mask)
    values = truth[counted].astype(np.float64)
    if values.size < 2 or np.ptp(values) == 0:
        return np.zeros(truth.shape, bool), None
    threshold = float(threshold_otsu(values))
    return counted & (np.where(counted, truth, -np.inf) > threshold), threshold


def log_score(log_prob: FloatArray, unit: float, mask: BoolArray | None = None) -> Score:
    """Mean of minus the logarithm of the predictive density, in nats per pixel; lower is better.

    ``mean(-log p(t)) - log(unit)``: the density is counted per ``unit``, so that targets of
    different brightness compare. A normal distribution with the target's own mean and standard
    deviation scores about 1.42 when the unit is that standard deviation.

    Parameters
    ----------
    log_prob
        (Y, X) logarithm of the density at the truth, per unit of the image.
    unit
        Standard deviation of the target in the training images, in units of the image.
    mask
        (Y, X), True where a pixel counts; finite pixels by default.

    References
    ----------
    T. Gneiting and A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007).
    """
    return _mean(-log_prob - np.log(unit), mask)


def crps(values: FloatArray, unit: float, mask: BoolArray | None = None) -> Score:
    """Mean continuous ranked probability score over ``unit``, in [0, inf); lower is better.

    ``mean(integral (F(z) - [t <= z])^2 dz) / unit``; equals the mean absolute error for a
    prediction without spread. Parameters as for `log_score`, ``values`` being the score of each
    pixel in units of the image.
    """
    return _mean(values / unit, mask)


def coverage(
    truth: FloatArray, low: FloatArray, high: FloatArray, mask: BoolArray | None = None
) -> Score:
    """Share of pixels whose truth lies in the predicted interval ``low <= t <= high``, in [0, 1].

    Well calibrated is a share equal to the nominal one (0.95 for the 0.025 to 0.975 quantiles);
    more is too cautious, less is too sure. All images are (Y, X) in the same unit.
    """
    counted = _mask(truth, mask)
    return _mean(((truth >= low) & (truth <= high)).astype(np.float64), counted)


def _mean(values: FloatArray, mask: BoolArray | None) -> Score:
    counted = _mask(values, mask)
    pixels = int(counted.sum())
    if not pixels:
        return Score(float("nan"), 0, "no pixel counts")
    return Score(float(values[counted].mean(dtype=np.float64)), pixels)


def _mask(image: FloatArray, mask: BoolArray | None) -> BoolArray:
    return np.isfinite(image) if mask is None else mask


def _variance(n: Any, total: Any, squares: Any) -> NDArray[np.float64]:
    """Return n^2 times the variance; exactly zero where it is only rounding error."""
    scaled = n * squares - total * total
    return np.where(scaled > _CONSTANT * np.abs(n * squares), scaled, 0.0)
