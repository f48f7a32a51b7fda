from __future__ import annotations

import zipfile

import pytest

from isl.core.errors import DamagedFileError, DataError
from isl.io.download_archive import unpack
from isl.io.download_checksums import Checksums

FILES = {"sample/A/a.png": b"a" * 5000, "sample/b.png": b"b"}


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "x.zip", FILES)


@pytest.fixture
def checksums(tmp_path):
    (tmp_path / "out").mkdir()
    return Checksums(tmp_path / "out")


def write(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in files.items():
            made.writestr(name, body)
    return path


def unpacked(folder):
    files = [f for f in folder.rglob("*") if f.is_file() and f.name != "checksums.txt"]
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}


def test_files_land_where_their_names_say(archive, checksums):
    unpack(archive, checksums, lambda: None)
    assert unpacked(checksums.folder) == FILES
    assert set(checksums.sums) == set(FILES)


def test_clutter_is_left_out(tmp_path, checksums):
    clutter = {"__MACOSX/sample/._a.png": b"x", "sample/.DS_Store": b"x", "sample/._b.png": b"x"}
    unpack(write(tmp_path / "x.zip", {**FILES, **clutter}), checksums, lambda: None)
    assert unpacked(checksums.folder) == FILES


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "sample/../../out.png", "C:/out.png"])
def test_a_name_that_leads_out_of_the_folder(tmp_path, checksums, name):
    with pytest.raises(DataError, match="outside of the folder; nothing was unpacked"):
        unpack(write(tmp_path / "x.zip", {**FILES, name: b"x"}), checksums, lambda: None)
    assert unpacked(checksums.folder) == {}


def test_what_is_intact_is_not_unpacked_again(archive, checksums):
    unpack(archive, checksums, lambda: None)
    before = (checksums.folder / "sample/A/a.png").stat().st_ino
    (checksums.folder / "sample/b.png").write_bytes(b"damaged")
    unpack(archive, checksums, lambda: None)
    assert unpacked(checksums.folder) == FILES
    assert (checksums.folder / "sample/A/a.png").stat().st_ino == before


@pytest.mark.parametrize("where", [0.2, 0.5, 1.0])
def test_a_damaged_archive_is_removed(archive, checksums, where):
    body = archive.read_bytes()
    cut = int(len(body) * where) - 20
    archive.write_bytes(body[:cut] + b"\xff" * 20 + body[cut + 20 :])
    with pytest.raises(DamagedFileError, match=r"x\.zip: the archive is damaged.*same command"):
        unpack(archive, checksums, lambda: None)
    assert not archive.exists()


@pytest.mark.concurrent
def test_an_interruption_leaves_whole_files(archive, checksums):
    calls = []

    def stop_at_the_second():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, checksums, stop_at_the_second)
    assert set(unpacked(checksums.folder)) == {"sample/A/a.png"}
    unpack(archive, checksums, lambda: None)
    assert unpacked(checksums.folder) == FILES
