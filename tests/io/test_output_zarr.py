"""Layout and metadata of OME-Zarr outputs."""

from dataclasses import replace

import numpy as np
import pytest
import zarr
from output_images import (
    field,
    plate_field,
    read_zarr,
    validate,
    write,
)

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.io import output_array, output_shards
from isl.io.omezarr import open_omezarr
from isl.io.output import OutputChannel, OutputField


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 16 pixels, so that small images have many."""
    monkeypatch.setattr(output_array, "CHUNK_PX", 16)


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


@pytest.mark.parametrize(
    "names", [("one",), ("a b", "b/c", "lab-X,well-A4"), ("labels", "../x"), ("A/1/..", "A/2/0")]
)
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
    encoded = []
    encode = output_shards.encode_shard
    monkeypatch.setattr(
        output_shards, "encode_shard", lambda *a: encoded.append(a[1].shape) or encode(*a)
    )
    write(tmp_path / "a.zarr", [item])
    assert encoded == [(3, 32, 32), (3, 32, 1)]
    files = [p for p in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if p.is_file()]
    assert len(files) == 2


@pytest.mark.parametrize("names", [("a b", "a_b"), ("a", "a/b"), ("x/A", "x/a")])
def test_fields_that_would_share_a_folder_are_refused(tmp_path, names):
    with pytest.raises(ConfigError, match="same place"):
        write(tmp_path / "out.zarr", [field(name) for name in names])
    assert list(tmp_path.iterdir()) == []


def test_a_field_is_not_written_outside_its_well(tmp_path):
    item = plate_field("A/1", "..")
    images = write(tmp_path / "p.zarr", [item, plate_field("A/1", 0)])
    np.testing.assert_array_equal(read_zarr(tmp_path / "p.zarr")["A/1/.."], images["A/1/.."])
    assert [p.name for p in tmp_path.iterdir()] == ["p.zarr"]
