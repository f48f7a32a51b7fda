"""The words for local paths and addresses, and stores of zarr."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError, DataError, MissingExtraError, OutputError
from isl.io import remote, remote_systems
from isl.io.remote_path import RemotePath, as_path, is_address
from isl.io.remote_retry import Patience

NAMES = st.text("abcXYZ019_-", min_size=1, max_size=6)


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    return tmp_path / "r" if request.param == "local" else as_path(f"memory://{tmp_path.name}/r")


@given(scheme=st.sampled_from(["http", "https", "s3", "gs"]), names=st.lists(NAMES, min_size=1))
def test_an_address_survives_being_a_path(scheme, names):
    address = f"{scheme}://{'/'.join(['host', *names])}"
    path = as_path(address)
    assert str(path) == address
    assert str(as_path(Path(address))) == address
    assert str(pickle.loads(pickle.dumps(path))) == address
    assert str(path / "x") == f"{address}/x"
    assert str(path.parent) == address.rpartition("/")[0]
    assert (path.name, path.resolve(), path.absolute()) == (names[-1], path, path)


@pytest.mark.parametrize("local", ["a.zarr", "/a/b", "C:/a", "file:///a/b", "s3:/a", "./s3://a"])
def test_local_paths_stay_local(local):
    assert not is_address(local)


def test_file_address_is_a_local_path():
    assert as_path("file:///a/b%20c") == Path("/a/b c")


def test_an_existing_file_wins_over_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "a").touch()
    assert not is_address(Path("s3:/a"))
    assert is_address(Path("s3:/b"))


@pytest.mark.parametrize("step", [open, np.load, lambda path: path.mkdir(), lambda p: p.touch()])
def test_an_address_is_never_taken_for_a_local_file(step, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"s3://a/b: .*needs a file on this machine"):
        step(as_path("s3://a/b"))
    assert list(tmp_path.iterdir()) == []


def test_texts(root):
    if not is_address(root):
        root.mkdir()
    assert not remote.exists(root / "a.txt")
    remote.write_text(root / "a.txt", "µ")
    remote.write_text(root / "a.txt", "µm")
    assert remote.read_text(str(root / "a.txt")) == "µm"
    assert remote.names_in(root) == ["a.txt"]
    remote.remove(root / "a.txt")
    remote.remove(root / "a.txt")
    assert not remote.exists(root / "a.txt")
    with pytest.raises(FileNotFoundError):
        remote.read_text(root / "a.txt")


def test_a_claim_is_given_once(root):
    if not is_address(root):
        root.mkdir()
    assert [remote.claim(root / "mine", who) for who in "ab"] == [True, False]
    assert remote.read_text(root / "mine") == "a"


def test_store_of_zarr(root):
    image = np.arange(48, dtype="uint16").reshape(6, 8)
    options = {"name": "0", "shape": (6, 8), "chunks": (2, 2), "shards": (4, 4), "dtype": "uint16"}
    array = zarr.create_array(store=remote.store_of(root, False), **options)
    array[:] = image
    again = zarr.open_array(store=remote.store_of(root / "0", True), mode="r")
    np.testing.assert_array_equal(again[:], image)
    assert remote.exists(root / "0" / "zarr.json")
    assert remote.names_in(root) == ["0", "zarr.json"]
    with pytest.raises(ValueError, match="read-only"):
        again[:] = 0
    remote.remove(root)
    assert remote.names_in(root) == []


def test_paths_of_an_address():
    root = as_path("memory://words/of/paths")
    remote.write_text(root / "a.txt", "one\ntwo\n")
    assert (root.is_dir(), root.is_file(), root.exists()) == (True, False, True)
    assert [p.name for p in root.iterdir()] == ["a.txt"]
    assert (root / "a.txt").stat().st_size == 8
    with (root / "a.txt").open() as file:
        assert file.readlines() == ["one\n", "two\n"]
    with pytest.raises(DataError, match="not written as a file"):
        (root / "a.txt").open("w")
    assert not as_path("memory://words").parent.exists()


def test_http_is_read_only():
    for write in (
        lambda: remote.write_text("http://host/a", ""),
        lambda: remote.remove("https://host/a"),
        lambda: remote.store_of("http://host/a.zarr", False),
    ):
        with pytest.raises(OutputError, match=r"http.*read-only.*s3://"):
            write()


def test_unknown_protocol():
    with pytest.raises(ConfigError, match=r"nonsense://a.*use http, https, s3, gs"):
        remote.exists("nonsense://a")


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(remote_systems._PACKAGES, "gs", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"gs://a/b.*in-silico-labeling\[remote\]"):
        remote.exists("gs://a/b")


def test_options_of_the_user_win(monkeypatch):
    import fsspec

    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    assert remote_systems._options("gs")["token"] == "anon"
    system, place = remote_systems.file_system("gs://bucket/a.zarr", asynchronous=False)
    assert (system.storage_options["token"], place) == ("anon", "bucket/a.zarr")


def test_s3_is_anonymous_only_without_credentials(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert remote_systems._options("s3")["anon"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert not remote_systems._options("s3")["anon"]


@given(failures=st.integers(1, 40))
def test_waits_grow_to_a_limit(failures):
    patience = Patience(first_wait_s=0.5, longest_wait_s=20)
    longest = min(0.5 * 2 ** (failures - 1), 20)
    assert longest / 2 <= patience.wait_s(failures) <= longest


def test_a_path_with_an_address_is_one():
    assert isinstance(as_path("S3://Bucket/Key"), RemotePath)
    assert str(as_path("S3://Bucket/Key")) == "s3://Bucket/Key"
