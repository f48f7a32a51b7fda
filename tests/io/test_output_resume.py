"""A run that was stopped goes on, and ends with the same bytes as one that was not."""

import errno
import hashlib
import json
import logging
import os
import pickle
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from output_images import (
    blocks,
    field,
    image_of,
    key_of,
    plate_field,
    read_zarr,
    validate,
    write_field,
    write_task,
)

from isl.core.errors import OutputError
from isl.io import output_array, output_pyramid, output_shards
from isl.io.output import resumable_output
from isl.io.output_journal import Journal

pytestmark = pytest.mark.concurrent

SAME = {"model": "a", "source": 1}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Shards of 32 pixels and levels down to 8, so that small images have many."""
    monkeypatch.setattr(output_array, "CHUNK_PX", 16)
    monkeypatch.setattr(output_pyramid, "SMALLEST_PX", 8)


def items():
    return [plate_field("A/1", 0, (2, 2, 70, 40)), plate_field("A/1", 1, (1, 1, 33, 64))]


def run(path, stop_after=None, error=KeyboardInterrupt, **options):
    """Write all tasks that are not done, or some; returns how many were done before."""
    plan = items()
    left = stop_after
    options = {"fingerprint": SAME, "attributes": {"model": 1}} | options
    with resumable_output(path, plan, **options) as output:
        for seed, item in enumerate(plan):
            for t, box in blocks(item, output.block_yx(item.name)):
                if output.is_done(key_of(item, t, box)):
                    continue
                if left == 0:
                    raise error
                write_task(output, item, image_of(item, seed), t, box)
                left = None if left is None else left - 1
            output.finish_field(item.name)
    return output.resumed


def interrupt(path, stop_after, **options):
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        run(path, stop_after, **options)
    return caught.value


def tree(folder):
    """Checksum of each file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def undisturbed(tmp_path, ending):
    run(tmp_path / f"undisturbed{ending}")
    return tree(tmp_path / f"undisturbed{ending.removesuffix('.ome.tif')}")


def result(path):
    return tree(str(path).removesuffix(".ome.tif"))


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("tasks", [1, 7, 13])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(tmp_path, ending, tasks):
    path = tmp_path / f"out{ending}"
    error = interrupt(path, tasks)
    assert isinstance(error, KeyboardInterrupt)
    assert "the same command goes on" in error.__notes__[0]
    assert [p.name for p in tmp_path.iterdir()] == [f".{path.name}.partial".replace(".ome.tif", "")]
    assert run(path) == tasks
    assert result(path) == undisturbed(tmp_path, ending)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_levels_are_means_of_the_ones_before(tmp_path):
    import zarr

    run(tmp_path / "out.zarr")
    validate(tmp_path / "out.zarr")
    group = zarr.open_group(tmp_path / "out.zarr" / "A" / "1" / "0", mode="r")
    levels = [np.asarray(group[name][:]) for name in sorted(group.array_keys())]
    np.testing.assert_array_equal(levels[0][:, :, 0], image_of(items()[0]))
    assert [level.shape[3:] for level in levels] == [(70, 40), (35, 20), (18, 10), (9, 5)]
    for larger, smaller in pairwise(levels):
        padding = [(0, 0)] * 3 + [(0, n % 2) for n in larger.shape[3:]]
        even = np.pad(larger, padding, mode="edge").astype(float)
        rows, columns = smaller.shape[3:]
        means = even.reshape(*even.shape[:3], rows, 2, columns, 2).mean((4, 6))
        np.testing.assert_allclose(smaller, means, rtol=1e-6)


