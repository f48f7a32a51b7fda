"""Every code block of the README runs, with budgets made small."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
SMALL = (
    "--max-steps 2 --batch-size 1 --patch-px 64 "
    "--network.widths 8 --network.widths 8 --network.blocks 1 --network.blocks 1"
)


def shell_blocks():
    return [code for language, code in BLOCKS if language == "bash"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with ``my_images`` and ``new_images``, as the README assumes."""
    import isl
    from isl.simulate.files import write_scene

    folder = tmp_path_factory.mktemp("readme")
    for seed, name in enumerate(("my_images", "new_images")):
        write_scene(isl.simulate_scene(seed=seed, size_yx=(160, 192), planes=3), folder / name)
    return folder


def test_there_is_nothing_but_shell_and_python():
    assert {language for language, _ in BLOCKS} == {"bash", "python"}


def test_make_targets_exist():
    targets = [
        line.split()[1]
        for code in shell_blocks()
        for line in code.splitlines()
        if line.startswith("make ")
    ]
    assert targets == ["demo", "test"]
    for target in targets:
        plan = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True
        )
        assert plan.returncode == 0, plan.stderr
        assert {"demo": "isl demo", "test": "pytest"}[target] in plan.stdout


def test_shell_blocks(workplace):
    commands = [c for code in shell_blocks() for c in code.splitlines() if c.startswith("isl ")]
    assert len(commands) == 5
    for command in commands:
        arguments = shlex.split(command.replace("--max-minutes 20", SMALL))[1:]
        run = subprocess.run(
            [sys.executable, "-m", "isl", *arguments], cwd=workplace, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
    for made in ("model.isl", "predictions.zarr", "report.html", "model.run/previews"):
        assert (workplace / made).exists()


def test_python_block(workplace, monkeypatch):
    (code,) = [code for language, code in BLOCKS if language == "python"]
    assert code.count("\n") <= 11
    small = 'max_steps=2, batch_size=1, patch_px=64, network={"widths": (8, 8), "blocks": (1, 1)}'
    assert "max_minutes=20" in code
    monkeypatch.chdir(workplace)
    names = {}
    exec(compile(code.replace("max_minutes=20", small), "README.md", "exec"), names)
    assert names["nuclei"].shape == (160, 192)
    assert (names["low"] <= names["high"]).all()
    assert os.path.exists("report2.html")
    assert os.path.exists("predictions.ome.tif")
