from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box, VoxelSize
from isl.core.errors import VoxelSizeError
from isl.io.arrays import fov_from_arrays
from isl.io.resample import AxisResampling, Resampling, resampled, same_voxel_size
from isl.io.tiff import open_tiff

FACTORS = [(2.0, 2.0), (0.65 / 0.3, 0.65 / 0.3), (0.3 / 0.65, 0.3 / 0.65), (1.37, 0.61), (7.9, 1.0)]


def scene(size_y, size_x, um_y, um_x):
    """Smooth blobs, known at any position in micrometres."""
    y = (np.arange(size_y) + 0.5)[:, None] * um_y
    x = (np.arange(size_x) + 0.5)[None, :] * um_x
    blobs = [(7.1, 9.4, 2.2), (15.3, 20.8, 3.1), (21.7, 6.2, 2.6)]
    return sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s**2)) for a, b, s in blobs)


def shift_px(found, expected):
    """Displacement in y and x of one image against another, by least squares."""
    slopes = np.stack([slope.ravel() for slope in np.gradient(expected)], 1)
    return np.linalg.lstsq(slopes, (expected - found).ravel(), rcond=None)[0]


def whole(image, resampling, method):
    return resampling.apply(image, Box.of(resampling.result_yx), method)


@pytest.mark.parametrize(("from_um", "to_um"), [(0.3, 0.65), (0.65, 0.3), (0.3, 0.41), (0.3, 0.9)])
@pytest.mark.parametrize("size", [(90, 81), (91, 100)])
@pytest.mark.parametrize("method", ["cubic", "linear"])
def test_a_smooth_scene_stays_where_it_is(from_um, to_um, size, method):
    resampling = Resampling.by(size, (to_um / from_um,) * 2)
    found = whole(scene(*size, from_um, from_um), resampling, method)
    expected = scene(*resampling.result_yx, to_um, to_um)
    assert np.abs(shift_px(found, expected)).max() < 0.02
    inner = np.s_[4:-4, 4:-4]  # the scene is no mirror image beyond its border
    assert np.abs(found - expected)[inner].max() < (0.01 if method == "cubic" else 0.06)


@pytest.mark.parametrize("method", ["cubic", "linear"])
def test_back_again_stays_where_it_was(method):
    image = scene(87, 93, 0.65, 0.65)
    there = Resampling.by(image.shape, (0.3 / 0.65, 0.31 / 0.65))
    assert there.inverse.result_yx == image.shape
    back = whole(whole(image, there, "cubic"), there.inverse, method)
    assert np.abs(shift_px(back, image)).max() < 0.02


@given(
    st.sampled_from(FACTORS),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["cubic", "linear", "nearest"]),
    st.randoms(use_true_random=False),
)
def test_a_box_is_that_part_of_the_whole(ratio_yx, rows, columns, method, random):
    image = np.random.default_rng(0).random((2, rows, columns), np.float32)
    resampling = Resampling.by((rows, columns), ratio_yx)
    expected = whole(
        image[:, *resampling.needed(Box.of(resampling.result_yx), method).slices],
        resampling,
        method,
    )
    assert expected.shape == (2, *resampling.result_yx)
    (y0, y1), (x0, x1) = (
        sorted(random.sample(range(size + 1), 2)) for size in resampling.result_yx
    )
    box = Box(y0, y1, x0, x1)
    needed = resampling.needed(box, method)
    assert needed.intersect(Box.of((rows, columns))) == needed
    found = resampling.apply(image[:, *needed.slices], box, method)
    np.testing.assert_array_equal(found, expected[:, *box.slices])


@pytest.mark.parametrize("ratio_yx", FACTORS)
@pytest.mark.parametrize("method", ["cubic", "linear", "nearest"])
def test_a_constant_stays_what_it_is(ratio_yx, method):
    resampling = Resampling.by((17, 23), ratio_yx)
    image = np.full((17, 23), 300.0, np.float32)
    part = image[resampling.needed(Box.of(resampling.result_yx), method).slices]
    np.testing.assert_allclose(whole(part, resampling, method), 300.0, rtol=1e-6)


def test_linear_stays_between_the_values_around():
    image = np.random.default_rng(1).random((30, 30))
    found = whole(image, Resampling.by((30, 30), (0.4, 0.4)), "linear")
    assert found.min() >= image.min() - 1e-6
    assert found.max() <= image.max() + 1e-6


