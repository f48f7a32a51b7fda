from __future__ import annotations

import hashlib

import pooch
import pytest

from isl.core.errors import OutputError
from isl.io.download_checksums import Checksums


def test_what_is_recorded_is_read_again_and_by_pooch(tmp_path):
    names = ["a,b.png", "folder/with space.png"]
    (tmp_path / "folder").mkdir()
    checksums = Checksums(tmp_path)
    for name in names:
        (tmp_path / name).write_text(name)
        checksums.record(name)
    expected = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert Checksums(tmp_path).sums == expected
    registry = pooch.create(tmp_path, "https://example.org/")
    registry.load_registry(tmp_path / "checksums.txt")
    assert registry.registry == expected


def test_damage_is_noticed(tmp_path):
    (tmp_path / "a.png").write_text("a")
    checksums = Checksums(tmp_path)
    assert not checksums.is_intact("a.png")
    checksums.record("a.png")
    assert checksums.is_intact("a.png")
    (tmp_path / "a.png").write_text("b")
    assert not checksums.is_intact("a.png")
    (tmp_path / "a.png").unlink()
    assert not checksums.is_intact("a.png")


def test_a_line_that_was_cut_off_is_forgotten(tmp_path):
    (tmp_path / "checksums.txt").write_text(f"a.png {'0' * 64}\n'b.png {'1' * 64}\nc.png 123")
    (tmp_path / "d.png").write_text("d")
    checksums = Checksums(tmp_path)
    assert set(checksums.sums) == {"a.png"}
    checksums.record("d.png")
    assert set(Checksums(tmp_path).sums) == {"a.png", "d.png"}


def test_a_record_that_cannot_be_written(tmp_path):
    (tmp_path / "a.png").write_text("a")
    checksums = Checksums(tmp_path)
    (tmp_path / "checksums.txt").mkdir()
    with pytest.raises(OutputError, match=r"checksums\.txt cannot be written"):
        checksums.record("a.png")
