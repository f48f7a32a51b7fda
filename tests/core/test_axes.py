import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box, VoxelSize
from isl.core.errors import ConfigError
from isl.core.region import Region, parse_region

coordinate = st.integers(-50, 50)
boxes = st.builds(
    lambda y, x, h, w: Box(y, y + h, x, x + w),
    coordinate,
    coordinate,
    st.integers(0, 40),
    st.integers(0, 40),
)


@given(boxes, boxes)
def test_intersection_is_symmetric_and_inside(a, b):
    both = a.intersect(b)
    assert both.size == b.intersect(a).size
    assert both.size <= min(a.size, b.size)
    if both.size:
        assert both.intersect(a) == both == both.intersect(b)


@given(boxes, st.integers(0, 20))
def test_grow_is_undone_by_shrinking(box, margin):
    assert box.grow(margin).grow(-margin) == box


@given(boxes, boxes)
def test_relative_to_keeps_the_shape(a, b):
    assert a.relative_to(b).shape == a.shape
    assert a.relative_to(a) == Box.of(a.shape)


def test_voxel_size_difference_ignores_unknown_axes():
    assert VoxelSize(1.0, 0.3, 0.3).relative_difference(VoxelSize()) == 0
    assert VoxelSize(None, 0.3, 0.3).relative_difference(VoxelSize(2.0, 0.3, 0.6)) == 1.0
    assert str(VoxelSize(None, 0.3, 0.25)) == "y 0.3, x 0.25 um"
    assert str(VoxelSize()) == "unknown"


def test_region_round_trip_and_box():
    region = parse_region(" columns:576-767 ")
    assert region == Region("columns", 576, 767)
    assert parse_region(str(region)) == region
    assert region.box((1024, 768)) == Box(0, 1024, 576, 768)
    assert parse_region("rows:2-3").box((10, 5)) == Box(2, 4, 0, 5)
    assert region.box((100, 100)).size == 0


@pytest.mark.parametrize(
    "text", ["", "columns", "columns:5", "cols:1-2", "columns:9-3", "rows:-1-3"]
)
def test_unreadable_region_says_how_to_write_one(text):
    with pytest.raises(ConfigError, match="region"):
        parse_region(text)
