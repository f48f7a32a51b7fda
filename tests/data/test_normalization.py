import numpy as np
import pytest

from isl.core.errors import BlankImageError, DataError
from isl.data.normalization import (
    SourceNormalizer,
    TargetNormalizer,
    measure_source,
    measure_source_array,
    measured_boxes,
    project,
    usable_planes,
)


def measured(zyx, reads=None):
    def read(box):
        if reads is not None:
            reads.append(box)
        return zyx[:, *box.slices]

    return measure_source(read, zyx.shape[1:], "it")


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
    banded, whole = measured(stack).normalizer, measure_source_array(stack, "it")
    assert banded.offset == pytest.approx(whole.offset)
    assert banded.scale == pytest.approx(whole.scale)


@pytest.mark.parametrize("rows", [1, 64, 100, 1000])
def test_rows_read_at_once_do_not_change_a_digit(rows):
    stack = np.random.default_rng(2).normal(5000, 30, (2, 201, 50)).astype(np.float32)
    found = measure_source(lambda box: stack[:, *box.slices], (201, 50), "it", rows_at_once=rows)
    assert found.normalizer == measure_source_array(stack, "it")


def test_large_images_are_measured_in_the_same_rows_however_they_are_stored(monkeypatch):
    monkeypatch.setattr("isl.data.normalization._MOST_PIXELS_PER_PLANE", 64 * 10 * 4)
    boxes = measured_boxes((64 * 40, 10))
    assert [(box.y0, box.y1) for box in boxes] == [(n * 640, n * 640 + 64) for n in range(4)]
    assert measured_boxes((64 * 40, 10), rows_at_once=512) == boxes


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("clipped", [False, True])
def test_normalising_is_a_subtraction_and_a_division_in_float32(dtype, clipped):
    stack = np.random.default_rng(7).normal(120, 30, (2, 9, 11)).clip(0, 255).astype(dtype)
    expected = (stack.astype(np.float32) - np.float32(119.7)) / np.float32(30.3)
    expected = expected.clip(0, 1) if clipped else expected
    normalizer = SourceNormalizer(119.7, 30.3, clipped)
    before, out = stack.copy(), np.empty(stack.shape, np.float32)
    assert normalizer.apply(stack).tobytes() == expected.tobytes()
    assert normalizer.apply(stack.transpose(1, 2, 0)).shape == (9, 11, 2)
    assert normalizer.apply(stack, out=out) is out
    assert out.tobytes() == expected.tobytes()
    assert np.array_equal(stack, before)


def test_huge_fields_are_sampled(monkeypatch):
    monkeypatch.setattr("isl.data.normalization._MOST_PIXELS_PER_PLANE", 64 * 10 * 4)
    stack = np.random.default_rng(3).normal(10, 2, (1, 64 * 40, 10))
    reads = []
    found = measured(stack, reads)
    assert len(reads) <= 4
    assert found.normalizer.offset == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(
    "bad", [np.full((2, 8, 8), 7.0), np.full((1, 4, 4), np.nan), np.full((1, 4, 4), np.inf)]
)
def test_blank_sources_are_named(bad):
    with pytest.raises(BlankImageError, match="B/03/0"):
        measure_source_array(bad, "B/03/0")
    with pytest.raises(BlankImageError, match=r"it: .*(constant|NaN)"):
        measured(bad)
    with pytest.raises(BlankImageError, match="B/03/0"):
        usable_planes(bad, "B/03/0")


def test_planes_without_an_image_do_not_count():
    stack = np.random.default_rng(4).normal(10, 2, (6, 130, 20)).astype(np.float32)
    stack[1] = np.nan
    stack[3] = 7.0
    stack[5, :64] = 0.0
    usable = [True, False, True, False, True, True]
    assert usable_planes(stack).tolist() == usable
    found = measured(stack)
    assert found.usable.tolist() == usable
    expected = measure_source_array(stack[usable], "it")
    assert found.normalizer.offset == pytest.approx(expected.offset, rel=1e-6)
    assert found.normalizer.scale == pytest.approx(expected.scale, rel=1e-6)


def test_planes_that_differ_but_are_each_blank_are_refused():
    steps = np.arange(3.0)[:, None, None] * np.ones((3, 8, 8))
    with pytest.raises(BlankImageError, match="in each plane are 0, 1, 2"):
        usable_planes(steps)


def test_a_single_nan_in_a_plane_is_no_missing_plane():
    stack = np.random.default_rng(5).random((3, 8, 8))
    stack[1, 2, 3] = np.nan
    assert usable_planes(stack).all()
    with pytest.raises(BlankImageError, match="it: the source holds NaN"):
        measured(stack)


def test_the_type_before_resampling_counts_for_the_full_range():
    stack = np.random.default_rng(6).integers(20000, 50000, (2, 8, 8)).astype(np.float32)
    found = measure_source_array(stack, "it", "full-range", np.dtype(np.uint16))
    assert found.scale == 65535
    with pytest.raises(DataError, match="largest value of their type"):
        measure_source_array(stack, "it", "full-range")


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


@pytest.mark.parametrize("how", ["max", "mean", "middle"])
def test_planes_that_are_all_nan_do_not_count_in_a_projection(how):
    stack = np.full((3, 2, 2), np.nan)
    assert np.isnan(project(stack, how)).all()
    stack[0] = [[1, 2], [3, np.nan]]
    assert np.array_equal(project(stack, how), stack[0], equal_nan=True)
