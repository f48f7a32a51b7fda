import numpy as np
import pytest

from isl.core.axes import Box
from isl.core.errors import ChannelError
from isl.io.arrays import fov_from_arrays
from isl.io.masks import (
    shifted,
    without_saturated,
    without_unmasked,
    without_zeros,
    zero_rectangles,
)

RNG = np.random.default_rng(0)
PART = Box(3, 20, 5, 25)


def field(dtype=np.uint16, **images):
    made = {"phase": RNG.integers(1, 100, (3, 24, 30)).astype(dtype)}
    made["DNA"] = RNG.integers(1, 100, (24, 30)).astype(dtype)
    return fov_from_arrays(made | images, name="a")


def edited(change, dtype=np.uint16):
    image = RNG.integers(1, 100, (24, 30)).astype(dtype)
    change(image)
    return field(DNA=image), image


def check_parts(fov):
    whole = fov.read("DNA")
    np.testing.assert_array_equal(fov.read("DNA", box=PART), whole[(..., *PART.slices)])
    assert whole.dtype == fov.channel("DNA").dtype == np.float32


def test_saturated_pixels_are_missing():
    def change(image):
        image[4:6, 7] = 65535

    fov, image = edited(change)
    masked = without_saturated(fov, ["DNA"])
    found = masked.read("DNA")[0]
    assert np.array_equal(np.isnan(found), image == 65535)
    assert np.array_equal(found[image < 65535], image[image < 65535])
    assert masked.read("phase").dtype == np.uint16
    check_parts(masked)


def test_saturation_has_a_level():
    fov, image = edited(lambda image: None)
    found = without_saturated(fov, ["DNA"], 50).read("DNA")[0]
    assert np.array_equal(np.isnan(found), image >= 50)


def test_saturation_of_floats_is_their_largest_value():
    def change(image):
        image[:3, :3] = 4095.0

    fov, image = edited(change, np.float32)
    assert np.array_equal(np.isnan(without_saturated(fov, ["DNA"]).read("DNA")[0]), image == 4095)


def test_no_value_is_no_saturation():
    fov = without_saturated(field(np.float32, DNA=np.full((24, 30), np.nan, np.float32)), ["DNA"])
    assert np.isnan(fov.read("DNA")).all()


def test_rectangle_of_zeros_is_missing_and_single_zeros_are_not():
    def change(image):
        image[2:12, 10:22] = 0
        image[20, 3] = image[0, 0] = 0
        image[15:24, 25:30] = 0

    fov, image = edited(change)
    missing = zero_rectangles(image)
    assert missing[2:12, 10:22].all()
    assert missing.sum() == 120  # the one of 9 x 5 is too narrow
    masked = without_zeros(fov, ["DNA"], rectangles=True)
    assert np.array_equal(np.isnan(masked.read("DNA")[0]), missing)
    check_parts(masked)


def test_zeros_of_any_other_shape_are_values():
    image = np.ones((24, 30))
    image[2:20, 2:20] = 0
    image[5, 5] = 1
    assert not zero_rectangles(image).any()
    assert not zero_rectangles(np.ones((4, 4))).any()


def test_all_zeros_can_be_missing():
    def change(image):
        image[::3, ::2] = 0

    fov, image = edited(change)
    masked = without_zeros(fov, ["DNA"], rectangles=False)
    assert np.array_equal(np.isnan(masked.read("DNA")[0]), image == 0)


def test_mask_channel_says_what_was_acquired():
    cells = np.zeros((24, 30), np.uint16)
    cells[5:15, 5:15] = 7
    fov = field(cells=cells)
    masked = without_unmasked(fov, ["DNA"], "cells")
    assert np.array_equal(np.isnan(masked.read("DNA")[0]), cells == 0)
    assert np.array_equal(masked.read("cells"), cells[None])
    check_parts(masked)
    with pytest.raises(ChannelError, match="no channel 'nuclei'"):
        without_unmasked(fov, ["DNA"], "nuclei")


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-5, 4), (100, 0)])
def test_shifted_image_is_moved_and_missing_where_it_does_not_reach(shift):
    fov = field()
    image = fov.read("DNA")[0].astype(np.float32)
    expected = np.full((24, 30), np.nan)
    for y in range(24):
        for x in range(30):
            if 0 <= y - shift[0] < 24 and 0 <= x - shift[1] < 30:
                expected[y, x] = image[y - shift[0], x - shift[1]]
    moved = shifted(fov, "DNA", shift)
    np.testing.assert_array_equal(moved.read("DNA")[0], expected)
    check_parts(moved)
