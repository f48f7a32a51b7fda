import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from isl.models.distribution import PARAMETERS, SplitLogistic

number = st.floats(-3, 3)
scale = st.floats(0.1, 3)


def one(median, left, right):
    parts = (torch.full((1, 1, 1), v, dtype=torch.float64) for v in (median, left, right))
    return SplitLogistic(*parts)


def at(value):
    return torch.full((1, 1, 1), value, dtype=torch.float64)


def integral(function, distribution):
    median = distribution.median.item()
    span = 60 * max(distribution.scale_left.item(), distribution.scale_right.item())
    parts = [(median - span, median), (median, median + span)]
    return sum(integrate.quad(function, *part, limit=400)[0] for part in parts)


@settings(max_examples=25)
@given(number, scale, scale)
def test_density_integrates_to_one_and_gives_the_moments(median, left, right):
    d = one(median, left, right)

    def density(x):
        return d.log_prob(at(x)).exp().item()

    assert integral(density, d) == pytest.approx(1, abs=1e-6)
    mean = integral(lambda x: x * density(x), d)
    assert d.mean().item() == pytest.approx(mean, abs=1e-5)
    variance = integral(lambda x: (x - mean) ** 2 * density(x), d)
    assert d.std().item() == pytest.approx(math.sqrt(variance), rel=1e-5)


@settings(max_examples=25)
@given(number, scale, scale, st.floats(-6, 6))
def test_crps_is_its_definition(median, left, right, y):
    d = one(median, left, right)

    def integrand(x):
        return (d.cdf(at(x)).item() - (x >= y)) ** 2

    span = 40 * max(left, right)
    points = sorted({median - span, median + span, median, y})
    expected = sum(integrate.quad(integrand, a, b, limit=400)[0] for a, b in pairwise(points))
    assert d.crps(at(y)).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(number, scale, scale, st.floats(0.001, 0.999))
def test_quantile_inverts_cdf(median, left, right, probability):
    d = one(median, left, right)
    assert d.cdf(d.quantile(probability)).item() == pytest.approx(probability, abs=1e-9)


def test_median_and_mode():
    d = one(1.5, 0.2, 2.0)
    assert d.quantile(0.5).item() == 1.5 == d.mode().item()
    assert d.log_prob(at(1.5)).item() > d.log_prob(at(1.6)).item()


def test_affine_moves_every_statistic():
    d = one(0.3, 0.5, 1.0)
    moved = d.affine(at(100.0), at(20.0))
    for name in ("mean", "mode"):
        assert getattr(moved, name)().item() == pytest.approx(100 + 20 * getattr(d, name)().item())
    assert moved.std().item() == pytest.approx(20 * d.std().item())
    assert moved.cdf(at(110.0)).item() == pytest.approx(d.cdf(at(0.5)).item())


def test_raw_output_is_read_target_by_target():
    raw = (
        torch.arange(2 * 2 * PARAMETERS * 4, dtype=torch.float32).view(2, 2 * PARAMETERS, 2, 2)
        / 100
    )
    d = SplitLogistic.from_raw(raw, targets=2)
    assert torch.equal(d.median[:, 1], raw[:, 3])
    assert torch.allclose(d.scale_left[:, 0].log(), raw[:, 1], atol=1e-6)
    assert torch.allclose(d.scale_right[:, 1].log(), raw[:, 5], atol=1e-6)


def test_scores_are_finite_for_wild_network_outputs():
    raw = torch.tensor([1e4, -1e4, 1e4, -1e4, 1e4, -1e4]).view(1, 6, 1, 1).requires_grad_()
    d = SplitLogistic.from_raw(raw, targets=2)
    score = (d.crps(torch.zeros(1, 2, 1, 1)) - d.log_prob(torch.zeros(1, 2, 1, 1))).sum()
    score.backward()
    assert torch.isfinite(score)
    assert torch.isfinite(raw.grad).all()


@settings(max_examples=25)
@given(number, scale, scale)
def test_rounded_values_have_the_mass_of_their_bins(median, left, right):
    d = one(median, left, right)
    classes = d.classes(at(-2.0), at(3.0))
    values = torch.linspace(-2, 3, classes.count, dtype=torch.float64)
    p = torch.stack([classes.probability_of(at(v.item())) for v in values])
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    assert p[0].item() == pytest.approx(d.cdf(at(-2 + 2.5 / 255)).item())
    assert classes.probability_nonzero().item() == pytest.approx(1 - p[0].item())
    entropy = -(p * (p + 1e-7).log()).sum().item() / math.log(256)
    assert classes.entropy().item() == pytest.approx(entropy, rel=1e-4)
    assert classes.probability_of(at(99.0)).item() == p[-1].item()
