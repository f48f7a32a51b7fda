"""Two processes on the CPU end where one does, also when they are interrupted on the way."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from isl.cli.app import run
from isl.inference.model_file import load_model
from isl.simulate.files import write_scene
from isl.simulate.scene import simulate_scene
from isl.training.run_folder import RunFolder

STEPS = 60
SETTINGS = {
    "network": {"widths": [8, 8], "blocks": [1, 1], "dropout": 0.0},
    "batch_size": 4,
    "patch_px": 32,
    "max_steps": STEPS,
    "validate_steps": 10,
    "accelerator": "cpu",
    "holdout": "columns:112-159",
    "holdout_margin_px": 8,
}


@pytest.fixture
def words(tmp_path):
    """A command that trains a tiny network on a tiny scene, but for the output."""
    write_scene(simulate_scene(seed=1, size_yx=(96, 160), planes=3, cells=5), tmp_path / "scene")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS))
    return ["train", str(tmp_path / "scene"), "--config", str(tmp_path / "tiny.yaml")]


def curve(folder):
    """Loss and held-out scores at each logged step."""
    rows = {}
    for file in sorted(folder.path.glob("csv/*/metrics.csv")):
        with file.open() as lines:
            for row in csv.DictReader(lines):
                names = [n for n in row if n and n.startswith(("train/loss", "heldout"))]
                rows |= {(row["step"], n): float(row[n]) for n in names if row[n]}
    return rows


def wait_for(path, process):
    end = time.monotonic() + 120
    while not path.is_file() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    assert path.is_file()


@pytest.mark.concurrent
@pytest.mark.slow
def test_two_devices_end_where_one_does(tmp_path, words):
    one, two = tmp_path / "one.isl", tmp_path / "two.isl"
    assert run([*words, "-o", str(one)]) == 0
    folder = RunFolder.of(two)
    command = [*words, "-o", str(two), "--devices", "2"]

    console_script = str(Path(sys.executable).with_name("isl"))
    with subprocess.Popen(
        [console_script, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_for(folder.checkpoint, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    for line in ("source ", "to go on where this ended", "interrupted"):
        assert said.count(line) == 1
    assert not two.exists()

    resumed = subprocess.run(
        [sys.executable, "-m", "isl", *command, "--resume"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert resumed.stdout.count("next: isl predict") == 1
    assert resumed.stderr == ""
    models = [load_model(path) for path in (one, two)]
    states = [model.network.state_dict() for model in models]
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)
    curves = [curve(RunFolder.of(path)) for path in (one, two)]
    assert len(curves[0]) > STEPS // 10
    assert curves[1] == pytest.approx(curves[0], rel=1e-4, abs=1e-5)
    assert len(list(folder.previews.glob("*.png"))) == STEPS // 10


@pytest.mark.slow
def test_a_budget_in_minutes_ends_both_devices(tmp_path, words):
    output = tmp_path / "m.isl"
    text = (tmp_path / "tiny.yaml").read_text().replace("max_steps: 60", "max_minutes: 0.05")
    (tmp_path / "tiny.yaml").write_text(text + "validate_minutes: 0.01\n")
    done = subprocess.run(
        [sys.executable, "-m", "isl", *words, "-o", str(output), "--devices", "2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert load_model(output).card.provenance.steps > 2
    assert len(list(RunFolder.of(output).previews.glob("*.png"))) > 1
