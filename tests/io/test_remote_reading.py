"""Images at addresses give the pixels of local ones, and failures pass or are told."""

import logging
import socket
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from far_server import far_server
from imagecodecs import png_encode
from output_images import field, plate_field, write

from isl.api import open_data
from isl.core.axes import Box
from isl.core.errors import DamagedFileError, DataError
from isl.io import remote, remote_http, remote_retry
from isl.io.download_state import DownloadError, UnreachableError
from isl.io.open import open_fovs

ONE_TRY = {"retries": {"total_max_attempts": 1}}
BOX = Box(3, 300, 250, 610)


@pytest.fixture
def far(tmp_path):
    with far_server(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Waiting is not tested by waiting."""
    monkeypatch.setattr(remote_retry, "_patience", remote_retry.Patience(4, 0.01, 0.02, 5.0))
    monkeypatch.setattr(remote_http, "_warned", set())


def write_image(folder, name="image.zarr", size=640):
    write(folder / name, [field(name.removesuffix(".zarr"), (1, 2, size, size))])


def read_all(fov, box=None):
    return [fov.read(c, t=t, box=box) for c in fov.channel_names for t in range(fov.size_t)]


def same_pixels(local, far, box=None):
    assert [f.name for f in far] == [f.name for f in local]
    assert [f.channels for f in far] == [f.channels for f in local]
    for one, other in zip(local, far, strict=True):
        assert one.voxel_size == other.voxel_size
        pairs = zip(read_all(one, box), read_all(other, box), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(a, b, strict=True)


def test_sharded_image_is_equal_and_read_in_parts(far, tmp_path):
    write_image(tmp_path)
    whole = sum(f.stat().st_size for f in (tmp_path / "image.zarr/0").rglob("*"))
    [fov] = open_fovs(f"{far.address}/image.zarr")
    before, sent = remote.traffic(), far.sent
    fov.read("target 0", box=Box(0, 8, 0, 8))
    came = remote.traffic().since(before)
    assert came.bytes == far.sent - sent < whole / 2
    assert came.seconds > 0
    assert came.megabytes_per_second > 0
    same_pixels(open_fovs(tmp_path / "image.zarr"), [fov], BOX)


def test_server_without_parts_costs_more_but_gives_the_same(far, tmp_path, caplog):
    write_image(tmp_path)
    far.knows_ranges = False
    far_fovs = open_fovs(f"{far.address}/image.zarr")
    same_pixels(open_fovs(tmp_path / "image.zarr"), far_fovs, BOX)
    assert [r.levelname for r in caplog.records if "sends whole files" in r.message] == ["WARNING"]


def test_plate_without_listing(far, tmp_path):
    items = [plate_field("B/03", 0), plate_field("B/03", 1), plate_field("C/11", 0)]
    write(tmp_path / "plate.zarr", items)
    same_pixels(open_fovs(tmp_path / "plate.zarr"), open_fovs(f"{far.address}/plate.zarr"))
    asked = [path for _, path, _ in far.requests if path.endswith("zarr.json")]
    assert len(asked) == len(set(asked))


def test_collection_without_listing(far, tmp_path):
    write(tmp_path / "several.zarr", [field("one"), field("two")])
    same_pixels(open_fovs(tmp_path / "several.zarr"), open_fovs(f"{far.address}/several.zarr"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (64, 64), "compression": "zlib"},
        {"rowsperstrip": 8, "compression": "zlib"},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
)
def test_tiff_is_equal_and_read_in_parts(far, tmp_path, options):
    stack = np.random.default_rng(1).integers(0, 9999, (6, 900, 700)).astype("uint16")
    name = "a.ome.tif" if options.get("ome") else "a.tif"
    tifffile.imwrite(tmp_path / name, stack, **options)
    far_fovs = open_fovs(f"{far.address}/{name}")
    far_fovs[0].read(far_fovs[0].channel_names[0], z=[3], box=Box(0, 16, 0, 700))
    assert far.sent < (tmp_path / name).stat().st_size
    same_pixels(open_fovs(tmp_path / name), far_fovs, BOX)


@pytest.mark.parametrize("hinder", ["knows_ranges", "allows_head"])
def test_tiff_from_a_plain_server(far, tmp_path, hinder):
    setattr(far, hinder, False)
    tifffile.imwrite(tmp_path / "a.tif", np.arange(6000, dtype="uint16").reshape(60, 100))
    same_pixels(open_fovs(tmp_path / "a.tif"), open_fovs(f"{far.address}/a.tif"))


def test_png_and_table(far, tmp_path, monkeypatch):
    monkeypatch.setenv("ISL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "wells").mkdir()
    for name in ("p", "q"):
        image = np.random.default_rng(len(name)).integers(0, 255, (20, 30)).astype("uint8")
        (tmp_path / "wells" / f"{name}.png").write_bytes(png_encode(image))
    rows = [("wells/p.png", "one", "DAPI"), (f"{far.address}/wells/q.png", "one", "TRITC")]
    table = pd.DataFrame(rows, columns=["path", "fov", "channel"])
    table.to_csv(tmp_path / "t.csv", index=False)
    same_pixels(open_fovs(tmp_path / "t.csv"), open_fovs(f"{far.address}/t.csv"))
    same_pixels(open_fovs(tmp_path / "wells/p.png"), open_fovs(f"{far.address}/wells/p.png"))


def test_a_file_is_fetched_again_only_when_it_changed(far, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "p.png").write_bytes(png_encode(np.zeros((4, 5), "uint8")))
    for value in (0, 0, 7):
        if value:
            (tmp_path / "p.png").write_bytes(png_encode(np.full((4, 5), value, "uint8")))
        remote.forget(f"{far.address}/p.png")
        [fov] = open_fovs(f"{far.address}/p.png")
        assert (fov.read(fov.channel_names[0]) == value).all()
    assert sum("MB) to" in record.message for record in caplog.records) == 2


@pytest.mark.parametrize("failure", [503, 429, "cut"])
def test_failures_that_pass_are_waited_out(far, tmp_path, failure):
    write_image(tmp_path)
    before = remote.traffic()
    far.failures = {"c/0/0/0/0/0": [failure, failure]}
    same_pixels(open_fovs(tmp_path / "image.zarr"), open_fovs(f"{far.address}/image.zarr"))
    assert remote.traffic().since(before).retries == 2


def test_a_failure_that_stays_ends_with_the_address(far, tmp_path):
    write_image(tmp_path)
    [fov] = open_fovs(f"{far.address}/image.zarr")
    far.failures = {"c/0/0/0/0/0": [500] * 99}
    with pytest.raises(DownloadError, match=rf"{far.address}/image.zarr/0/c\S* .*4 tries.*500"):
        fov.read("target 0")
    assert len(far.failures["c/0/0/0/0/0"]) == 99 - 4


def test_refusal_is_told_at_once(far, tmp_path):
    write_image(tmp_path)
    [fov] = open_fovs(f"{far.address}/image.zarr")
    far.failures = {"c/0/0/0/0/0": [403] * 9}
    with pytest.raises(DataError, match=r"no permission.*403.*credentials"):
        fov.read("target 0")
    assert len(far.failures["c/0/0/0/0/0"]) == 8


def test_no_server(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}.*cannot be reached"):
        open_fovs(f"http://127.0.0.1:{port}/a.tif")


def test_no_object_store(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    config = {"endpoint_url": f"http://127.0.0.1:{port}", "config_kwargs": ONE_TRY}
    monkeypatch.setitem(fsspec.config.conf, "s3", config)
    with pytest.raises(UnreachableError, match=r"s3://bucket/a\.tif: .*cannot be reached"):
        open_fovs("s3://bucket/a.tif")


@pytest.mark.parametrize("place", ["nothing.tif", "folder", "folder/"])
def test_nothing_or_a_folder_over_http(far, tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"no image.*name a \.zarr"):
        open_fovs(f"{far.address}/{place}")


def test_cut_files(far, tmp_path):
    write_image(tmp_path)
    [fov] = open_fovs(f"{far.address}/image.zarr")
    shard = tmp_path / "image.zarr/0/c/0/0/0/0/0"
    shard.write_bytes(b"")
    with pytest.raises(DamagedFileError, match="is empty"):
        fov.read("target 0")


def test_cut_chunk_of_blosc(far, tmp_path):
    write_image(tmp_path, "plain.zarr")
    array = zarr.create_array(
        str(tmp_path / "plain.zarr/0"), shape=(1, 2, 1, 640, 640), dtype="float32",
        chunks=(1, 1, 1, 640, 640), compressors=zarr.codecs.BloscCodec(), overwrite=True,
    )  # fmt: skip
    array[:] = np.random.default_rng(0).random(array.shape)
    chunk = tmp_path / "plain.zarr/0/c/0/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-100])
    [fov] = open_fovs(f"{far.address}/plain.zarr")
    with pytest.raises(DamagedFileError, match="is truncated"):
        fov.read("target 0")


def test_cut_tiff(far, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((600, 700), "uint16"))
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:-1000])
    with pytest.raises(DamagedFileError, match=rf"{far.address}/a.tif: truncated"):
        open_fovs(f"{far.address}/a.tif")


def test_api_takes_addresses_as_the_command_line_gives_them(far, tmp_path):
    write_image(tmp_path)
    [fov] = open_data(Path(f"{far.address}/image.zarr"))
    assert str(fov.path) == f"{far.address}/image.zarr"
    with pytest.raises(DataError, match=r"b\.zarr: there is no"):
        open_data([f"{far.address}/image.zarr", f"{far.address}/b.zarr"])
