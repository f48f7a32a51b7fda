"""What is written comes back, whatever the format, the shape and the order of the blocks."""

import errno
import json
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isl.core.axes import Box, VoxelSize
from isl.core.errors import ConfigError, OutputError
from isl.io import output_array
from isl.io.omezarr import open_omezarr
from isl.io.output import OutputChannel, OutputField, create_output, output_path

VOXEL = VoxelSize(1.0, 0.3, 0.25)


def field(name="f", sizes=(1, 2, 7, 9), *, well=None, plate=None):
    size_t, size_c, size_y, size_x = sizes
    channels = tuple(OutputChannel(f"target {c}") for c in range(size_c))
    return OutputField(name, channels, size_t, size_y, size_x, VOXEL, well, plate)


def plate_field(well, number, sizes=(1, 1, 7, 9)):
    return field(f"{well}/{number}", sizes, well=well, plate="P1")


def image_of(item, seed=0):
    shape = (item.size_t, len(item.channels), item.size_y, item.size_x)
    return np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)


def blocks(item, chunk_yx, step=(1, 1)):
    """Every block of a field, ``step`` chunks high and wide, row by row."""
    rows, columns = (c * s for c, s in zip(chunk_yx, step, strict=True))
    return [
        (t, Box(y, min(y + rows, item.size_y), x, min(x + columns, item.size_x)))
        for t in range(item.size_t)
        for y in range(0, item.size_y, rows)
        for x in range(0, item.size_x, columns)
    ]


def write_field(output, item, image, step=(1, 1), order=None):
    writer = output.field(item.name)
    plan = blocks(item, writer.chunk_yx, step)
    for i in order(len(plan)) if order else range(len(plan)):
        t, box = plan[i]
        writer.write(t, box, image[(t, slice(None), *box.slices)])


def write(path, items, **options):
    """Write random images and return them by the name of the field."""
    images = {item.name: image_of(item, seed) for seed, item in enumerate(items)}
    with create_output(path, items, **options) as output:
        for item in items:
            write_field(output, item, images[item.name])
    return images


def read_zarr(path):
    return {
        fov.name: np.stack(
            [[fov.read(c, t=t)[0] for c in fov.channel_names] for t in range(fov.size_t)]
        )
        for fov in open_omezarr(path)
    }


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
    budget = data.draw(st.sampled_from([0, 3000, 1 << 28]))
    item, path = field(sizes=sizes), tmp_path_factory.mktemp("out") / f"out{ending}"
    image = image_of(item)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_array, "BUFFER_BYTES", budget)
        with create_output(path, [item]) as output:
            write_field(output, item, image, step, lambda n: data.draw(st.permutations(range(n))))
    if ending == ".zarr":
        result = read_zarr(path)["f"]
    else:
        result = tifffile.imread(path).reshape(image.shape)
    np.testing.assert_array_equal(result, image)


def test_special_values_survive(tmp_path):
    item = field(sizes=(1, 1, 2, 3))
    values = np.array([[[-0.0, np.nan, np.inf], [0, -np.inf, 1e-45]]], np.float32)
    with create_output(tmp_path / "a.zarr", [item]) as output:
        output.field("f").write(0, Box(0, 2, 0, 3), values)
    assert read_zarr(tmp_path / "a.zarr")["f"].tobytes() == values.tobytes()


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
@pytest.mark.parametrize("ending", [".zarr", ".tif"])
def test_integers_are_rounded_and_clipped(tmp_path, dtype, top, ending):
    item, path = field(sizes=(1, 1, 1, 7)), tmp_path / f"a{ending}"
    values = np.array([[[-3, 0.4, 0.6, 2.5, 1e9, np.nan, np.inf]]], np.float32)
    with create_output(path, [item], dtype=dtype) as output:
        output.field("f").write(0, Box(0, 1, 0, 7), values)
    result = read_zarr(path)["f"] if ending == ".zarr" else tifffile.imread(path)
    assert result.dtype == dtype
    assert result.ravel().tolist() == [0, 0, 1, 2, top, 0, top]


def test_plate_keeps_wells_and_fields(tmp_path, small_chunks):
    items = [plate_field("B/03", i) for i in range(2)] + [
        plate_field("B/10", 7, (2, 1, 300, 20)),
        plate_field("AA/2", "left"),
    ]
    images = write(tmp_path / "p.zarr", items, attributes={"model": "m.isl"})
    fovs = open_omezarr(tmp_path / "p.zarr")
    assert [f.name for f in fovs] == ["B/03/0", "B/03/1", "B/10/7", "AA/2/left"]
    assert [f.well for f in fovs] == ["B/03", "B/03", "B/10", "AA/2"]
    assert {f.plate for f in fovs} == {"P1"}
    for name, image in read_zarr(tmp_path / "p.zarr").items():
        np.testing.assert_array_equal(image, images[name])
    validate(tmp_path / "p.zarr")
    root = zarr.open_group(tmp_path / "p.zarr", mode="r")
    assert root.attrs["isl"]["model"] == "m.isl"
    assert root.attrs["ome"]["plate"]["field_count"] == 2


