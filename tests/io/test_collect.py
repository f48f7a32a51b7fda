from __future__ import annotations

from pathlib import Path

import pytest

from isl.core.axes import VoxelSize
from isl.core.errors import DataError
from isl.io.collect import Candidate, open_candidates, with_unique_names
from isl.io.fov import Fov
from isl.io.plane_files import PlaneFiles


def field(name: str, path: str) -> Fov:
    return Fov(name, Path(path), (), 1, 4, 4, VoxelSize(), PlaneFiles({}))


def fail() -> list[Fov]:
    raise DataError("bad image")


def test_bad_field_is_reported_and_skipped():
    bad = []
    candidates = [Candidate("x", fail), Candidate("y", lambda: [field("y", "y")])]
    fovs = open_candidates(candidates, lambda name, error: bad.append((name, str(error))))
    assert [f.name for f in fovs] == ["y"]
    assert bad == [("x", "bad image")]
    with pytest.raises(DataError, match="bad image"):
        open_candidates(candidates, None)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([("A4", "train/A4"), ("A4", "test/A4"), ("A5", "test/A5")], ["train/A4", "test/A4", "A5"]),
        ([("a", "x/a.tif"), ("a", "x/a.nd2")], ["x/a", "x/a (2)"]),
        ([("a", "one"), ("a", "two")], ["one/a", "two/a"]),
        ([("a", "d"), ("a", "d"), ("d/a", "e")], ["d/a (2)", "d/a (3)", "d/a"]),
    ],
)
def test_names_become_unique(fields, names):
    assert [f.name for f in with_unique_names([field(*f) for f in fields])] == names
