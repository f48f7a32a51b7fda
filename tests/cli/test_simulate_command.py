from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from isl.cli.app import run
from isl.io.open import open_fovs

SMALL = [
    *("--size-px", "24x32", "--planes", "2", "--set", "light.source_points=3"),
    *("--set", "grid.margin_um=1", "--set", "grid.slice_um=3"),
]


def test_a_plate_is_written_and_opens(tmp_path, capsys):
    output = tmp_path / "plate.zarr"
    words = ["--wells", "2", "--fovs", "1", "--times", "2", "--hours-between", "0.5"]
    assert run(["simulate", "--preset", "neurons", *words, "-o", str(output), *SMALL]) == 0
    fovs = open_fovs(output)
    assert [f.name for f in fovs] == ["A/1/0", "A/2/0"]
    assert fovs[0].shape == (2, 4, 2, 24, 32)
    shown = capsys.readouterr().out
    assert f"next: isl info {output}" in shown
    assert run(["info", str(output)]) == 0
    assert "PHASE_CONTRAST" in capsys.readouterr().out


def test_png_presets_and_parameters(tmp_path, capsys):
    words = ["--preset", "adherent,dead", "--wells", "2", "--seed", "4"]
    settings = tmp_path / "settings.yaml"
    settings.write_text("camera: {bits: 8, photons_per_unit: 100, offset: 10}\n")
    more = ["--config", str(settings), "--set", "stains.NUCLEI.background=0.5"]
    assert run(["simulate", "-o", str(tmp_path / "out"), *words, *more, *SMALL]) == 0
    assert "images.csv" in capsys.readouterr().out
    fovs = open_fovs(tmp_path / "out" / "images.csv")
    assert [f.condition for f in fovs] == ["adherent", "dead"]
    assert fovs[0].channels[0].dtype == "uint8"
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())["simulation"]
    assert truth["seed"] == 4
    assert truth["conditions"]["dead"]["stains"][0]["background"] == 0.5
    assert truth["conditions"]["dead"]["camera"]["bits"] == 8


def test_an_existing_output_is_kept(tmp_path, capsys):
    words = ["simulate", "-o", str(tmp_path / "scene"), *SMALL]
    assert [run(words), run(words), run([*words, "--overwrite"])] == [0, 2, 0]
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "yeast"], "there is no preset 'yeast'; there are: adherent"),
        (["--size-px", "0"], "--size-px is '0'"),
        (["--size-um", "wide"], "--size-um is 'wide'"),
        (["--size-um", "20", "--size-px", "20"], "give one"),
        (["--set", "planes"], "NAME=VALUE"),
        (["--set", "grid.plans=3"], "did you mean planes"),
        (["--set", "grid.planes=[3"], "not YAML"),
        (["--set", "grid.pixel_um=2"], "pixels of 2.0 um are too large"),
        (["--times", "0"], "at least one time point"),
        (["--times", "2", "--hours-between", "0"], "more than 0 hours"),
        (["--wells", "0"], "0 wells"),
        (["--format", "zarr"], "ends in .zarr"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_what_makes_no_sense_writes_nothing(tmp_path, capsys, words, message):
    assert run(["simulate", "-o", str(tmp_path / "out"), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.concurrent
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interruption_leaves_nothing(tmp_path):
    words = ["simulate", "-o", str(tmp_path / "plate.zarr"), "--fovs", "500", *SMALL]
    running = subprocess.Popen([sys.executable, "-m", "isl", *words], stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while not any(tmp_path.glob(".plate*/A/1/0")) and time.monotonic() < until:
        assert running.poll() is None
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == 130
    assert list(tmp_path.iterdir()) == []
