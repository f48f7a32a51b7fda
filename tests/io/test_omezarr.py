"""OME-Zarr as many programs write it, whole and damaged."""

import json
import shutil

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from isl.core.axes import Box, VoxelSize
from isl.core.errors import DamagedFileError, DataError
from isl.io.omezarr import is_omezarr, open_omezarr

SIZES = {"t": 2, "c": 3, "z": 4, "y": 9, "x": 11}
TYPES = {"t": "time", "c": "channel"}


def ramp(axes="tczyx", dtype="uint16"):
    shape = [SIZES[a] for a in axes]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def multiscales(axes, scale=None, units=None, path="0"):
    units = units or {}
    entries = [{"name": a, "type": TYPES.get(a, "space")} for a in axes]
    for entry in entries:
        if entry["name"] in units:
            entry["unit"] = units[entry["name"]]
    transform = {"type": "scale", "scale": list(scale or [1.0] * len(axes))}
    datasets = [{"path": path, "coordinateTransformations": [transform]}]
    return [{"version": "0.4", "axes": entries, "datasets": datasets}]


def write_attributes(folder, attributes, version="0.5"):
    if version == "0.5":
        zarr.create_group(
            str(folder),
            zarr_format=3,
            overwrite=False,
            attributes={"ome": {"version": "0.5", **attributes}},
        )
    else:
        zarr.create_group(str(folder), zarr_format=2, attributes=attributes)


def write_image(
    folder,
    axes="tczyx",
    version="0.5",
    *,
    image=None,
    scale=None,
    units=None,
    omero=None,
    chunks=None,
    shards=None,
):
    """Write an image as another program would; return its pixels."""
    image = ramp(axes) if image is None else image
    attributes = {"multiscales": multiscales(axes, scale, units)}
    if omero is not None:
        attributes["omero"] = omero
    write_attributes(folder, attributes, version)
    zarr.create_array(
        str(folder / "0"),
        data=image,
        chunks=chunks or image.shape,
        shards=shards,
        zarr_format=3 if version == "0.5" else 2,
    )
    return image


def write_plate(folder, wells, version="0.5"):
    rows = sorted({w.split("/")[0] for w in wells})
    columns = sorted({w.split("/")[1] for w in wells})
    plate = {
        "version": "0.4",
        "name": "experiment",
        "rows": [{"name": r} for r in rows],
        "columns": [{"name": c} for c in columns],
        "wells": [
            {
                "path": w,
                "rowIndex": rows.index(w.split("/")[0]),
                "columnIndex": columns.index(w.split("/")[1]),
            }
            for w in wells
        ],
    }
    write_attributes(folder, {"plate": plate}, version)
    for well, count in wells.items():
        images = [{"path": str(i)} for i in range(count)]
        write_attributes(folder / well, {"well": {"version": "0.4", "images": images}}, version)
        for i in range(count):
            write_image(folder / well / str(i), "czyx", version)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["tczyx", "czyx", "tzyx", "tcyx", "zyx", "cyx", "tyx", "yx"])
def test_every_selection_of_axes(tmp_path, axes, version):
    image = write_image(tmp_path / "cells.ome.zarr", axes, version)
    [fov] = open_omezarr(tmp_path / "cells.ome.zarr")
    full = image[tuple(slice(None) if a in axes else np.newaxis for a in "tczyx")]
    assert fov.name == "cells"
    assert fov.shape == full.shape
    assert fov.channel_names == tuple(f"channel {i}" for i in range(full.shape[1]))
    assert fov.well is None
    for t in range(fov.size_t):
        for c, name in enumerate(fov.channel_names):
            np.testing.assert_array_equal(fov.read(name, t=t), full[t, c])


def test_regions_and_planes_in_any_order(tmp_path):
    image = write_image(tmp_path / "a.zarr", chunks=(1, 1, 2, 4, 5))
    [fov] = open_omezarr(tmp_path / "a.zarr")
    box = Box(3, 8, 0, 7)
    for planes in ([2], [1, 2], [3, 0], [0, 0, 3, 1, 1], [0, 2]):
        pixels = fov.read("channel 1", t=1, z=planes, box=box)
        np.testing.assert_array_equal(pixels, image[1, 1, planes, 3:8, 0:7])
        assert pixels.dtype == np.uint16