def test_trouble_before_the_first_task_leaves_nothing(tmp_path):
    interrupt(tmp_path / "new" / "out.zarr", 0, error=ValueError)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_that_the_command_goes_on(tmp_path):
    error = interrupt(tmp_path / "out.zarr", 3, error=OSError(errno.ENOSPC, "No space left"))
    assert isinstance(error, OutputError)
    assert "disk is full" in str(error)
    assert "the same command goes on" in str(error)
    assert run(tmp_path / "out.zarr") == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fingerprint": {"model": "b", "source": 1}}, "it differs in: model"),
        ({"dtype": "uint16"}, "it differs in: output"),
        ({"restart": True}, "as asked"),
    ],
)
def test_what_another_run_began_is_discarded(tmp_path, caplog, change, reason):
    interrupt(tmp_path / "out.zarr", 5)
    assert run(tmp_path / "out.zarr", **change) == 0
    assert f"5 tasks of an unfinished run are discarded ({reason})" in caplog.text
    run(tmp_path / "new.zarr", **change)
    assert tree(tmp_path / "out.zarr") == tree(tmp_path / "new.zarr")


def test_an_old_output_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "out.zarr"
    run(path)
    old = tree(path)
    with pytest.raises(OutputError, match="--overwrite"):
        run(path)
    interrupt(path, 4, overwrite=True, dtype="uint8")
    assert tree(path) == old
    assert run(path, overwrite=True, dtype="uint8") == 4
    assert read_zarr(path)["A/1/0"].dtype == np.uint8


def test_a_second_process_is_refused_and_told_who_writes(tmp_path):
    path = tmp_path / "out.zarr"
    with resumable_output(path, [field()], fingerprint=SAME) as output:
        with pytest.raises(OutputError, match=rf"written by process {os.getpid()} on \w+, since"):
            run(path)
        write_field(output, field(), image_of(field()))
    assert list(read_zarr(path)) == ["f"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]


def partial_of(path):
    return path.with_name(f".{path.name}.partial")


def damage(path, how):
    """Do to an unfinished output what a power cut does to what was not yet on the disk."""
    folder = partial_of(path)
    journal = folder / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b"synced" not in line]
    files = [folder / f[0] for line in kept for f in json.loads(line).get("files", ())]
    files = [file for file in files if file.exists()]  # those of joined shards are gone
    if how == "torn line":
        kept[-1] = kept[-1][:-9]
    elif how == "zeros in the journal":
        kept[-2] = b"\0" * len(kept[-2])
    elif how == "no journal":
        kept = []
    elif how == "empty file":
        files[1].write_bytes(b"")
    elif how == "zeros in a file":
        files[0].write_bytes(bytes(files[0].stat().st_size))
    elif how == "lost file":
        files[-1].unlink()
    journal.write_bytes(b"".join(kept))


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize(
    "how",
    ["torn line", "zeros in the journal", "no journal", "empty file", "zeros in a file",
     "lost file"],
)  # fmt: skip
@pytest.mark.parametrize("tasks", [3, 13])
def test_what_a_power_cut_damaged_is_done_again(tmp_path, ending, how, tasks):
    path = tmp_path / f"out{ending}"
    interrupt(path, tasks)
    damage(Path(str(path).removesuffix(".ome.tif")), how)
    assert run(path) < tasks
    assert result(path) == undisturbed(tmp_path, ending)


def test_only_what_was_not_yet_on_the_disk_is_read_again(tmp_path, monkeypatch):
    interrupt(tmp_path / "out.zarr", 5)
    read = []
    monkeypatch.setattr(output_shards, "checksum", lambda p: read.append(p))
    assert run(tmp_path / "out.zarr") == 5
    assert read == []


def test_a_task_without_its_files_is_trusted_once_it_is_on_the_disk(tmp_path):
    item = field()
    path = tmp_path / "out.zarr"

    def begin():
        with resumable_output(path, [item], fingerprint=SAME) as output:
            for t, box in blocks(item, output.block_yx("f")):
                output.field("f").write(t, box, image_of(item)[(t, slice(None), *box.slices)])
            output.mark_done("all")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    with resumable_output(path, [item], fingerprint=SAME) as output:
        assert output.is_done("all")
    np.testing.assert_array_equal(read_zarr(path)["f"], image_of(item))


def test_writers_can_be_sent_to_other_processes(tmp_path):
    item = items()[0]
    with resumable_output(tmp_path / "out.zarr", [item], fingerprint=SAME) as output:
        writer = pickle.loads(pickle.dumps(output.field(item.name)))
        assert writer == output.field(item.name)
        for t, box in blocks(item, writer.block_yx):
            written = writer.write(t, box, image_of(item)[(t, slice(None), *box.slices)])
            output.mark_done(key_of(item, t, box), pickle.loads(pickle.dumps(written)))
    np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr")[item.name], image_of(item))


