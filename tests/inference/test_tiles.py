import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box
from isl.core.errors import ConfigError, ImageSizeError
from isl.core.networks import NetworkConfig
from isl.inference.tiles import Grid, Tile, plan_boxes
from isl.models.network import build_network

plans = st.tuples(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(8, 100),
    st.sampled_from([0, 8, 16, 40]),
    st.sampled_from([1, 2, 4, 8]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)


def plan_tiles(shape_yx, tile_px, grid, chunk_yx):
    boxes = plan_boxes(Box.of(shape_yx), (tile_px, tile_px), chunk_yx)
    return [Tile.around(box, shape_yx, grid) for box in boxes]


def planned(plan):
    shape_yx, tile_px, margin_px, stride, chunk_yx = plan
    return plan_tiles(shape_yx, tile_px, Grid(stride, margin_px), chunk_yx)


@given(plans)
def test_every_pixel_is_written_once(plan):
    written = np.zeros(plan[0], int)
    for tile in planned(plan):
        written[tile.write.slices] += 1
    assert (written == 1).all()


@given(plans)
def test_inside_is_the_written_part_of_what_is_read(plan):
    image = np.arange(plan[0][0] * plan[0][1]).reshape(plan[0])
    for tile in planned(plan):
        shown = tile.show(image[None, *tile.read.slices])[0]
        np.testing.assert_array_equal(shown[tile.inside.slices], image[tile.write.slices])


@given(plans)
def test_margin_is_read_wherever_there_is_image(plan):
    shape_yx, _, margin_px, stride, _ = plan
    for tile in planned(plan):
        needed = tile.write.grow(margin_px).intersect(Box.of(shape_yx))
        assert needed.intersect(tile.read) == needed
        assert needed.intersect(tile.shown) == needed
        assert tile.shown.y0 % stride == tile.shown.y1 % stride == 0
        assert tile.shown.x0 % stride == tile.shown.x1 % stride == 0


@given(plans)
def test_tiles_hold_whole_chunks(plan):
    shape_yx, tile_px, _, _, chunk_yx = plan
    for tile in planned(plan):
        box = tile.write
        starts, ends = (box.y0, box.x0), (box.y1, box.x1)
        for start, end, size, chunk in zip(starts, ends, shape_yx, chunk_yx, strict=True):
            assert end - start <= max(tile_px, chunk)
            assert start % chunk == 0
            assert end % chunk == 0 or end == size


def test_image_that_fits_is_one_tile_without_margin():
    (tile,) = plan_tiles((50, 64), 64, Grid(8, 16), (64, 64))
    assert tile.read == tile.write == tile.inside == Box(0, 50, 0, 64)


@given(plans)
def test_what_is_shown_reaches_the_stride_and_is_reflected_beyond_the_image(plan):
    (size_y, size_x), stride = plan[0], plan[3]
    image = np.random.default_rng(0).random((2, size_y, size_x), np.float32)
    modes = ["reflect" if size > 1 else "edge" for size in (size_y, size_x)]
    around = np.pad(image, ((0, 0), (0, stride), (0, 0)), modes[0])
    around = np.pad(around, ((0, 0), (0, 0), (0, stride)), modes[1])
    for tile in planned(plan):
        shown = tile.show(image[:, *tile.read.slices])
        assert shown.shape[1] % stride == shown.shape[2] % stride == 0
        assert tile.shown.y1 - size_y < stride
        assert tile.shown.x1 - size_x < stride
        np.testing.assert_array_equal(shown, around[:, *tile.shown.slices])


def test_images_are_reflected_repeatedly():
    tile = Tile.around(Box(0, 1, 0, 3), (1, 3), Grid(4, 0, (4, 1)))
    shown = tile.show(np.arange(3.0).reshape(1, 1, 3))
    assert shown[0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert (shown[0] == shown[0, 0]).all()


lost_plans = st.tuples(
    st.tuples(st.integers(2, 90), st.integers(2, 90)),
    st.integers(8, 100),
    st.sampled_from([(13, 13), (13, 21), (5, 5)]),
    st.sampled_from([4, 8]),
)


@given(lost_plans)
def test_what_a_network_loses_is_read_or_reflected_as_at_the_image_border(plan):
    shape_yx, tile_px, lost, stride = plan
    image = np.random.default_rng(0).random((1, *shape_yx), np.float32)
    before, after = lost
    around = (before, after + stride)
    whole = np.pad(image, ((0, 0), around, around), "reflect")
    for tile in plan_tiles(shape_yx, tile_px, Grid(stride, 0, lost), (stride, stride)):
        given_ = tile.show(image[:, *tile.read.slices])
        rows, columns = given_.shape[1:]
        assert (rows - before - after) % stride == (columns - before - after) % stride == 0
        y, x = tile.write.y0 - tile.inside.y0, tile.write.x0 - tile.inside.x0
        assert y % stride == x % stride == 0
        np.testing.assert_array_equal(given_, whole[:, y : y + rows, x : x + columns])


class Losing:
    lost_px, stride, margin_px = (121, 121), 16, 128


def test_valid_border_keeps_the_published_blocks():
    grid = Grid.of(Losing(), (1500, 520), "valid")
    assert grid.valid == Box(121, 121 + 1152, 121, 121 + 256)
    tiles = plan_tiles((1500, 520), 256, grid, (64, 64))
    kept = np.zeros((1500, 520), bool)
    for tile in tiles:
        kept[tile.kept.slices] = True
        if tile.kept.size:
            output = tile.kept.y0 - tile.inside.y0, tile.kept.x0 - tile.inside.x0
            assert (output[0] - 121) % 16 == (output[1] - 121) % 16 == 0
    assert kept.sum() == 1152 * 256
    assert kept[grid.valid.slices].all()
    with pytest.raises(ImageSizeError, match="needs 378 px"):
        Grid.of(Losing(), (1500, 377), "valid")


def test_valid_border_is_for_networks_that_lose_one():
    network = build_network(NetworkConfig(widths=(4,), blocks=(1,)), targets=1)
    with pytest.raises(ConfigError, match="leave out --border"):
        Grid.of(network, (500, 500), "valid")
