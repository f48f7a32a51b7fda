from __future__ import annotations

import numpy as np
import pytest

from isl.data.moments import joined, moments_of

DTYPES = ("uint8", "uint16", "int16", "uint32", "float32", "float64")


def stack_of(dtype, shape=(3, 150, 70)):
    values = np.random.default_rng(0).normal(120, 30, shape)
    return values.clip(0, 255).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_are_those_of_the_definition(dtype):
    stack = stack_of(dtype)
    found, values = moments_of(stack), stack.astype(np.longdouble)
    mean, square = found.means
    assert mean == pytest.approx(float(values.mean()), rel=1e-14)
    assert square == pytest.approx(float((values**2).mean()), rel=1e-14)
    assert found.low.tolist() == stack.min(axis=(1, 2)).tolist()
    assert found.high.tolist() == stack.max(axis=(1, 2)).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_sums_of_small_integers_are_exact(dtype):
    info = np.iinfo(dtype)
    stack = np.random.default_rng(1).integers(info.min, info.max, (2, 90, 5000), endpoint=True)
    found = moments_of(stack.astype(dtype))
    assert found.total.tolist() == stack.sum(axis=2).tolist()
    assert found.squares.tolist() == (stack**2).sum(axis=2).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 7, 64, 100])
def test_bands_do_not_change_a_digit(dtype, rows):
    stack = stack_of(dtype)
    bands = joined([moments_of(stack[:, y : y + rows]) for y in range(0, 150, rows)])
    assert bands.means == moments_of(stack).means


def test_how_the_array_lies_in_memory_does_not_matter():
    stack = stack_of("float32")
    turned = np.ascontiguousarray(stack.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert moments_of(turned).means == moments_of(stack).means


def test_nan_is_left_out_of_extremes_only():
    stack = stack_of("float32")
    stack[0, 3, 4] = np.nan
    stack[1] = np.nan
    found = moments_of(stack)
    assert found.low[0] == np.nanmin(stack[0])
    assert np.isnan(found.high[1])
    assert found.usable.tolist() == [True, False, True]
    assert np.isnan(found.means).all()
    assert np.isfinite(found.of(np.array([False, False, True])).means).all()