def test_finishing_a_field_twice_changes_nothing(tmp_path, monkeypatch):
    calls = []
    levels = output_pyramid.write_levels
    monkeypatch.setattr("isl.io.output_zarr.write_levels", lambda w: calls.append(w) or levels(w))
    item = field()
    with resumable_output(tmp_path / "out.zarr", [item], fingerprint=SAME) as output:
        write_field(output, item, image_of(item))
        output.finish_field("f")
    assert len(calls) == 1


def test_a_dropped_field_is_tried_again_by_the_next_run(tmp_path):
    first, second = items()
    path = tmp_path / "out.zarr"

    def drop_and_stop():
        with resumable_output(path, [first, second], fingerprint=SAME) as output:
            write_field(output, first, image_of(first))
            write_field(output, second, image_of(second))
            output.drop(first.name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drop_and_stop()
    with resumable_output(path, [first, second], fingerprint=SAME) as output:
        assert output.resumed == len(blocks(second, output.block_yx(second.name)))
        write_field(output, first, image_of(first))
    assert list(read_zarr(path)) == [first.name, second.name]


def test_the_journal_waits_for_the_disk_seldom(tmp_path, monkeypatch):
    syncs = []
    monkeypatch.setattr("isl.io.output_journal.sync_disk", syncs.append)
    journal = Journal(tmp_path)
    journal.begin({})
    file = output_shards.write_whole(tmp_path, "f", "a", [b"1"])
    for number in range(100):
        journal.add_task(str(number), [file])
    assert syncs == []
    monkeypatch.setattr("isl.io.output_journal._SECONDS_BETWEEN_SYNCS", 0)
    journal.add_task("last", [file])
    assert syncs == [tmp_path]
    assert len(Journal(tmp_path).tasks) == 101


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_many_small_images_leave_no_file_open(tmp_path, count):
    plan = [plate_field(f"A/{i + 1}", 0) for i in range(count)]
    opened = set()
    with resumable_output(tmp_path / "out.zarr", plan, fingerprint=SAME) as output:
        for item in plan:
            write_field(output, item, image_of(item))
            opened.add(len(os.listdir("/proc/self/fd")))
    assert max(opened) - min(opened) <= 1


KILLED = """
import os, random, signal, sys, time
import zarr
sys.path.insert(0, sys.argv[1])
import test_output_resume as here
here.output_array.CHUNK_PX, here.output_pyramid.SMALLEST_PX = 16, 8
folder, ending, kills = here.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
random.seed(sys.argv[5])

def fork(name):
    pid = os.fork()
    if pid == 0:
        try:
            here.run(folder / f"{name}{ending}")
        finally:
            os._exit(0)
    return pid

started = time.monotonic()
os.waitpid(fork("undisturbed"), 0)
whole = time.monotonic() - started
killed = number = 0
while killed < kills:
    pid = fork(f"out{number}")
    time.sleep(random.uniform(0, whole))
    os.kill(pid, signal.SIGKILL)
    was_killed = os.waitpid(pid, 0)[1] == signal.SIGKILL
    killed += was_killed
    number += not was_killed
os.waitpid(fork(f"out{number}"), 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to be quick")
@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again(tmp_path, ending, kills):
    seed = str(random.randrange(1 << 30))
    here = Path(__file__).parent
    subprocess.run(
        [sys.executable, "-c", KILLED, here, tmp_path, ending, str(kills), seed], check=True
    )
    written = [p for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert len(written) > 1, seed
    whole = undisturbed(tmp_path / "here", ending)
    assert all(tree(path) == whole for path in written), seed


def test_going_on_is_said(tmp_path, caplog):
    interrupt(tmp_path / "out.zarr", 2)
    with caplog.at_level(logging.INFO):
        run(tmp_path / "out.zarr")
    assert "goes on after 2 finished tasks" in caplog.text
