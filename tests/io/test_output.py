"""What is written comes back, whatever the format, the shape and the order of the blocks."""

import errno
import pickle

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from output_images import (
    blocks,
    field,
    image_of,
    plate_field,
    read_zarr,
    validate,
    write,
    write_field,
)

from isl.core.axes import Box
from isl.core.errors import ConfigError, OutputError
from isl.io import output_array, output_shards
from isl.io.omezarr import open_omezarr
from isl.io.output import resumable_output


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 16 pixels, so that small images have many."""
    monkeypatch.setattr(output_array, "CHUNK_PX", 16)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1000), (513, 1025), (16, 16), (700, 20)])
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_odd_sizes_come_back_bit_by_bit(tmp_path, shape, ending):
    item = field(sizes=(2, 3, *shape))
    path = tmp_path / f"out{ending}"
    images = write(path, [item])
    if ending == ".zarr":
        result = read_zarr(path)["f"]
    else:
        with tifffile.TiffFile(path) as tif:
            result = tif.series[0].asarray().reshape(images["f"].shape)
    assert result.tobytes() == images["f"].tobytes()


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@given(data=st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_in_any_order_and_size_write_every_pixel_once(
    tmp_path_factory, small_chunks, ending, data
):
    sizes = data.draw(
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 70), st.integers(1, 70))
    )
    step = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    item, path = field(sizes=sizes), tmp_path_factory.mktemp("out") / f"out{ending}"
    image = image_of(item)
    with resumable_output(path, [item]) as output:
        write_field(output, item, image, step, lambda n: data.draw(st.permutations(range(n))))
    if ending == ".zarr":
        result = read_zarr(path)["f"]
    else:
        result = tifffile.imread(path).reshape(image.shape)
    np.testing.assert_array_equal(result, image)


def test_special_values_survive(tmp_path):
    item = field(sizes=(1, 1, 2, 3))
    values = np.array([[[-0.0, np.nan, np.inf], [0, -np.inf, 1e-45]]], np.float32)
    with resumable_output(tmp_path / "a.zarr", [item]) as output:
        output.mark_done("f", output.field("f").write(0, Box(0, 2, 0, 3), values))
    assert read_zarr(tmp_path / "a.zarr")["f"].tobytes() == values.tobytes()


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
@pytest.mark.parametrize("ending", [".zarr", ".tif"])
def test_integers_are_rounded_and_clipped(tmp_path, dtype, top, ending):
    item, path = field(sizes=(1, 1, 1, 7)), tmp_path / f"a{ending}"
    values = np.array([[[-3, 0.4, 0.6, 2.5, 1e9, np.nan, np.inf]]], np.float32)
    with resumable_output(path, [item], dtype=dtype) as output:
        output.mark_done("f", output.field("f").write(0, Box(0, 1, 0, 7), values))
    result = read_zarr(path)["f"] if ending == ".zarr" else tifffile.imread(path)
    assert result.dtype == dtype
    assert result.ravel().tolist() == [0, 0, 1, 2, top, 0, top]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_a_dropped_field_does_not_appear(tmp_path, ending, begun, small_chunks):
    items = [plate_field("A/1", 0), plate_field("C/2", 0, (1, 1, 40, 40))]
    image = image_of(items[0])
    with resumable_output(tmp_path / f"out{ending}", items) as output:
        if begun:
            block = np.zeros((1, 32, 32), np.float32)
            output.field("C/2/0").write(0, Box(0, 32, 0, 32), block)
        output.drop("C/2/0")
        write_field(output, items[0], image)
        with pytest.raises(ConfigError, match="no field 'C/2/0'"):
            output.field("C/2/0")
    if ending == ".zarr":
        assert list(read_zarr(output.path)) == ["A/1/0"]
        assert not (output.path / "C").exists()
        validate(output.path)
    else:
        assert [p.name for p in output.path.glob("*.tif")] == ["A_1_0.ome.tif"]


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_an_output_without_fields_is_refused(tmp_path, ending):
    def drop_all():
        with resumable_output(tmp_path / f"out{ending}", [field()]) as output:
            output.drop("f")

    with pytest.raises(OutputError, match="no field is left"):
        drop_all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("count", [0, 1])
def test_an_incomplete_field_is_refused(tmp_path, ending, count, small_chunks):
    item = field(sizes=(1, 1, 40, 40))

    def stop_early():
        with resumable_output(tmp_path / f"out{ending}", [item]) as output:
            for t, box in blocks(item, (32, 32))[:count]:
                output.field("f").write(t, box, np.zeros((1, *box.shape)))

    with pytest.raises(OutputError, match="field f"):
        stop_early()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("when", ["storing", "finishing"])
def test_what_cannot_be_resumed_leaves_nothing(
    tmp_path, monkeypatch, error, ending, when, small_chunks
):
    items = [field("a", (2, 1, 40, 40)), field("b")]
    written = []

    def fail(*args, **kwargs):
        written.append(1)
        if when == "finishing" or len(written) == 3:
            raise error
        return encode(*args, **kwargs)

    encode = output_shards.encode_shard
    if when == "storing":
        monkeypatch.setattr(output_shards, "encode_shard", fail)
    else:
        name = "output_zarr.group_metadata" if ending == ".zarr" else "output_tiff._write_file"
        monkeypatch.setattr(f"isl.io.{name}", fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write(tmp_path / f"out{ending}", items)
    assert written
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_existing_output(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    old = write(path, [field("old")])["old"]
    with pytest.raises(OutputError, match=r"exists already; pass --overwrite"):
        write(path, [field("new")])
    if ending == ".zarr":
        np.testing.assert_array_equal(read_zarr(path)["old"], old)
    write(path, [field("new", (1, 1, 3, 4))], overwrite=True)
    size = read_zarr(path)["new"].size if ending == ".zarr" else tifffile.imread(path).size
    assert size == 12


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_a_path_below_a_file_is_refused(tmp_path, ending):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another"):
        write(tmp_path / "file" / f"out{ending}", [field()])


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        ([], {}, "no field to write"),
        ([field("a"), field("a")], {}, "used 2 times"),
        ([field("/")], {}, "is empty"),
        ([field(sizes=(1, 0, 2, 2))], {}, "0 channels"),
        ([field(sizes=(1, 1, 0, 2))], {}, "0 rows"),
        ([field()], {"dtype": "float64"}, "float32, uint16, uint8"),
    ],
)
def test_a_plan_that_makes_no_sense(tmp_path, items, options, message):
    with pytest.raises(ConfigError, match=message):
        write(tmp_path / "out.zarr", items, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("box", "shape", "t"),
    [
        (Box(0, 32, 0, 32), (2, 32, 31), 0),
        (Box(0, 32, 0, 32), (1, 32, 32), 0),
        (Box(16, 40, 0, 32), (2, 24, 32), 0),
        (Box(0, 32, 0, 16), (2, 32, 16), 0),
        (Box(32, 64, 0, 32), (2, 32, 32), 0),
        (Box(0, 32, 0, 32), (2, 32, 32), 1),
        (Box(0, 0, 0, 16), (2, 0, 16), 0),
    ],
)
def test_blocks_that_do_not_fit_are_refused(tmp_path, small_chunks, box, shape, t):
    def write_block():
        with resumable_output(tmp_path / "a.zarr", [field(sizes=(1, 2, 40, 40))]) as output:
            output.field("f").write(t, box, np.zeros(shape))

    with pytest.raises(ConfigError, match="field f"):
        write_block()
    assert list(tmp_path.iterdir()) == []


def test_pixels_can_be_sent_to_other_processes(tmp_path):
    images = write(tmp_path / "a.zarr", [field()])
    [fov] = pickle.loads(pickle.dumps(open_omezarr(tmp_path / "a.zarr")))
    np.testing.assert_array_equal(fov.read("target 1")[0], images["f"][0, 1])


def test_the_same_pixels_give_the_same_bytes_whatever_the_processors():
    """Compressors with several threads store what is ready first."""
    layout = output_array.ArrayLayout.of((1, 1, 1, 512, 512), np.dtype(np.float32))
    chunk = image_of(field(sizes=(1, 1, 512, 512)))[0, 0]
    encoded = {layout.encode(chunk) for _ in range(50)}
    assert len(encoded) == 1
    np.testing.assert_array_equal(layout.decode(encoded.pop()), chunk)
