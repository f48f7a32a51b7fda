import numpy as np
import pytest

from isl.core.errors import BlankImageError
from isl.data.normalization import (
    TargetNormalizer,
    measure_source,
    measure_source_array,
    project,
)
from isl.io.arrays import fov_from_arrays


def test_source_comes_out_standard():
    stack = np.random.default_rng(0).normal(3000, 400, (5, 70, 33)).astype(np.uint16)
    normalized = measure_source_array(stack, "it").apply(stack)
    assert normalized.dtype == np.float32
    assert normalized.mean() == pytest.approx(0, abs=1e-4)
    assert normalized.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("gain", "offset"), [(2, 0), (1, 500), (7, 123)])
def test_gain_and_offset_do_not_matter(gain, offset):
    stack = np.random.default_rng(1).integers(0, 4000, (3, 40, 40)).astype(np.uint16)
    changed = stack * np.uint16(gain) + np.uint16(offset)
    a = measure_source_array(stack, "a").apply(stack)
    b = measure_source_array(changed, "b").apply(changed)
    assert np.allclose(a, b, atol=1e-4)


def test_bands_give_the_same_as_the_whole():
    stack = np.random.default_rng(2).integers(0, 255, (4, 201, 50)).astype(np.uint8)
    fov = fov_from_arrays({"phase": stack})
    banded, whole = measure_source(fov, "phase"), measure_source_array(stack, "it")
    assert banded.offset == pytest.approx(whole.offset)
    assert banded.scale == pytest.approx(whole.scale)


def test_huge_fields_are_sampled(monkeypatch):
    monkeypatch.setattr("isl.data.normalization._MOST_PIXELS_PER_PLANE", 64 * 10 * 4)
    stack = np.random.default_rng(3).normal(10, 2, (1, 64 * 40, 10))
    reads = []
    fov = fov_from_arrays({"phase": stack})
    original = type(fov).read
    monkeypatch.setattr(
        type(fov), "read", lambda s, c, **k: (reads.append(k["box"]), original(s, c, **k))[1]
    )
    measured = measure_source(fov, "phase")
    assert len(reads) <= 4
    assert measured.offset == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(
    "bad", [np.full((2, 8, 8), 7.0), np.full((1, 4, 4), np.nan), np.full((1, 4, 4), np.inf)]
)
def test_blank_sources_are_named(bad):
    with pytest.raises(BlankImageError, match="B/03/0"):
        measure_source_array(bad, "B/03/0")
    with pytest.raises(BlankImageError, match="field array, channel 'phase', time point 0"):
        measure_source(fov_from_arrays({"phase": bad}), "phase")


def test_target_normalizer_inverts():
    normalizer = TargetNormalizer(100.0, 25.0)
    image = np.array([[0, 100], [150, 65535]], np.uint16)
    assert np.allclose(normalizer.invert(normalizer.apply(image)), image)


def test_project():
    stack = np.arange(12).reshape(3, 2, 2)
    assert np.array_equal(project(stack, "max"), stack[2])
    assert np.array_equal(project(stack, "mean"), stack[1])
    assert np.array_equal(project(stack, "middle"), stack[1])
    assert np.array_equal(project(stack[:1], "max"), stack[0])
