from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from isl.cli.app import run
from isl.io.open import open_fovs

pytestmark = pytest.mark.concurrent

SOON = ("--settle", "0.2", "--poll", "0.05")


def watch(folder, model_path, output, *more):
    return run(["watch", str(folder), str(model_path), str(output), *SOON, *more])


def outputs(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def add_fields(folder, wells):
    """Copies of the field S1."""
    for well in wells:
        for file in folder.glob("*well-S1*"):
            (folder / file.name.replace("well-S1", f"well-{well}")).write_bytes(file.read_bytes())


def start(folder, model_path, output):
    words = [sys.executable, "-m", "isl", "watch", folder, model_path, output, *SOON]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def wait_for(happened, seconds=60.0):
    give_up = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < give_up, "nothing happened"
        time.sleep(0.01)


def test_once_predicts_what_is_there_and_says_so(model_path, two_fields, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ("--once", "--statistics", "median,q0.05", "--dtype", "uint16")
    assert watch(two_fields, model_path, out, *flags) == 0
    assert outputs(out) == ["S1.zarr", "S2.zarr"]
    (fov,) = open_fovs(out / "S2.zarr")
    assert fov.channel_names == ("NUCLEI", "CYTOPLASM", "NUCLEI q0.05", "CYTOPLASM q0.05")
    shown = capsys.readouterr().out
    assert re.search(r"predicted S1 in \d+\.\d s: .*S1\.zarr \(1 waiting\)", shown)
    assert shown.endswith("predicted 2 fields\n")
    assert watch(two_fields, model_path, out, *flags) == 0
    assert "predicted 0 fields, 2 were there before" in capsys.readouterr().out


def test_bad_fields_set_the_exit_code_and_idleness_ends(model_path, two_fields, tmp_path, capsys):
    bad = next(two_fields.glob("*well-S2*z_depth-1*"))
    bad.write_bytes(bad.read_bytes()[:300])
    out = tmp_path / "out"
    more = ("--until-idle", "0.02", "--patience", "0.01", "--format", "ome.tif")
    assert watch(two_fields, model_path, out, *more) == 1
    shown = capsys.readouterr()
    assert outputs(out) == ["S1.ome.tif"]
    assert shown.err.count(bad.name) >= 1
    assert shown.err.count("skipped S2") == 1
    assert "1 bad field skipped" in shown.out


def test_what_is_not_complete_is_said_at_the_end(model_path, two_fields, tmp_path, capsys):
    next(two_fields.glob("*well-S2*z_depth-2*")).unlink()
    assert watch(two_fields, model_path, tmp_path / "out", "--once") == 0
    assert "not complete: S2: lacks 1 of 3 planes of channel BRIGHTFIELD" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--patience", "0"), "(--patience) is 0"),
        (("--planes", "-1"), "(--planes) is -1"),
        (("--statistics", "medium"), "medium"),
        (("--pattern", "{fov}"), "needs {channel}"),
    ],
)
def test_impossible_settings_are_errors(flags, message, model_path, scene_dir, tmp_path, capsys):
    assert watch(scene_dir, model_path, tmp_path / "out", "--once", *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_an_absent_folder_is_refused(model_path, tmp_path, capsys):
    assert watch(tmp_path / "absent", model_path, tmp_path / "out") == 2
    assert "there is no such folder to watch" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_killed_watcher_goes_on_where_it_stopped(model_path, scene_dir, tmp_path, capsys):
    out = tmp_path / "out"
    add_fields(scene_dir, [f"T{i}" for i in range(12)])
    with start(scene_dir, model_path, out) as process:
        wait_for(lambda: len(list(out.glob("*.zarr"))) >= 3)
        os.kill(process.pid, signal.SIGKILL)
    done = outputs(out)
    assert len(done) >= 3
    assert watch(scene_dir, model_path, out, "--once") == 0
    shown = capsys.readouterr().out
    predicted = set(re.findall(r"^predicted (\w+) in", shown, re.MULTILINE))
    assert len(outputs(out)) == 13
    assert predicted.isdisjoint(name.removesuffix(".zarr") for name in done)
    assert len(predicted) == 13 - len(done)
    assert [p.name for p in out.glob(".*partial*")] == []


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_signals_end_it_orderly(number, code, model_path, scene_dir, tmp_path):
    out = tmp_path / "out"
    with start(scene_dir, model_path, out) as process:
        wait_for((out / "S1.zarr").exists)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert outputs(out) == ["S1.zarr"]
