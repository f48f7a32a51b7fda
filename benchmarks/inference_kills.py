"""Kill `isl predict` at random moments: what it ends with must not depend on it."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import zarr

from inference_runs import Setup, isl_command, say
from inference_scenes import write_model, write_zarr
from isl.io.output_partial import OWNER

PLANES = 13
WELLS = ("B/02", "B/03", "C/02", "C/03")
FIELDS, SIDE, KILLS = 6, 384, 50
QUICK_FIELDS, QUICK_SIDE, QUICK_KILLS = 1, 32, 2
RESUMED = re.compile(r"of which (\d+) parts were done")


@dataclass
class Counts:
    """What has happened so far."""

    at_work: int = 0
    rounds: int = 0
    resumed: int = 0
    differing: int = 0


def kill_lines(setup: Setup) -> list[str]:
    """Kill the command, let it finish, compare, and begin anew until it was killed often enough."""
    kills = QUICK_KILLS if setup.quick else KILLS
    fields, side = (QUICK_FIELDS, QUICK_SIDE) if setup.quick else (FIELDS, SIDE)
    model = write_model(setup.folder / "kills.isl", setup.network, PLANES)
    plate = write_plate(setup.folder / "plate.zarr", fields, side)
    output = setup.folder / "killed.zarr"
    command = isl_command("predict", model, plate, "--output", output)
    say("undisturbed, twice: the first run may choose the backend")
    finish(command, output)
    shutil.rmtree(output)
    start = time.perf_counter()
    finish(command, output)
    undisturbed_s = time.perf_counter() - start
    expected = digests(output)
    shutil.rmtree(output)
    counts = Counts()
    moments, killed = random.Random(0), 0
    while killed < kills:
        if output.exists():  # killed after its last step
            compare(output, expected, counts)
        if killed_after(command, output, moments.uniform(0.0, undisturbed_s), counts):
            killed += 1
            say(f"killed {killed} of {kills}")
        else:
            compare(output, expected, counts)
    counts.resumed += finish(command, output)
    compare(output, expected, counts)
    return [report(len(WELLS) * fields, side, killed, counts)]


def report(fields: int, side: int, killed: int, counts: Counts) -> str:
    """What came of it, in words."""
    same = "all" if counts.differing == 0 else f"NOT ALL ({counts.differing} differ)"
    return (
        f"`isl predict` of a plate of {fields} fields of {side} x {side} x {PLANES} was killed "
        f"(SIGKILL) {killed} times at random moments, {counts.at_work} of them once it held its "
        f"output, and each time the same command was given again. It ended {counts.rounds} "
        f"times, having taken {counts.resumed} tasks from runs that were killed; {same} of these "
        "outputs are byte by byte what an undisturbed run writes."
    )


def killed_after(command: list[str], output: Path, seconds: float, counts: Counts) -> bool:
    """Kill the command after some time; False where it had finished."""
    since = time.time()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        counts.at_work += has_begun(output, since)
        return True
    if process.returncode:
        raise RuntimeError(f"isl predict ended with {process.returncode}")
    counts.resumed += tasks_resumed(said)
    return False


def has_begun(output: Path, since: float) -> bool:
    """Whether a run that was started then holds the unfinished output."""
    owner = output.with_name(f".{output.name}.partial") / OWNER
    return owner.exists() and owner.stat().st_mtime >= since


def finish(command: list[str], output: Path) -> int:
    """Run the command undisturbed; how many tasks it found done."""
    if output.exists():
        return 0  # killed after its last step
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return tasks_resumed(ended.stdout)


def tasks_resumed(said: str) -> int:
    """How many tasks of an interrupted run a command says that it found."""
    found = RESUMED.search(" ".join(said.split()))
    return int(found[1]) if found else 0


def compare(output: Path, expected: dict[str, str], counts: Counts) -> None:
    """Count whether an output is as it should be, and remove it."""
    counts.rounds += 1
    counts.differing += digests(output) != expected
    shutil.rmtree(output)


def digests(folder: Path) -> dict[str, str]:
    """Digest of each file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def write_plate(path: Path, fields: int, side: int) -> Path:
    """Write an OME-Zarr 0.5 plate of small images."""
    rows, columns = (sorted({well.split("/")[i] for well in WELLS}) for i in (0, 1))
    plate = {
        "name": path.stem,
        "rows": [{"name": name} for name in rows],
        "columns": [{"name": name} for name in columns],
        "wells": [
            {
                "path": well,
                "rowIndex": rows.index(well.split("/")[0]),
                "columnIndex": columns.index(well.split("/")[1]),
            }
            for well in WELLS
        ],
    }
    zarr.open_group(path, mode="w", zarr_format=3).attrs["ome"] = {"version": "0.5", "plate": plate}
    for well in WELLS:
        group = zarr.open_group(path / well, mode="w", zarr_format=3)
        images = [{"path": str(field)} for field in range(fields)]
        group.attrs["ome"] = {"version": "0.5", "well": {"images": images}}
        for field in range(fields):
            write_zarr(path / well / str(field), side, PLANES)
    return path