@pytest.fixture
def reads(monkeypatch):
    """Keys, and bytes where only a part is read, that are asked of the store."""
    seen = []
    get = LocalStore.get

    async def counted(self, key, prototype=None, byte_range=None):
        value = await get(self, key, prototype, byte_range)
        if value is not None:
            seen.append((f"{self.root}/{key}", len(value)))
        return value

    monkeypatch.setattr(LocalStore, "get", counted)
    return seen


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_region_touches_only_its_chunks(tmp_path, reads, version):
    write_image(tmp_path / "a.zarr", version=version, chunks=(1, 1, 1, 4, 4))
    [fov] = open_omezarr(tmp_path / "a.zarr")
    assert not any("/c/" in key for key, _ in reads)
    reads.clear()
    fov.read("channel 2", t=1, z=[3], box=Box(4, 8, 0, 5))
    ends = sorted(key.rsplit("/0/", 1)[-1].removeprefix("c/").replace(".", "/") for key, _ in reads)
    assert [end[-9:] for end in ends] == ["1/2/3/1/0", "1/2/3/1/1"]


def test_a_region_of_a_sharded_array_reads_only_inner_chunks(tmp_path, reads):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 1 << 16, (1, 1, 1, 64, 64), dtype=np.uint16)
    write_image(tmp_path / "a.zarr", image=image, chunks=(1, 1, 1, 8, 8), shards=image.shape)
    [fov] = open_omezarr(tmp_path / "a.zarr")
    reads.clear()
    pixels = fov.read("channel 0", box=Box(8, 16, 8, 16))
    np.testing.assert_array_equal(pixels[0], image[0, 0, 0, 8:16, 8:16])
    index = 64 * 16 + 4
    assert sum(size for _, size in reads) < index + 8 * 8 * 2 * 2


def test_missing_chunks_hold_the_fill_value(tmp_path):
    write_image(tmp_path / "a.zarr", "yx", chunks=(4, 4))
    shutil.rmtree(tmp_path / "a.zarr" / "0" / "c" / "1")
    [fov] = open_omezarr(tmp_path / "a.zarr")
    assert not fov.read("channel 0", box=Box(4, 8, 0, 11)).any()


def test_channel_names_colours_and_modalities(tmp_path):
    channels = [{"label": "DAPI", "color": "#0000ff"}, {"color": "blue"}, {"label": "MAP2"}]
    write_image(tmp_path / "a.zarr", omero={"channels": channels})
    [fov] = open_omezarr(tmp_path / "a.zarr")
    assert fov.channel_names == ("DAPI", "channel 1", "MAP2")
    assert [c.color for c in fov.channels] == ["0000FF", None, None]
    assert fov.channel("DAPI").modality == "fluorescence"


@pytest.mark.parametrize(
    ("units", "scale", "expected"),
    [
        ({"z": "micrometer", "y": "micrometer", "x": "micrometer"}, (1, 0.3, 0.3), (1, 0.3, 0.3)),
        (
            {"z": "nanometer", "y": "nanometer", "x": "nanometer"},
            (250, 65, 65),
            (0.25, 0.065, 0.065),
        ),
        ({"z": "millimeter", "y": "um", "x": "µm"}, (0.001, 1, 1), (1, 1, 1)),
        ({}, (1, 1, 1), (None, None, None)),
        ({}, (1, 0.5, 0.5), (None, 0.5, 0.5)),
        ({"z": "parsec", "y": "pixel", "x": "micrometer"}, (2, 2, 2), (None, None, 2)),
        ({"y": "micrometer", "x": "micrometer"}, (0, 0.3, 0.3), (None, 0.3, 0.3)),
    ],
)
def test_voxel_size(tmp_path, units, scale, expected):
    write_image(tmp_path / "a.zarr", "zyx", units=units, scale=scale)
    assert open_omezarr(tmp_path / "a.zarr")[0].voxel_size == VoxelSize(*expected)


