import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_scene import make_model

from isl.core.axes import VoxelSize
from isl.core.errors import (
    BlankImageError,
    ChannelError,
    ConfigError,
    DataError,
    VoxelSizeError,
)
from isl.core.networks import NetworkConfig

PROPERTY_MODEL = make_model()


def assert_same(tiled, whole):
    """Equal to 1e-4 of the range of each channel."""
    for a, b in zip(tiled.image, whole.image, strict=True):
        assert np.abs(a - b).max() <= 1e-4 * max(np.ptp(b), 1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([1, 2, 13, 30]),
    st.integers(4, 70),
)
def test_tiled_equals_whole(rows, columns, planes, tile_px):
    zyx = np.random.default_rng(0).random((planes, rows, columns), np.float32)
    if not np.ptp(zyx, axis=(1, 2)).any():
        return  # a blank image is refused
    statistics = ("median", "q0.9")
    whole = PROPERTY_MODEL.predict(zyx, statistics=statistics, tile_px=10_000)
    assert whole.image.shape == (4, rows, columns)
    assert_same(PROPERTY_MODEL.predict(zyx, statistics=statistics, tile_px=tile_px), whole)


def test_tiled_equals_whole_with_the_default_depth(rng):
    model = make_model(NetworkConfig(widths=(4, 4, 4)))
    zyx = rng.normal(size=(13, 401, 483)).astype(np.float32)
    assert_same(model.predict(zyx, tile_px=64), model.predict(zyx))


def test_margin_is_needed(rng):
    model = make_model()
    zyx = rng.random((2, 64, 64))
    model.network.margin_px = 0
    difference = model.predict(zyx, tile_px=16).image - model.predict(zyx).image
    assert np.abs(difference).max() > 1.0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int32", "float16", "float64", ">u2"])
def test_any_real_dtype_gives_the_same(model, rng, dtype):
    zyx = rng.integers(0, 2, (3, 17, 21))
    expected = model.predict(zyx.astype(np.float32)).image
    np.testing.assert_allclose(model.predict(zyx.astype(dtype)).image, expected, rtol=1e-5)


def test_gain_and_offset_of_the_source_do_not_matter(model, rng):
    zyx = rng.random((3, 20, 20))
    expected = model.predict(zyx).image
    np.testing.assert_allclose(model.predict(1000 + 50 * zyx).image, expected, rtol=1e-3, atol=1e-2)


def test_a_plane_is_a_stack_of_one(model, rng):
    yx = rng.random((10, 12))
    np.testing.assert_array_equal(model.predict(yx).image, model.predict(yx[None]).image)


def test_prediction_is_looked_up_by_channel(model, rng):
    prediction = model.predict(rng.random((3, 9, 9)), statistics=("median", "std"))
    assert prediction.channel_names == ("DAPI", "MAP2", "DAPI std", "MAP2 std")
    assert prediction.image.dtype == np.float32
    np.testing.assert_array_equal(prediction["MAP2"], prediction.image[1])
    assert (prediction["DAPI std"] > 0).all()
    with pytest.raises(ChannelError, match="no channel 'NFH'; it has: DAPI, MAP2"):
        prediction["NFH"]


def test_distribution_is_in_units_of_the_image(model, rng):
    zyx = rng.random((3, 40, 30))
    distribution = model.distribution(zyx, tile_px=16)
    np.testing.assert_array_equal(distribution.median.numpy(), model.predict(zyx, tile_px=16).image)
    assert distribution.median.shape == (2, 40, 30)
    assert (distribution.scale_left > 0).all()
    raw = model.engine.predict(((zyx - zyx.mean()) / zyx.std()).astype(np.float32))
    torch.testing.assert_close(distribution.scale_right, raw.scale_right, rtol=1e-3, atol=1e-4)


def test_progress_counts_tiles(model, rng):
    seen = []
    model.predict(rng.random((2, 40, 40)), tile_px=16, progress=seen.append)
    assert [p.done for p in seen] == list(range(1, 10))
    assert {p.total for p in seen} == {9}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused(model, rng, bad):
    zyx = rng.random((2, 20, 20))
    zyx[1, 7, 3] = bad
    with pytest.raises(BlankImageError, match="the array"):
        model.predict(zyx)


def test_constant_is_refused(model):
    with pytest.raises(BlankImageError, match="constant"):
        model.predict(np.full((2, 20, 20), 7, np.uint16))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3, 8, 8)), "one source channel"),
        (np.ones(8), r"give \(Z, Y, X\)"),
        (np.ones((0, 8, 8)), r"give \(Z, Y, X\)"),
        (np.ones((2, 8, 8), complex), "real numbers"),
        (np.full((2, 2, 2), "a"), "real numbers"),
    ],
)
def test_what_is_not_a_stack_is_refused(model, array, message):
    with pytest.raises(DataError, match=message):
        model.predict(array)


@pytest.mark.parametrize(
    "voxel_size", [(1.0, 0.65, 0.65), (0.3, 0.4), VoxelSize(None, 0.3, 0.2), (None, None, 0.37)]
)
def test_another_voxel_size_is_refused_without_resampling(model, rng, voxel_size):
    zyx = rng.random((2, 8, 8))
    with pytest.raises(VoxelSizeError, match=r"trained at .*0\.3.*--ignore-voxel-size"):
        model.predict(zyx, voxel_size, resample=False)
    expected = model.predict(zyx).image
    ignored = model.predict(zyx, voxel_size, ignore_voxel_size=True).image
    np.testing.assert_array_equal(ignored, expected)
    assert np.abs(model.predict(zyx, voxel_size).image - expected).max() > 1.0


def test_a_factor_above_eight_is_refused(model, rng):
    with pytest.raises(VoxelSizeError, match=r"the array: .*0\.3.*too far.*--ignore-voxel-size"):
        model.predict(rng.random((2, 8, 8)), (0.3, 2.5))


@pytest.mark.parametrize(
    "voxel_size", [None, (5.0, 0.35, 0.25), (0.3, 0.3), (None, None, None), VoxelSize()]
)
def test_the_same_or_an_unknown_voxel_size_passes(model, rng, voxel_size):
    model.predict(rng.random((2, 8, 8)), voxel_size)


def test_unknown_statistic_is_refused_before_any_work(model):
    with pytest.raises(ConfigError, match="no statistic 'avg'"):
        model.predict(np.zeros((2, 8, 8)), statistics=("avg",))


def test_default_tile_holds_a_common_image_whole_and_shrinks_with_planes():
    model = make_model(NetworkConfig())
    assert model.tile_px((1024, 768), 13) == 1024
    many, few = (model.tile_px((50_000, 50_000), planes) for planes in (200, 13))
    assert 256 <= many < few <= 2048


@pytest.mark.parametrize("voxel_size", [0.3, (0.3,), ("a", "b"), (0.0, 0.3), (-1, 0.3, 0.3), "um"])
def test_what_is_no_voxel_size_is_explained(model, rng, voxel_size):
    with pytest.raises(DataError, match="in micrometres, each above 0"):
        model.predict(rng.random((2, 8, 8)), voxel_size)
