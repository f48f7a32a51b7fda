"""The statistics of the published program, and scores against their definitions."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from isl.models.categorical import Categorical
from isl.models.distribution import Distribution, SplitLogistic

weights = st.lists(st.floats(0.01, 1), min_size=2, max_size=6)


def one(probability, low=0.0, high=1.0):
    p = torch.tensor(probability, dtype=torch.float64).view(-1, 1, 1, 1)
    return Categorical(p / p.sum(), at(low), at(high))


def at(value):
    return torch.full((1, 1, 1), value, dtype=torch.float64)


def random_batch(seed=0, shape=(2, 5, 3, 6, 7)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator)
    low = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1)
    return Categorical.from_logits(logits, low, low + 10)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        ((0.25, 0.25, 0.25, 0.25), (0, 1 / 3, 0.5, 0.3727, 0.75, 1)),
        ((0.1, 0.2, 0.2, 0.5), (1, 2 / 3, 0.7, 0.3480, 0.9, 0.8805)),
    ],
)
def test_published_check_values(probability, expected):
    d = one(probability)
    found = (d.mode(), d.median, d.mean(), d.std(), d.probability_nonzero(), d.entropy())
    assert [f.item() for f in found] == pytest.approx(expected, abs=5e-5)


@given(weights, st.floats(-3, 3), st.floats(0.1, 3))
def test_density_integrates_to_one_and_to_the_cdf(probability, low, span):
    d = one(probability, low, low + span)
    step = span / (len(probability) - 1)
    edges = [low + (i - 0.5) * step for i in range(len(probability) + 1)]

    def density(x):
        return d.log_prob(at(x)).exp().item()

    mass = 0.0
    for a, b in pairwise(edges):
        mass += density((a + b) / 2) * (b - a)
        assert d.cdf(at(b)).item() == pytest.approx(mass, abs=1e-9)
    assert mass == pytest.approx(1)
    assert d.cdf(at(edges[0] - 1)).item() == 0


@settings(max_examples=25)
@given(weights, st.floats(-3, 3), st.floats(0.1, 3), st.floats(-8, 8))
def test_crps_is_its_definition(probability, low, span, y):
    d = one(probability, low, low + span)
    values = [low + i / (len(probability) - 1) * span for i in range(len(probability))]
    shares = [p / sum(probability) for p in probability]

    def integrand(x):
        return (sum(s for s, v in zip(shares, values, strict=True) if v <= x) - (x >= y)) ** 2

    points = sorted({*values, y})
    expected = sum(integrate.quad(integrand, a, b)[0] for a, b in pairwise(points))
    assert d.crps(at(y)).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_quantiles_are_values_of_classes_and_grow():
    d = random_batch()
    levels = [d.quantile(p) for p in (0.01, 0.2, 0.5, 0.9, 0.999)]
    assert all((b >= a).all() for a, b in pairwise(levels))
    assert torch.equal(levels[2], d.median)
    assert torch.equal(d.classes_of(d.median) * 2.5 + d.low, d.median)


def test_last_class_is_the_highest_quantile_despite_rounding():
    p = torch.full((256, 1, 1, 1), 1 / 256) * (1 - 1e-5)
    d = Categorical(p, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    assert d.quantile(0.999999).item() == 1.0


def test_values_are_rounded_to_classes_and_clipped():
    d = one([1.0] * 5, 10.0, 14.0)
    values = (9.0, 10.4, 10.6, 12.5, 14.2, 99.0, math.nan)
    y = torch.tensor(values, dtype=torch.float64).view(1, 1, -1)
    assert d.classes_of(y).flatten().tolist() == [0, 0, 1, 2, 4, 4, 0]


def test_improbable_truths_have_finite_scores():
    d = one([1.0, 0.0, 0.0])
    assert torch.isfinite(d.log_prob(at(1.0))).all()
    assert d.crps(at(1.0)).item() == pytest.approx(1.0)
    assert d.crps(at(0.0)).item() == 0.0


def test_affine_moves_values_and_keeps_probabilities():
    d, offset, scale = one((0.1, 0.2, 0.2, 0.5)), at(100.0), at(20.0)
    moved = d.affine(offset, scale)
    for name in ("mean", "mode"):
        assert getattr(moved, name)().item() == pytest.approx(100 + 20 * getattr(d, name)().item())
    assert moved.std().item() == pytest.approx(20 * d.std().item())
    assert moved.cdf(at(110.0)).item() == pytest.approx(d.cdf(at(0.5)).item())
    assert moved.entropy().item() == d.entropy().item()


@pytest.mark.parametrize(
    ("function", "of_statistic"),
    [
        (lambda p: p[..., 2:5, 4:], lambda s: s[..., 2:5, 4:]),
        (lambda p: p[..., [2, 0], :, :], lambda s: s[..., [2, 0], :, :]),
        (lambda p: p[1], lambda s: s[1]),
        (lambda p: p.cpu(), lambda s: s),
    ],
)
def test_map_treats_the_ends_like_the_probabilities(function, of_statistic):
    d = random_batch()
    mapped = d.map(function)
    assert mapped.low.shape == (mapped.probability.shape[-3], 1, 1)
    torch.testing.assert_close(mapped.mean(), of_statistic(d.mean()))
    torch.testing.assert_close(mapped.median, of_statistic(d.median))


def test_scores_of_a_batch_are_those_of_its_elements():
    d = random_batch()
    y = torch.linspace(-1, 14, 2 * 3 * 6 * 7).view(2, 3, 6, 7)
    for name in ("cdf", "log_prob", "crps"):
        whole = getattr(d, name)(y)
        assert whole.shape == y.shape
        torch.testing.assert_close(whole[1], getattr(d.map(lambda p: p[1]), name)(y[1]))


def test_every_statistic_is_nan_where_nothing_was_predicted():
    d = one([math.nan] * 4)
    found = (d.mode(), d.median, d.mean(), d.std(), d.probability_nonzero(), d.entropy())
    scores = d.cdf(at(0.3)), d.log_prob(at(0.3)), d.crps(at(0.3))
    assert all(torch.isnan(f).all() for f in (*found, *scores))


def test_both_distributions_offer_the_same():
    members = {name for name in vars(Distribution) if not name.startswith("_")}
    assert {"median", "quantile", "classes", "map"} <= members
    for kind in (Categorical, SplitLogistic):
        assert members <= set(dir(kind)) | set(kind.__dataclass_fields__)