def test_scale_of_all_levels_counts_too(tmp_path):
    write_image(tmp_path / "a.zarr", "yx", "0.4", units={"y": "micrometer", "x": "micrometer"})
    path = tmp_path / "a.zarr" / ".zattrs"
    attributes = json.loads(path.read_text())
    common = [{"type": "scale", "scale": [0.2, 0.2]}]
    attributes["multiscales"][0]["coordinateTransformations"] = common
    path.write_text(json.dumps(attributes))
    assert open_omezarr(tmp_path / "a.zarr")[0].voxel_size == VoxelSize(None, 0.2, 0.2)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_plate(tmp_path, version):
    write_plate(tmp_path / "p.zarr", {"A/1": 1, "B/03": 2}, version)
    fovs = open_omezarr(tmp_path / "p.zarr")
    assert [f.name for f in fovs] == ["A/1/0", "B/03/0", "B/03/1"]
    assert [f.well for f in fovs] == ["A/1", "B/03", "B/03"]
    assert {f.plate for f in fovs} == {"experiment"}
    assert fovs[1].read("channel 0").shape == (4, 9, 11)


def test_one_bad_field_among_many_is_reported_and_skipped(tmp_path):
    root = tmp_path / "p.zarr"
    write_plate(root, {"A/1": 1, "B/03": 2, "C/1": 1, "D/1": 1})
    (root / "B" / "03" / "0" / "zarr.json").write_text('{"zarr_fo')
    shutil.rmtree(root / "C" / "1")
    shutil.rmtree(root / "D" / "1" / "0" / "0")
    bad = {}
    fovs = open_omezarr(root, on_bad=lambda name, error: bad.setdefault(name, str(error)))
    assert [f.name for f in fovs] == ["A/1/0", "B/03/1"]
    assert sorted(bad) == ["B/03/0", "C/1", "D/1/0"]
    assert "truncated" in bad["B/03/0"]
    assert "copy" in bad["C/1"]
    assert str(root / "D" / "1" / "0" / "0") in bad["D/1/0"]
    with pytest.raises(DamagedFileError, match="B/03/0"):
        open_omezarr(root)


def test_a_group_of_images_in_natural_order_without_labels(tmp_path):
    root = tmp_path / "g.zarr"
    write_attributes(root, {})
    for name in ("10", "2", "deep/er/x"):
        write_image(root / name, "yx")
    write_attributes(root / "2" / "labels", {"labels": ["nuclei"]})
    write_image(root / "2" / "labels" / "nuclei", "yx")
    write_image(root / "labels" / "cells", "yx")
    assert [f.name for f in open_omezarr(root)] == ["2", "10", "deep/er/x"]


def test_a_bad_image_in_a_group_is_reported_by_its_path(tmp_path):
    root = tmp_path / "g.zarr"
    write_attributes(root, {})
    write_image(root / "a", "yx")
    write_image(root / "b" / "c", "yx")
    (root / "b" / "c" / "zarr.json").write_text("[]")
    bad = []
    assert [f.name for f in open_omezarr(root, lambda n, e: bad.append(n))] == ["a"]
    assert bad == ["b/c"]


def test_what_is_ome_zarr(tmp_path):
    write_image(tmp_path / "no_ending", "yx")
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "file.zarr").write_text("")
    assert is_omezarr(tmp_path / "no_ending")
    assert is_omezarr(str(tmp_path / "broken.zarr"))
    assert not is_omezarr(tmp_path / "pictures")
    assert not is_omezarr(tmp_path / "file.zarr")
    assert not is_omezarr(tmp_path / "absent.zarr")


def edit(folder, change):
    path = folder / "zarr.json"
    document = json.loads(path.read_text())
    change(document["attributes"]["ome"])
    path.write_text(json.dumps(document))


def rename_axis(ome):
    ome["multiscales"][0]["axes"][0]["name"] = "row"


def add_channel(ome):
    ome["omero"] = {"channels": [{"label": "a"}, {"label": "b"}]}


def wrong_axes(ome):
    ome["multiscales"] = multiscales("zyx")


def no_datasets(ome):
    ome["multiscales"][0]["datasets"] = []


