"""Outputs appear complete or not at all."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from isl.core.errors import DamagedFileError, OutputError
from isl.io import staging
from isl.io.staging import MARKER, staged

pytestmark = pytest.mark.concurrent


def write_folder(path: Path, *, overwrite=False, **files: str) -> None:
    with staged(path, overwrite=overwrite) as partial:
        partial.mkdir()
        for name, text in files.items():
            (partial / name).write_text(text)


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    with staged(target, overwrite=False) as partial:
        partial.write_text("new")
        assert partial.parent == tmp_path
        assert partial.name.startswith(".a.txt.partial-")
        assert not target.exists()
    assert target.read_text() == "new"
    assert listing(tmp_path) == ["a.txt"]


def test_missing_parents_are_made_and_unmade(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "x" / "y" / "a", overwrite=False):
        raise KeyboardInterrupt
    assert listing(tmp_path) == []
    write_folder(tmp_path / "x" / "y" / "a", one="1")
    assert (tmp_path / "x" / "y" / "a" / "one").read_text() == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_exception_leaves_nothing_and_keeps_the_old(tmp_path, error, kind):
    target = tmp_path / "out"
    write_folder(target, old="old")

    def fail():
        with staged(target, overwrite=True) as partial:
            if kind == "folder":
                partial.mkdir()
                partial = partial / "piece"
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert listing(tmp_path) == ["out"]
    assert (target / "old").read_text() == "old"


def test_existing_output_is_refused_before_any_work(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"), staged(target, overwrite=False):
        pytest.fail("work has begun")
    assert target.read_text() == "old"


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a.txt"

    def interfere():
        with staged(target, overwrite=False) as partial:
            partial.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(OutputError, match="exists"):
        interfere()
    assert target.read_text() == "theirs"
    assert listing(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("old", ["file", "folder", "link"])
@pytest.mark.parametrize("new", ["file", "folder"])
def test_overwrite_replaces_files_folders_and_what_links_point_to(tmp_path, old, new):
    target = real = tmp_path / "out"
    if old == "file":
        target.write_text("old")
    elif old == "folder":
        write_folder(target, old="old")
    else:
        real = tmp_path / "real"
        write_folder(real, old="old")
        target.symlink_to(real)
    if new == "file":
        with staged(target, overwrite=True) as partial:
            partial.write_text("new")
        assert real.read_text() == "new"
    else:
        write_folder(target, overwrite=True, new="new")
        assert listing(real) == [MARKER, "new"]
    assert target.is_symlink() == (old == "link")
    assert not [name for name in listing(tmp_path) if name.startswith(".")]


def test_a_folder_of_the_user_is_not_overwritten(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not written"), staged(home, overwrite=True):
        pytest.fail("work has begun")
    assert (home / "thesis.txt").read_text() == "years of work"


def test_a_folder_of_ours_with_foreign_files_is_not_overwritten(tmp_path):
    write_folder(tmp_path / "out", one="1")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        write_folder(tmp_path / "out", overwrite=True, one="2")
    assert (tmp_path / "out" / "one").read_text() == "1"


def test_only_a_zarr_folder_with_metadata_counts_as_zarr(tmp_path):
    target = tmp_path / "plate.zarr"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not written"):
        write_folder(target, overwrite=True, one="1")
    (target / "zarr.json").write_text("{}")
    write_folder(target, overwrite=True, **{"zarr.json": "{}"})
    assert listing(target) == ["zarr.json"]


def test_an_empty_folder_may_be_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", overwrite=True, one="1")
    assert listing(tmp_path / "out") == [MARKER, "one"]


def test_a_device_is_not_overwritten():
    with pytest.raises(OutputError, match="neither a file nor a folder"):
        staged(Path(os.devnull), overwrite=True).__enter__()


@pytest.mark.parametrize("below", ["a", "a/b/c"])
def test_a_path_below_a_file_is_refused_before_any_work(tmp_path, below):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / below
    with pytest.raises(OutputError, match="file"), staged(target, overwrite=False):
        pytest.fail("work has begun")
    assert listing(tmp_path) == ["file"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_an_unwritable_parent_is_refused_before_any_work(tmp_path, monkeypatch, number):
    def touch(self, exist_ok=True):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(OutputError, match="choose another place"):
        write_folder(tmp_path / "out", one="1")
    assert listing(tmp_path) == []


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path):
    def fill():
        with staged(tmp_path / "out", overwrite=False) as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial))

    with pytest.raises(OutputError, match=r"out cannot be written: the disk is full"):
        fill()
    assert listing(tmp_path) == []


def test_errors_about_other_files_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError, match="source"), staged(tmp_path / "o", overwrite=False):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "source.tif"))
    with pytest.raises(DamagedFileError), staged(tmp_path / "o", overwrite=False):
        raise DamagedFileError("source.tif is truncated")
    assert listing(tmp_path) == []


def test_the_old_output_returns_where_the_new_one_cannot_be_moved_in(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", one="1")
    rename = Path.rename

    def refuse(self, target):
        if ".partial-" in self.name:
            raise OSError(errno.EACCES, "denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="no permission"):
        write_folder(tmp_path / "out", overwrite=True, two="2")
    assert listing(tmp_path) == ["out"]
    assert listing(tmp_path / "out") == [MARKER, "one"]


def ended_process() -> int:
    return int(
        subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    )


def test_leftovers_of_dead_processes_only_are_tidied_away(tmp_path):
    host = staging.host()
    dead, alive = ended_process(), os.getppid()
    for kind in ("partial", "replaced"):
        (tmp_path / f".out.{kind}-{host}-{dead}-0123abcd").mkdir()
    (tmp_path / "out").write_text("")
    kept = [
        f".other.partial-{host}-{dead}-0123abcd",
        f".out.partial-{host}-{alive}-0123abcd",
        f".out.partial-elsewhere{host}-{dead}-0123abcd",
    ]
    for name in kept:
        (tmp_path / name).mkdir()
    with staged(tmp_path / "out", overwrite=True) as partial:
        partial.write_text("new")
    assert listing(tmp_path) == sorted([*kept, "out"])


def test_an_output_that_a_killed_run_had_moved_away_comes_back(tmp_path):
    name = f".out.replaced-{staging.host()}-{ended_process()}-0123abcd"
    (tmp_path / name).write_text("old")
    with pytest.raises(OutputError, match="exists"), staged(tmp_path / "out", overwrite=False):
        pytest.fail("work has begun")
    assert (tmp_path / "out").read_text() == "old"


def test_what_a_thread_writes_after_the_interruption_goes_too(tmp_path):
    """Writers of zarr go on in their threads, and make folders that are gone again."""
    ended = threading.Event()

    def write_on(folder):
        for number in range(40):
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                (folder / str(number)).write_text("late")
            ended.wait(0.01)

    def work():
        with staged(tmp_path / "out", overwrite=False) as folder:
            threading.Thread(target=write_on, args=(folder / "chunks",)).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert listing(tmp_path) == []
    ended.set()


def test_a_thread_that_does_not_end_leaves_no_more_than_the_next_run_removes(tmp_path):
    """A daemon is not waited for; here it writes once the block is left."""
    left = threading.Event()

    def write_late(folder):
        left.wait()
        folder.mkdir(parents=True)

    def work():
        with staged(tmp_path / "out", overwrite=False) as folder:
            thread = threading.Thread(target=write_late, args=(folder / "chunks",), daemon=True)
            thread.start()
            started.append(thread)
            raise KeyboardInterrupt

    started = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert listing(tmp_path) == []
    left.set()
    started[0].join()
    assert len(listing(tmp_path)) == 1
    write_folder(tmp_path / "out", one="1")
    assert listing(tmp_path) == ["out"]


def test_one_process_may_write_an_output_several_times_at_once(tmp_path):
    with staged(tmp_path / "out", overwrite=True) as first:
        first.mkdir()
        write_folder(tmp_path / "out", one="1")
        assert first.is_dir()
    assert listing(tmp_path) == ["out"]


def test_a_folder_that_vanishes_is_explained(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()

    def work():
        with staged(folder / "out", overwrite=False) as partial:
            folder.rmdir()
            partial.write_text("new")

    with pytest.raises(OutputError, match="is gone; choose another place"):
        work()


@pytest.mark.parametrize("has_syncfs", [True, False])
def test_the_disk_is_waited_for(tmp_path, monkeypatch, has_syncfs):
    waited = []
    if not has_syncfs:
        monkeypatch.setattr(staging.ctypes, "CDLL", lambda *a, **k: object())
        monkeypatch.setattr(os, "sync", lambda: waited.append(1))
    staging.sync_disk(tmp_path)
    assert bool(waited) != has_syncfs
    if has_syncfs:
        with pytest.raises(FileNotFoundError):
            staging.sync_disk(tmp_path / "missing")
