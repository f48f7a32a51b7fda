"""Runs that are interrupted, killed, or run out of memory."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tifffile
from inference_scene import make_fov, make_model

from isl.core.errors import OutputError
from isl.inference.model_file import save_model
from isl.inference.predict import plan_fovs, predict_fovs
from isl.inference.runner import Runner
from isl.io import output_array
from isl.io.output_shards import FieldWriter

pytestmark = pytest.mark.concurrent

COMMAND = (
    "import sys; from isl.__main__ import main; sys.argv = ['isl', *sys.argv[1:]]; sys.exit(main())"
)


@pytest.fixture
def fovs(rng):
    """Three fields of two tasks each; what is written together is never larger than 64 px."""
    return [
        make_fov(rng.integers(0, 4000, (2, 3, 70, 90), dtype=np.uint16), name=name)
        for name in "abc"
    ]


def tree(path):
    """Names and contents of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
    }


def stopped_after(count):
    """Progress callback that interrupts when some tiles are done."""

    def stop(progress):
        if progress.done >= count:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(model, fovs, tmp_path, ending):
    whole = predict_fovs(model, fovs, tmp_path / f"whole.{ending}")
    path = tmp_path / f"p.{ending}"
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, path, progress=stopped_after(5))
    assert not path.exists()
    summary = predict_fovs(model, fovs, path)
    assert 0 < summary.resumed < 6
    assert summary.fields == whole.fields
    assert summary.pixels == whole.pixels * (6 - summary.resumed) // 6
    assert tree(summary.path) == tree(whole.path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_an_interrupted_run_leaves_no_thread_that_could_write(model, fovs, tmp_path):
    def interrupt(*told):
        raise KeyboardInterrupt

    blank = make_fov(np.zeros((2, 3, 70, 90), np.uint16), name="blank")
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt) as interrupted:
        predict_fovs(model, [fovs[0], blank, *fovs[1:]], tmp_path / "p.zarr", on_bad=interrupt)
    begun = [t.name for t in set(threading.enumerate()) - before if t.name.startswith("isl-")]
    assert begun == []
    del interrupted  # until here its frames keep what they held


@pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
@pytest.mark.parametrize("written", [1, 2, 4, 5, 8])
def test_a_run_goes_on_between_the_shards_of_a_task(
    model, fovs, tmp_path, monkeypatch, ending, written
):
    monkeypatch.setattr(output_array, "CHUNK_PX", 16)
    whole = predict_fovs(model, fovs[:1], tmp_path / f"whole.{ending}")
    write, calls = FieldWriter.write, itertools.count(1)

    def failing(writer, *arguments):
        if next(calls) > written:
            raise KeyboardInterrupt
        return write(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FieldWriter, "write", failing)
        with pytest.raises(KeyboardInterrupt):
            predict_fovs(model, fovs[:1], tmp_path / f"p.{ending}")
    summary = predict_fovs(model, fovs[:1], tmp_path / f"p.{ending}")
    assert summary.resumed == written
    assert tree(summary.path) == tree(whole.path)


def test_progress_of_a_run_that_goes_on_counts_what_was_done(model, fovs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, tmp_path / "p.zarr", progress=stopped_after(5))
    seen = []
    summary = predict_fovs(model, fovs, tmp_path / "p.zarr", progress=seen.append)
    assert [progress.done for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert {progress.total for progress in seen} == {6}
    assert summary.resumed >= 1


@pytest.mark.parametrize("change", [{"statistics": ("mean",)}, {"dtype": "uint16"}])
def test_other_settings_do_not_go_on(model, fovs, tmp_path, caplog, change):
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, tmp_path / "p.zarr", progress=stopped_after(5))
    with caplog.at_level(logging.WARNING):
        summary = predict_fovs(model, fovs, tmp_path / "p.zarr", **change)
    assert summary.resumed == 0
    assert "discarded" in caplog.text


def test_another_model_does_not_go_on(model, fovs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, tmp_path / "p.zarr", progress=stopped_after(5))
    other = make_model(targets=("DAPI", "other"))
    predict_fovs(other, fovs, tmp_path / "p.zarr")
    predict_fovs(other, fovs, tmp_path / "whole.zarr")
    assert tree(tmp_path / "p.zarr") == tree(tmp_path / "whole.zarr")


