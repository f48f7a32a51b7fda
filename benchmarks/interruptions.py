"""Interrupt and kill whole commands at random moments, and look at what they leave.

usage: python benchmarks/interruptions.py [--kills 20] [--interruptions 30] [--seed 0]

- ``isl predict --cluster local:2`` of a plate of 24 fields, one of its two worker processes killed
  (SIGKILL): each run has to end by itself with the bytes of an undisturbed one.
- ``isl predict`` interrupted (SIGINT): it may leave what it needs to go on, and nothing else; the
  same command then ends with the same bytes.
- ``isl simulate`` interrupted (SIGINT): it may leave nothing.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from inference_kills import digests, write_plate
from inference_runs import isl_command, say
from isl.io.output_journal import NAME
from isl.io.output_partial import LOCK, OWNER, PRODUCT

FIELDS_PER_WELL, SIDE = 6, 256
MODEL = "demo-neurons"
ENDED = (0, -signal.SIGINT)
"""Exit codes beside a complete output: the second where Python itself was winding down."""
SIMULATED = ("--fovs", "24", "--size-px", "96", "--planes", "3")


def main() -> int:
    """Do all three; prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--interruptions", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plate = write_plate(folder / "plate.zarr", FIELDS_PER_WELL, SIDE)
        predict = isl_command("predict", MODEL, plate, "--output")
        expected, seconds = undisturbed([*predict, str(folder / "whole.zarr")])
        kept = [
            kill_workers(predict, folder / "shared", expected, asked.kills, moments),
            interrupt_predict(predict, folder / "p", expected, seconds, asked, moments),
            interrupt_simulate(folder / "s", asked.interruptions, moments),
        ]
    return 0 if all(kept) else 1


def undisturbed(command: Sequence[str]) -> tuple[dict[str, str], float]:
    """Digests of the files of a run that nobody disturbs, and its seconds; the second of two."""
    output = Path(command[-1])
    for _ in range(2):  # the first may choose the backend
        shutil.rmtree(output, ignore_errors=True)
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return digests(output), time.perf_counter() - started


def kill_workers(
    predict: Sequence[str],
    folder: Path,
    expected: dict[str, str],
    kills: int,
    moments: random.Random,
) -> bool:
    """Kill one worker of a shared run at a random moment, again and again."""
    folder.mkdir()
    command = [*predict, str(folder / "out.zarr"), "--cluster", "local:2"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - started
    counts: Counter[str] = Counter(same=0, killed=0)
    slowest = 0.0
    shutil.rmtree(folder / "out.zarr")
    while counts["killed"] < kills:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(moments.uniform(0.0, whole))
        workers = worker_processes(process.pid)
        if workers:
            moments.choice(workers).kill()
        _, said = process.communicate()
        counts["killed"] += bool(workers)
        counts["too early or late"] += not workers
        if workers:
            slowest = max(slowest, time.perf_counter() - started)
            same = process.returncode == 0 and digests(folder / "out.zarr") == expected
            counts["same"] += same
            if not same:
                say(f"exit code {process.returncode}: {said.decode()[-2000:]}")
        counts["left behind"] += len(list(folder.iterdir())) - 1
        shutil.rmtree(folder / "out.zarr", ignore_errors=True)
    print(
        f"predict --cluster local:2, 24 fields, one worker killed: {counts['killed']} times, "
        f"{counts['same']} ended with the bytes of an undisturbed run (whole run {whole:.1f} s, "
        f"slowest with a kill {slowest:.1f} s); left behind: {counts['left behind']} "
        f"({counts['too early or late']} more rounds had no worker at that moment)",
        flush=True,
    )
    return counts["same"] == kills and not counts["left behind"]


def worker_processes(pid: int) -> list[psutil.Process]:
    """Processes that a command started to work for it."""
    try:
        found = psutil.Process(pid).children(recursive=True)
        return [each for each in found if "spawn_main" in " ".join(each.cmdline())]
    except psutil.Error:
        return []


def interrupt(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Interrupt a command after some time; its exit code and what it said."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    return process.returncode, said


def interrupt_predict(
    predict: Sequence[str],
    folder: Path,
    expected: dict[str, str],
    whole: float,
    asked: argparse.Namespace,
    moments: random.Random,
) -> bool:
    """Interrupt a prediction at random moments, then let it go on."""
    folder.mkdir()
    counts: Counter[str] = Counter()
    wrong = []
    for number in range(asked.interruptions):
        output = folder / f"{number}.zarr"
        code, said = interrupt([*predict, str(output)], moments.uniform(0.0, whole))
        left = {path.name for path in folder.iterdir()}
        partial = folder / f".{output.name}.partial"
        inside = {path.name for path in partial.iterdir()} if partial.exists() else set()
        state = "kept to go on" if inside else "ended" if output.name in left else "left nothing"
        counts[state] += 1
        good = (
            code in (ENDED if state == "ended" else (130,))
            and not left - {partial.name, output.name}
            and (not inside or NAME in inside)
            and inside <= {NAME, LOCK, OWNER, PRODUCT}
            and "Traceback" not in said
        )
        if not output.exists():
            subprocess.run([*predict, str(output)], check=True, stdout=subprocess.DEVNULL)
        if not good or digests(output) != expected:
            wrong.append((code, left, inside, said[-2000:]))
        shutil.rmtree(output)
    print(f"predict interrupted {asked.interruptions} times: {dict(counts)}, wrong: {wrong}")
    return not wrong


def interrupt_simulate(folder: Path, interruptions: int, moments: random.Random) -> bool:
    """Interrupt a simulation at random moments."""
    folder.mkdir()
    output = folder / "plate.zarr"
    command = isl_command("simulate", "--output", output, *SIMULATED)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - started
    shutil.rmtree(output)
    counts: Counter[str] = Counter()
    wrong = []
    for _ in range(interruptions):
        code, said = interrupt(command, moments.uniform(0.0, whole))
        left = {path.name for path in folder.iterdir()}
        has_ended = left == {output.name}
        counts["ended" if has_ended else "left nothing" if not left else "left something"] += 1
        good = code in ENDED if has_ended else code == 130 and not left
        if not good or "Traceback" in said:
            wrong.append((code, left, said[-2000:]))
        for path in list(folder.iterdir()):
            shutil.rmtree(path)
    print(f"simulate interrupted {interruptions} times: {dict(counts)}, wrong: {wrong}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