def validate(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yaozarrs.validate_zarr_store(str(path))


@pytest.mark.parametrize("names", [("one",), ("a b", "b/c", "lab-X,well-A4"), ("labels", "../x")])
def test_images_and_collections_keep_the_names_of_fields(tmp_path, names):
    items = [field(name) for name in names]
    images = write(tmp_path / "g.ome.zarr", items, attributes={"version": 1})
    result = read_zarr(tmp_path / "g.ome.zarr")
    assert sorted(result) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(result[name], images[name])
    validate(tmp_path / "g.ome.zarr")
    assert zarr.open_group(tmp_path / "g.ome.zarr", mode="r").attrs["isl"]["version"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["g.ome.zarr"]


def test_fields_that_a_plate_cannot_hold_keep_well_and_plate(tmp_path):
    items = [replace(field(n), well="A4", plate=n) for n in ("x", "y")]
    write(tmp_path / "g.zarr", items)
    assert [(f.well, f.plate) for f in open_omezarr(tmp_path / "g.zarr")] == [
        ("A4", "x"),
        ("A4", "y"),
    ]


def test_pyramid_scale_colours_and_windows(tmp_path):
    channels = (
        OutputChannel("DAPI"),
        OutputChannel("NFH", color="ABCDEF", window=(0.0, 99.0)),
    )
    item = OutputField("f", channels, 2, 1000, 701, VoxelSize(None, 0.5, 0.25))
    images = write(tmp_path / "a.zarr", [item])
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    ome = group.attrs["ome"]
    [multiscale] = ome["multiscales"]
    assert [d["path"] for d in multiscale["datasets"]] == ["0", "1", "2"]
    assert [group[p].shape for p in "012"] == [
        (2, 2, 1, 1000, 701), (2, 2, 1, 500, 351), (2, 2, 1, 250, 176)]  # fmt: skip
    scale, shift = multiscale["datasets"][2]["coordinateTransformations"]
    assert scale["scale"] == [1, 1, 1, 2.0, 1.0]
    assert shift["translation"] == [0, 0, 0, 0.75, 0.375]
    units = [axis.get("unit") for axis in multiscale["axes"]]
    assert units == [None, None, None, "micrometer", "micrometer"]
    image = images["f"].astype(float)
    mean = image[:, :, :, :700].reshape(2, 2, 500, 2, 350, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(group["1"][:, :, 0, :, :350], mean, rtol=1e-6)
    edge = image[:, :, :, 700].reshape(2, 2, 500, 2).mean(axis=3)
    np.testing.assert_allclose(group["1"][:, :, 0, :, 350], edge, rtol=1e-6)
    dapi, nfh = ome["omero"]["channels"]
    assert (dapi["label"], dapi["color"]) == ("DAPI", "0000FF")
    assert (nfh["label"], nfh["color"]) == ("NFH", "ABCDEF")
    assert (nfh["window"]["start"], nfh["window"]["end"]) == (0.0, 99.0)
    assert 0 < dapi["window"]["start"] < 100 < dapi["window"]["end"] < 300
    assert open_omezarr(tmp_path / "a.zarr")[0].voxel_size == VoxelSize(None, 0.5, 0.25)


def test_shards_are_written_once_and_hold_all_channels(tmp_path, small_chunks, monkeypatch):
    item = field(sizes=(1, 3, 32, 33))
    stored = []
    store = output_array.BlockWriter._store
    monkeypatch.setattr(
        output_array.BlockWriter, "_store", lambda *a: stored.append(a[2]) or store(*a)
    )
    write(tmp_path / "a.zarr", [item])
    assert stored == [Box(0, 32, 0, 32), Box(0, 32, 32, 33)]
    files = [p for p in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if p.is_file()]
    assert len(files) == 2


def test_tiff_metadata(tmp_path):
    item = OutputField("B/03/0", (OutputChannel("DAPI"), OutputChannel("µ <b>", "FF0000")),
                       3, 600, 40, VoxelSize(None, 0.5, 0.25))  # fmt: skip
    write(tmp_path / "a.ome.tiff", [item], attributes={"model": {"name": "é {x}"}})
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as tif:
        assert tif.pages[0].is_tiled
        assert tif.series[0].axes == "TCYX"
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]
    assert image["Image"]["Name"] == "B/03/0"
    pixels = image["Image"]["Pixels"]
    assert [c["Name"] for c in pixels["Channel"]] == ["DAPI", "µ <b>"]
    assert [c["Color"] & 0xFFFFFFFF for c in pixels["Channel"]] == [0x0000FFFF, 0xFF0000FF]
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.25, 0.5)
    assert pixels["PhysicalSizeXUnit"] == "µm"
    assert "PhysicalSizeZ" not in pixels
    note = image["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    assert note["K"] == "isl"
    assert json.loads(note["value"]) == {"model": {"name": "é {x}"}}


def test_large_tiff_is_bigtiff(tmp_path, monkeypatch):
    from isl.io import output_tiff

    monkeypatch.setattr(output_tiff, "BIGTIFF_BYTES", 100)
    write(tmp_path / "a.tif", [field()])
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff


def test_several_fields_go_to_a_folder_of_tiff_files(tmp_path):
    items = [plate_field("B/03", 0), plate_field("B/03", 1, (2, 2, 5, 6))]
    images = write(tmp_path / "out.ome.tif", items)
    files = sorted(p.name for p in (tmp_path / "out").glob("[!.]*"))
    assert files == ["B_03_0.ome.tif", "B_03_1.ome.tif"]
    for name, file in zip(images, files, strict=True):
        result = tifffile.imread(tmp_path / "out" / file).reshape(images[name].shape)
        np.testing.assert_array_equal(result, images[name])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="--overwrite"):
        write(tmp_path / "out.ome.tif", items)
    write(tmp_path / "out.ome.tif", items, overwrite=True)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
def test_a_dropped_field_does_not_appear(tmp_path, ending, begun, small_chunks):
    items = [plate_field("A/1", 0), plate_field("C/2", 0, (1, 1, 40, 40))]
    image = image_of(items[0])
    with create_output(tmp_path / f"out{ending}", items) as output:
        if begun:
            block = np.zeros((1, 16, 16), np.float32)
            output.field("C/2/0").write(0, Box(0, 16, 0, 16), block)
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
        with create_output(tmp_path / f"out{ending}", [field()]) as output:
            output.drop("f")

    with pytest.raises(OutputError, match="no field is left"):
        drop_all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("count", [0, 1])
def test_an_incomplete_field_is_refused(tmp_path, ending, count, small_chunks):
    item = field(sizes=(1, 1, 20, 20))

    def stop_early():
        with create_output(tmp_path / f"out{ending}", [item]) as output:
            for t, box in blocks(item, (16, 16))[:count]:
                output.field("f").write(t, box, np.zeros((1, *box.shape)))

    with pytest.raises(OutputError, match="field f"):
        stop_early()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("when", ["storing", "finishing"])
def test_trouble_in_the_middle_leaves_nothing(
    tmp_path, monkeypatch, error, ending, when, small_chunks
):
    items = [field("a", (2, 1, 40, 40)), field("b")]
    written = []

    def fail(*args, **kwargs):
        written.append(1)
        if when == "finishing" or len(written) == 3:
            raise error
        return store(*args, **kwargs)

    store = output_array.BlockWriter._store
    if when == "storing":
        monkeypatch.setattr(output_array.BlockWriter, "_store", fail)
    else:
        name = "output_zarr._write_group" if ending == ".zarr" else "output_tiff._write_file"
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
        ([field("a b"), field("a_b")], {}, "same place"),
        ([field("a"), field("a/b")], {}, "same place"),
    ],
)
def test_a_plan_that_makes_no_sense(tmp_path, items, options, message):
    with pytest.raises(ConfigError, match=message):
        write(tmp_path / "out.zarr", items, **options)
    assert list(tmp_path.iterdir()) == []


