from pathlib import Path

import pytest

from isl.inference.watch_listing import Steadiness, list_folder, signature, stamps_of


def test_only_images_outside_of_the_output_are_listed(tmp_path):
    for name in ("a.png", "run.log", ".hidden.png", "sub/b.TIF", "out/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listing = list_folder(tmp_path, skip=tmp_path / "out")
    assert [f.relative_to(tmp_path).as_posix() for f in listing.files] == ["a.png", "sub/b.TIF"]
    assert set(listing.stamps) == set(listing.files)


def test_all_files_inside_of_zarr_count(tmp_path):
    group = tmp_path / "a.zarr"
    for name in ("zarr.json", "0/zarr.json", "0/c/0/0"):
        (group / name).parent.mkdir(parents=True, exist_ok=True)
        (group / name).write_bytes(b"x")
    for folder in (tmp_path, group):
        listing = list_folder(folder)
        assert listing.zarrs == (group,)
        assert group / "0/c/0/0" in listing.stamps
        assert set(listing.metadata[group]) == {group / "zarr.json", group / "0/zarr.json"}


def test_a_folder_that_is_gone_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        list_folder(tmp_path / "absent")
    assert stamps_of([tmp_path / "absent.png"]) == {}


def test_steadiness_counts_from_the_last_change_that_was_seen():
    a, b = Path("/a"), Path("/b")
    steady = Steadiness()
    assert steady.update({a: (1, 1)}, 10.0)
    assert not steady.update({a: (1, 1)}, 20.0)
    assert steady.since([a], 20.0) == 10.0
    assert steady.update({a: (1, 1), b: (5, 1)}, 30.0)
    assert steady.since([a, b], 30.0) == 30.0
    assert steady.update({a: (1, 2), b: (5, 1)}, 40.0)
    assert steady.since([b], 40.0) == 30.0
    assert steady.since([a], 40.0) == 40.0
    assert steady.update({b: (5, 1)}, 50.0)
    assert steady.since([a], 50.0) == 50.0


def test_a_signature_tells_every_change_and_not_the_order():
    root, a, b = Path("/in"), Path("/in/a"), Path("/in/b")
    stamps = {a: (1, 1), b: (2, 2)}
    first = signature(root, [a, b], stamps)
    assert first == signature(root, [b, a], stamps)
    others = [
        signature(root, [a], stamps),
        signature(root, [a, b], {a: (1, 1), b: (2, 3)}),
        signature(root, [a, b], {a: (2, 1), b: (2, 2)}),
        signature(root, [a, b], {a: (1, 1)}),
    ]
    assert len({first, *others}) == 5
