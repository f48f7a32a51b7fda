import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.inference.tiles import pad_to_stride, plan_tiles

plans = st.tuples(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(8, 100),
    st.sampled_from([0, 8, 16, 40]),
    st.sampled_from([1, 2, 4, 8]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)


@given(plans)
def test_every_pixel_is_written_once(plan):
    written = np.zeros(plan[0], int)
    for tile in plan_tiles(*plan):
        written[tile.write.slices] += 1
    assert (written == 1).all()


@given(plans)
def test_inside_is_the_written_part_of_what_is_read(plan):
    image = np.arange(plan[0][0] * plan[0][1]).reshape(plan[0])
    for tile in plan_tiles(*plan):
        np.testing.assert_array_equal(
            image[tile.read.slices][tile.inside.slices], image[tile.write.slices]
        )


@given(plans)
def test_margin_is_read_wherever_there_is_image(plan):
    shape_yx, _, margin_px, stride, _ = plan
    for tile in plan_tiles(*plan):
        needed = tile.write.grow(margin_px).intersect(Box.of(shape_yx))
        assert needed.intersect(tile.read) == needed
        assert tile.read.y0 % stride == tile.read.x0 % stride == 0
        assert tile.read.y1 % stride == 0 or tile.read.y1 == shape_yx[0]
        assert tile.read.x1 % stride == 0 or tile.read.x1 == shape_yx[1]


@given(plans)
def test_tiles_hold_whole_chunks(plan):
    shape_yx, tile_px, _, _, chunk_yx = plan
    for tile in plan_tiles(*plan):
        box = tile.write
        starts, ends = (box.y0, box.x0), (box.y1, box.x1)
        for start, end, size, chunk in zip(starts, ends, shape_yx, chunk_yx, strict=True):
            assert end - start <= max(tile_px, chunk)
            assert start % chunk == 0
            assert end % chunk == 0 or end == size


def test_image_that_fits_is_one_tile_without_margin():
    (tile,) = plan_tiles((50, 64), 64, 16, 8, (64, 64))
    assert tile.read == tile.write == tile.inside == Box(0, 50, 0, 64)


@pytest.mark.parametrize(("shape_yx", "tile_px"), [((5, 6), 0), ((0, 6), 8)])
def test_empty_tile_or_image_is_refused(shape_yx, tile_px):
    with pytest.raises(ConfigError, match=r"hold nothing|is empty"):
        plan_tiles(shape_yx, tile_px, 16, 8, (64, 64))


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 8, 16]), st.integers(1, 3))
def test_padding_reaches_the_stride_and_keeps_the_image(rows, columns, stride, planes):
    zyx = np.random.default_rng(0).random((planes, rows, columns), np.float32)
    padded = pad_to_stride(zyx, stride)
    assert padded.shape[1] % stride == padded.shape[2] % stride == 0
    assert padded.shape[1] - rows < stride
    assert padded.shape[2] - columns < stride
    np.testing.assert_array_equal(padded[:, :rows, :columns], zyx)
    assert np.isin(padded, zyx).all()


def test_padding_reflects():
    zyx = np.arange(6.0).reshape(1, 1, 6)
    assert pad_to_stride(zyx, 4)[0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]