def test_two_fields_of_one_file_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"same file 'a_b\.ome\.tif'"):
        write(tmp_path / "out.tif", [field("a/b"), field("a_b")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("box", "shape", "t"),
    [
        (Box(0, 16, 0, 16), (2, 16, 15), 0),
        (Box(0, 16, 0, 16), (1, 16, 16), 0),
        (Box(8, 24, 0, 16), (2, 16, 16), 0),
        (Box(0, 16, 0, 8), (2, 16, 8), 0),
        (Box(32, 48, 0, 16), (2, 16, 16), 0),
        (Box(0, 16, 0, 16), (2, 16, 16), 1),
        (Box(0, 0, 0, 16), (2, 0, 16), 0),
    ],
)
def test_blocks_that_do_not_fit_are_refused(tmp_path, small_chunks, box, shape, t):
    def write_block():
        with create_output(tmp_path / "a.zarr", [field(sizes=(1, 2, 40, 40))]) as output:
            output.field("f").write(t, box, np.zeros(shape))

    with pytest.raises(ConfigError, match="field f"):
        write_block()
    assert list(tmp_path.iterdir()) == []


def test_a_block_written_twice_is_refused(tmp_path):
    item = field()
    with create_output(tmp_path / "a.zarr", [item]) as output:
        write_field(output, item, image_of(item))
        with pytest.raises(ConfigError, match="written twice"):
            write_field(output, item, image_of(item))


@pytest.mark.parametrize("name", ["out", "out.png", ".zarr", ".ome.tif", "out.zarr.zip"])
def test_an_ending_that_says_no_format(tmp_path, name):
    with pytest.raises(ConfigError, match=r"use \.zarr"):
        output_path(tmp_path / name, 1)


def test_where_an_output_appears(tmp_path):
    assert output_path(tmp_path / "a.OME.TIF", 1).name == "a.OME.TIF"
    assert output_path(tmp_path / "a.OME.TIF", 2).name == "a"
    assert output_path(tmp_path / "a.ome.zarr", 2).name == "a.ome.zarr"


def test_pixels_can_be_sent_to_other_processes(tmp_path):
    images = write(tmp_path / "a.zarr", [field()])
    [fov] = pickle.loads(pickle.dumps(open_omezarr(tmp_path / "a.zarr")))
    np.testing.assert_array_equal(fov.read("target 1")[0], images["f"][0, 1])