def no_multiscales(ome):
    ome["multiscales"] = []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (rename_axis, DataError, "axes are row x.*rearrange"),
        (add_channel, DamagedFileError, "names 2 channels.*has 1.*correct"),
        (wrong_axes, DamagedFileError, "axes z y x, but the array has 2"),
        (no_datasets, DamagedFileError, "not valid at datasets.*correct"),
        (no_multiscales, DamagedFileError, "not valid.*correct"),
    ],
)
def test_metadata_that_makes_no_sense(tmp_path, change, error, message):
    write_image(tmp_path / "a.zarr", "yx")
    edit(tmp_path / "a.zarr", change)
    with pytest.raises(error, match=message) as caught:
        open_omezarr(tmp_path / "a.zarr")
    assert str(tmp_path / "a.zarr") in str(caught.value)


def test_missing_and_foreign_metadata(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DamagedFileError, match=r"empty\.zarr has no zarr metadata.*copy"):
        open_omezarr(tmp_path / "empty.zarr")
    zarr.create_array(str(tmp_path / "bare.zarr"), data=np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"bare\.zarr is a bare zarr array"):
        open_omezarr(tmp_path / "bare.zarr")
    zarr.create_array(str(tmp_path / "foreign.zarr"), name="stuff", data=np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"foreign\.zarr is zarr but holds no OME-Zarr.*convert"):
        open_omezarr(tmp_path / "foreign.zarr")
    bad = []
    assert open_omezarr(tmp_path / "foreign.zarr", lambda name, error: bad.append(name)) == []
    assert bad == ["foreign"]


def chunk_files(folder):
    return [f for f in folder.rglob("*") if f.is_file() and not f.name.startswith((".z", "zarr"))]


@pytest.mark.parametrize("version", ["0.4", "0.5", "sharded"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_truncated_chunk(tmp_path, version, keep):
    image = np.random.default_rng(0).normal(size=(32, 32))
    sharded = {"chunks": (8, 8), "shards": (32, 32)} if version == "sharded" else {}
    write_image(
        tmp_path / "a.zarr", "yx", "0.4" if version == "0.4" else "0.5", image=image, **sharded
    )
    [chunk] = chunk_files(tmp_path / "a.zarr" / "0")
    chunk.write_bytes(chunk.read_bytes()[: int(keep * chunk.stat().st_size)])
    [fov] = open_omezarr(tmp_path / "a.zarr")
    with pytest.raises(DamagedFileError, match=r"a\.zarr.*copy it again"):
        fov.read("channel 0")
    with pytest.raises(DamagedFileError, match=r"a\.zarr.*copy it again"):
        fov.read("channel 0", box=Box(24, 32, 24, 32))


BLOSC = {"0.4": numcodecs.Blosc(), "0.5": zarr.codecs.BloscCodec()}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("keep", [0.9, 0.5, 0.001])
def test_a_cut_blosc_chunk_is_noticed(tmp_path, version, keep):
    """Blosc does not know how long its input is, and decodes what lies behind it in memory."""
    image = np.random.default_rng(0).integers(0, 4000, (40, 50)).astype(np.uint16)
    write_attributes(tmp_path / "a.zarr", {"multiscales": multiscales("yx")}, version)
    array = zarr.create_array(
        str(tmp_path / "a.zarr" / "0"),
        shape=image.shape,
        dtype=image.dtype,
        chunks=(20, 50),
        compressors=BLOSC[version],
        zarr_format=3 if version == "0.5" else 2,
    )
    array[:] = image
    (fov,) = open_omezarr(tmp_path / "a.zarr")
    np.testing.assert_array_equal(fov.read("channel 0")[0], image)
    files = (p for p in (tmp_path / "a.zarr" / "0").rglob("*") if p.is_file())
    chunk = max(files, key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[: int(keep * chunk.stat().st_size) or 1])
    with pytest.raises(DamagedFileError, match=f"{chunk.name} is truncated"):
        fov.read("channel 0")


def test_an_array_without_its_description_is_named(tmp_path):
    write_image(tmp_path / "a.zarr", version="0.4")
    (tmp_path / "a.zarr" / "0" / ".zarray").unlink()
    (tmp_path / "a.zarr" / "0" / ".zattrs").write_text("{}")
    with pytest.raises(DamagedFileError, match="announces an array there, but there is none"):
        open_omezarr(tmp_path / "a.zarr")
