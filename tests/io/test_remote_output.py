"""Images and outputs in an object store: S3 as moto plays it, on this machine."""

import json
import secrets

import numpy as np
import pytest
from fsspec.core import url_to_fs
from imagecodecs import png_encode
from output_images import blocks, field, image_of, plate_field, write, write_field, write_task

from isl.core.errors import ConfigError, DataError, OutputError
from isl.io import remote, remote_output
from isl.io.open import open_fovs
from isl.io.output import resumable_output
from isl.io.output_path import check_output
from isl.io.remote_path import as_path

ITEMS = [plate_field("B/03", 0), plate_field("B/04", 0)]


@pytest.fixture(scope="module")
def server():
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """Address of an empty bucket."""
    settings = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ISL_CACHE": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    address = f"s3://b{secrets.token_hex(6)}"
    system, name = url_to_fs(address, endpoint_url=server)
    system.mkdir(name)
    return as_path(address)


def pixels_of(path):
    return {f.name: [f.read(c) for c in f.channel_names] for f in open_fovs(path)}


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        for a, b in zip(one[name], other[name], strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def test_output_is_that_of_the_local_disk(bucket, tmp_path):
    write(tmp_path / "p.zarr", ITEMS)
    write(bucket / "p.zarr", ITEMS)
    same(pixels_of(tmp_path / "p.zarr"), pixels_of(bucket / "p.zarr"))
    for file in filter(lambda f: f.is_file(), (tmp_path / "p.zarr").rglob("*")):
        name = file.relative_to(tmp_path).as_posix()
        assert (bucket / name).read_bytes() == file.read_bytes()
    assert remote.names_in(bucket) == ["p.zarr"]
    assert list((tmp_path / "cache" / "outputs").iterdir()) == []


def test_an_output_is_replaced_only_as_asked(bucket):
    write(bucket / "p.zarr", ITEMS)
    with pytest.raises(OutputError, match=r"p\.zarr exists already; pass --overwrite"):
        write(bucket / "p.zarr", ITEMS)
    with pytest.raises(OutputError, match=r"p\.zarr exists already; pass --overwrite"):
        check_output(bucket / "p.zarr", 2, overwrite=False)
    check_output(bucket / "p.zarr", 2, overwrite=True)
    check_output(bucket / "q.zarr", 2, overwrite=False)
    write(bucket / "p.zarr", ITEMS[:1], overwrite=True)
    assert list(pixels_of(bucket / "p.zarr")) == ["B/03/0"]
    assert remote.names_in(bucket / "p.zarr" / "B") == ["03", "zarr.json"]


def test_an_address_that_is_only_read_is_refused_before_the_work():
    with pytest.raises(OutputError, match="read-only"):
        check_output("https://host.invalid/p.zarr", 1, overwrite=False)


def test_sending_goes_on_after_a_failure(bucket, tmp_path, monkeypatch):
    real, sent = remote_output._send, []

    def failing(folder, address, names):
        if any(name == "zarr.json" for name in names):
            raise DataError("the network is gone")
        sent.extend(names)
        real(folder, address, names)

    monkeypatch.setattr(remote_output, "_send", failing)
    with pytest.raises(DataError, match="gone") as caught:
        write(bucket / "p.zarr", ITEMS, fingerprint={"model": "m"})
    assert "the same command sends the rest" in caught.value.__notes__[0]
    assert not (bucket / "p.zarr" / "zarr.json").exists()
    assert remote.names_in(bucket) == ["p.zarr", "p.zarr.partial"]
    first, again = set(sent), []

    def noting(folder, address, names):
        again.extend(names)
        real(folder, address, names)

    monkeypatch.setattr(remote_output, "_send", noting)
    write(bucket / "p.zarr", ITEMS, fingerprint={"model": "m"})
    assert again == ["zarr.json"]
    assert len(first) > 4
    write(tmp_path / "p.zarr", ITEMS)
    same(pixels_of(tmp_path / "p.zarr"), pixels_of(bucket / "p.zarr"))
    assert remote.names_in(bucket) == ["p.zarr"]


@pytest.mark.concurrent
def test_an_interrupted_run_goes_on(bucket, tmp_path):
    item, image = ITEMS[0], image_of(ITEMS[0])
    [(t, box)] = blocks(item, (512, 512))
    options = {"fingerprint": {"model": "m"}}

    def interrupted():
        with resumable_output(bucket / "p.zarr", ITEMS, **options) as output:
            write_task(output, item, image, t, box)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert remote.names_in(bucket) == ["p.zarr.partial"]
    with resumable_output(bucket / "p.zarr", ITEMS, **options) as output:
        assert output.resumed == 1
        write_field(output, ITEMS[0], image * np.nan)
        write_field(output, ITEMS[1], image)
    found = pixels_of(bucket / "p.zarr")
    np.testing.assert_array_equal(found["B/03/0"][0][0], image[0, 0])
    assert remote.names_in(bucket) == ["p.zarr"]


def test_another_machine_is_refused(bucket):
    other = {"host": "elsewhere", "folder": "/x", "since": "2026-11-22"}
    remote.write_text(bucket / "p.zarr.partial", json.dumps(other))
    with pytest.raises(OutputError, match=r"written from elsewhere since 2026.*delete s3://"):
        write(bucket / "p.zarr", ITEMS)
    assert remote.names_in(bucket) == ["p.zarr.partial"]


def test_an_output_in_a_bucket_that_is_not_there(bucket):
    other = bucket.with_name("nobody-made-this")
    with pytest.raises(OutputError, match="no bucket of that name"):
        write(other / "p.zarr", ITEMS)


def test_what_is_no_zarr_is_not_written(bucket):
    with pytest.raises(ConfigError, match=r"only OME-Zarr.*\.zarr"):
        write(bucket / "p.ome.tif", [field()])
    with pytest.raises(OutputError, match="read-only"):
        write("http://127.0.0.1/p.zarr", [field()])


def test_folder_of_images(bucket, tmp_path):
    image = np.arange(600).reshape(20, 30).astype("uint8")
    content = png_encode(image)
    (tmp_path / "w").mkdir()
    for name in ("A1_BF_z0.png", "A1_BF_z1.png", "A1_DAPI.png"):
        (tmp_path / "w" / name).write_bytes(content)
        system, place = url_to_fs(str(bucket / "w" / name))
        system.pipe_file(place, content)
    same(pixels_of(tmp_path / "w"), pixels_of(bucket / "w"))


def test_nothing_there(bucket):
    with pytest.raises(DataError, match=r"no\.zarr: there is no image"):
        open_fovs(bucket / "no.zarr")
    with pytest.raises(DataError, match="there is no image"):
        open_fovs("s3://no-such-bucket-at-all/a.tif")
