from __future__ import annotations

import os
import shutil

from isl.io.output_place import Place


def test_the_innermost_folder_that_exists_counts(tmp_path):
    place = Place.of(tmp_path / "new" / "newer" / "p.zarr")
    assert (place.folder, place.is_writable) == (tmp_path, True)
    assert 0 < place.free_bytes <= shutil.disk_usage(tmp_path).total
    assert not list(tmp_path.iterdir())


def test_a_folder_without_permission_and_a_file_are_not_writable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    assert not Place.of(tmp_path / "file" / "p.zarr").is_writable
    # The user of a test may be one to whom everything is permitted.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not Place.of(tmp_path / "p.zarr").is_writable