def test_a_run_can_be_begun_anew(model, fovs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, tmp_path / "p.zarr", progress=stopped_after(5))
    assert predict_fovs(model, fovs, tmp_path / "p.zarr", restart=True).resumed == 0


def test_two_runs_on_one_output_do_not_meet(model, fovs, tmp_path):
    refused = []

    def second(progress):
        if not refused:
            with pytest.raises(OutputError, match="process") as error:
                predict_fovs(model, fovs, tmp_path / "p.zarr")
            refused.append(error)

    predict_fovs(model, fovs, tmp_path / "p.zarr", progress=second)
    predict_fovs(model, fovs, tmp_path / "whole.zarr")
    assert refused
    assert tree(tmp_path / "p.zarr") == tree(tmp_path / "whole.zarr")


def test_where_memory_runs_out_tiles_are_halved(model, fovs, tmp_path, monkeypatch, caplog):
    predict_fovs(model, fovs, tmp_path / "whole.zarr")
    compute, tries = Runner.compute, iter(range(100))

    def scarce(runner, found):
        if next(tries) in (1, 2):
            raise MemoryError("no room")
        return compute(runner, found)

    monkeypatch.setattr(Runner, "compute", scarce)
    with caplog.at_level(logging.WARNING):
        predict_fovs(model, fovs, tmp_path / "p.zarr")
    assert caplog.text.count("half as large") == 2
    assert tree(tmp_path / "p.zarr") == tree(tmp_path / "whole.zarr")


def test_memory_that_is_never_enough_ends_the_run(model, fovs, tmp_path, monkeypatch):
    def none(runner, found):
        raise MemoryError("no room")

    monkeypatch.setattr(Runner, "compute", none)
    with pytest.raises(MemoryError, match="smallest tile"):
        predict_fovs(model, fovs, tmp_path / "p.zarr")
    assert not (tmp_path / "p.zarr").exists()


def test_a_plan_says_what_a_run_does(model, fovs, tmp_path):
    plan = plan_fovs(model, fovs, tmp_path / "p.zarr", statistics=("median", "std"))
    assert len(plan.tasks) == 6
    assert plan.pixels == 6 * 70 * 90 <= plan.computed_pixels
    assert plan.source_bytes == 6 * 3 * 70 * 90 * 2
    assert plan.output_bytes == int(plan.pixels * 4 * 4 * 4 / 3)
    assert plan.measure_speed() > 0
    assert plan.memory_bytes > plan_fovs(model, fovs, tmp_path / "p.zarr").memory_bytes > 0
    assert not list(tmp_path.iterdir())


def start(arguments):
    command = [sys.executable, "-c", COMMAND, "predict", *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **quiet)


def killed_at_random(arguments, kills, generator, first_s):
    """Start a command again and again, and kill it after a random time; then let it end."""
    done = 0
    for _ in range(kills):
        process = start(arguments)
        time.sleep(first_s + generator.random())
        process.send_signal(signal.SIGKILL)
        done += process.wait() == -signal.SIGKILL
    assert start([*arguments, "--overwrite"]).wait() == 0
    return done


@pytest.mark.slow
def test_a_command_that_is_killed_ends_with_the_same_bytes(rng, tmp_path):
    save_model(make_model(), tmp_path / "model.isl")
    (tmp_path / "wells").mkdir()
    for name in "abcdef":
        stack = rng.integers(0, 4000, (3, 700, 700), dtype=np.uint16)
        tifffile.imwrite(
            tmp_path / "wells" / f"{name}.tif", stack, imagej=True, metadata={"axes": "ZYX"}
        )
    common = [tmp_path / "model.isl", tmp_path / "wells", "--backend", "onnxruntime"]
    started = time.monotonic()
    assert start([*common, "-o", tmp_path / "whole.zarr"]).wait() == 0
    seconds = time.monotonic() - started
    generator = random.Random(0)
    path = tmp_path / "p.zarr"
    killed_at_random([*common, "-o", path], 5, generator, first_s=max(seconds - 1.5, 0.0))
    assert tree(path) == tree(tmp_path / "whole.zarr")
