"""How long a command takes to start: from the process to its first tile."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from inference_runs import Setup, say
from inference_scenes import write_model, write_tiff

PLANES, START_SIDE = 13, 512
START = """
import sys, time
from contextlib import contextmanager
from isl.cli import console
started, shown = float(sys.argv.pop(1)), console.progress_bar

@contextmanager
def progress_bar():
    with shown() as progress:
        def report(state):
            if state.done:
                print("first tile", time.time() - started)
            progress(state)
        yield report

console.progress_bar = progress_bar
from isl.__main__ import main
main()
"""


def start_lines(setup: Setup) -> list[str]:
    """Time from the start of a process to its first tile, and of the whole command."""
    side = 32 if setup.quick else START_SIDE
    model = write_model(setup.folder / "start.isl", setup.network, PLANES)
    source = write_tiff(setup.folder / "start.tif", side, PLANES)
    output = setup.folder / "start.zarr"
    arguments = ["predict", model, source, "--output", output, "--overwrite"]
    first, whole = [], []
    for run in range(1 if setup.quick else 6):
        say(f"start, run {run + 1}")
        start = time.time()
        command = [sys.executable, "-c", START, str(start), *map(str, arguments)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        whole.append(time.time() - start)
        said = [line for line in ended.stdout.splitlines() if line.startswith("first tile")]
        first.append(float(said[0].split()[-1]))
    kept = slice(0 if setup.quick else 1, None)  # the first run may choose the backend
    return [
        f"`isl predict` of {side} x {side} x {PLANES}: {median(first[kept]):.1f} s from the start "
        f"of the process until the first tile was predicted, {median(whole[kept]):.1f} s until "
        "the command ended."
    ]