def test_what_coarser_pixels_cannot_hold_is_left_out():
    stripes = np.tile([0.0, 1.0], (40, 20))
    for method in ("cubic", "linear"):
        found = whole(stripes, Resampling.by((40, 40), (4.0, 4.0)), method)
        np.testing.assert_allclose(found[:, 2:-2], 0.5, atol=1e-6)


def test_the_same_ratio_changes_nothing():
    image = np.random.default_rng(2).random((9, 8)).astype(np.float32)
    found = whole(image, Resampling.by((9, 8), (1.0, 1.0)), "cubic")
    np.testing.assert_array_equal(found, image)


def test_the_border_is_mirrored():
    _, weights = AxisResampling.by(4, 0.5).weights(0, 8, "linear")
    ramp = np.arange(4.0)
    np.testing.assert_allclose(weights @ ramp, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


class TestField:
    """A field of view at another voxel size."""

    def field(self, **channels):
        return fov_from_arrays(
            channels, voxel_size=VoxelSize(1.5, 0.6, 0.6), modalities={"cells": "labels"}
        )

    def test_is_read_by_region(self):
        zyx = np.random.default_rng(3).integers(0, 4000, (3, 40, 30)).astype(np.uint16)
        fov = resampled(self.field(phase=zyx), VoxelSize(9.0, 0.3, 0.4))
        assert fov.shape == (1, 1, 3, 80, 45)
        assert fov.voxel_size == VoxelSize(1.5, pytest.approx(0.3), pytest.approx(0.4))
        assert fov.channels[0].dtype == np.float32
        everything = fov.read("phase")
        assert everything.dtype == np.float32
        box = Box(11, 60, 3, 40)
        np.testing.assert_array_equal(
            fov.read("phase", z=(2, 0), box=box), everything[[2, 0]][:, *box.slices]
        )

    def test_labels_take_the_nearest_pixel(self):
        labels = np.array([[1, 2], [3, 900]], np.uint16)
        fov = resampled(self.field(cells=labels), VoxelSize(None, 0.3, 0.3))
        found = fov.read("cells")
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found[0], np.kron(labels, np.ones((2, 2), np.uint16)))

    def test_nan_spreads_no_further_than_it_counts(self):
        image = np.ones((30, 30), np.float32)
        image[10, 20] = np.nan
        fov = resampled(self.field(dapi=image), VoxelSize(None, 0.3, 0.3))
        gone = np.isnan(fov.read("dapi")[0])
        assert gone[20:22, 40:42].all()
        rows, columns = np.nonzero(gone)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (17, 24, 37, 44)

    @pytest.mark.parametrize(
        "voxel_size", [VoxelSize(), VoxelSize(3.0, 0.6, 0.6), VoxelSize(None, 0.61, 0.59)]
    )
    def test_the_same_or_an_unknown_voxel_size_changes_nothing(self, voxel_size):
        fov = self.field(phase=np.zeros((4, 4)))
        assert resampled(fov, voxel_size) is fov
        assert same_voxel_size(fov.voxel_size, voxel_size)

    @pytest.mark.parametrize("um", [0.07, 5.0])
    def test_too_large_a_factor_is_refused(self, um):
        fov = self.field(phase=np.zeros((4, 4)))
        with pytest.raises(VoxelSizeError, match=r"field array has voxels of .*0\.6.*at most 8"):
            resampled(fov, VoxelSize(None, 0.6, um))

    def test_a_tiny_image_keeps_a_pixel(self):
        fov = resampled(self.field(phase=np.full((1, 3), 5.0)), VoxelSize(None, 4.0, 4.0))
        np.testing.assert_allclose(fov.read("phase"), [[[5.0]]], rtol=1e-6)


def test_rows_that_are_decoded_together_count_in_pixels_of_the_result(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1200, 16), np.uint8), compression="zlib")
    (fov,) = open_tiff(tmp_path / "a.tif")
    finer = resampled(replace(fov, voxel_size=VoxelSize(None, 0.6, 0.6)), VoxelSize(None, 0.3, 0.3))
    assert fov.chunk_rows(fov.channel_names[0]) == 1200
    assert finer.chunk_rows(fov.channel_names[0]) == 2400
    coarse = fov_from_arrays({"phase": np.zeros((900, 8))}, voxel_size=VoxelSize(None, 0.3, 0.3))
    assert coarse.chunk_rows("phase") == 1
    assert resampled(coarse, VoxelSize(None, 0.6, 0.6)).chunk_rows("phase") == 256
