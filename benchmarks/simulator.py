"""Speed and memory of the simulator: stacks of transmitted light.

    python benchmarks/simulator.py [--runs 3] [--threads 2] [--device cpu]

Images a volume of weak noise, 512 x 512 pixels and 13 planes at 13 heights, in bright field with
21 source points; then with half and twice as many pixels, planes and heights, or source points, to
show that the time is proportional to each.  Each run is a fresh process, whose peak memory is read
at its end; start, imports and a first, small stack do not count.  Prints medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, replace

WORKER = """
import resource, sys, time
import numpy as np, torch
from isl.simulate.optics.transmitted import BrightField, image_stack
side_y, side_x, planes, points, threads = map(int, sys.argv[1:6])
device = sys.argv[6]
torch.set_num_threads(threads)
def stack(y, x, z, points):
    index = np.random.default_rng(0).normal(0, 1e-3, (z, y, x)).astype(np.float32)
    light = BrightField(objective_na=0.45, condenser_na=0.3, source_points=points)
    return index, (1.0, 0.32, 0.32), 1.34, [float(height) for height in range(z)], light
image_stack(*stack(64, 64, 2, 2), device=device)
given = stack(side_y, side_x, planes, points)
start = time.perf_counter()
image_stack(*given, device=device)
seconds = time.perf_counter() - start
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
device_bytes = torch.cuda.max_memory_allocated() if device == "cuda" else 0
print(seconds, kilobytes / 1024, device_bytes / 2**20)
"""


@dataclass(frozen=True)
class Size:
    """How much there is to compute."""

    y: int = 512
    x: int = 512
    planes: int = 13
    points: int = 21

    @property
    def work(self) -> float:
        """Pixels times planes times source points."""
        return float(self.y * self.x * self.planes * self.points)


def measure(size: Size, runs: int, threads: int, device: str) -> list[float]:
    """Median seconds, megabytes and megabytes of the GPU over several fresh processes."""
    numbers = (size.y, size.x, size.planes, size.points, threads)
    command = [sys.executable, "-c", WORKER, *map(str, numbers), device]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    answers = []
    for _ in range(runs):
        ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        answers.append([float(value) for value in ended.stdout.split()])
    return [statistics.median(values) for values in zip(*answers, strict=True)]


def sizes() -> list[tuple[str, Size]]:
    """What is measured, under what name."""
    base = Size()
    return [
        ("512 x 512, 13 planes, 21 points", base),
        ("half the pixels", replace(base, y=256)),
        ("twice the pixels", replace(base, y=1024)),
        ("half the planes (6)", replace(base, planes=6)),
        ("twice the planes (26)", replace(base, planes=26)),
        ("half the source points (11)", replace(base, points=11)),
        ("twice the source points (42)", replace(base, points=42)),
    ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args()
    print(f"{asked.device}, {asked.threads} threads, {asked.runs} runs each: medians")
    for name, size in sizes():
        seconds, megabytes, on_device = measure(size, asked.runs, asked.threads, asked.device)
        print(
            f"{name:32} {seconds:8.2f} s {seconds / size.work * 1e9:6.1f} ns per pixel, plane "
            f"and point {megabytes:6.0f} MB {on_device:6.0f} MB on the GPU"
        )


if __name__ == "__main__":
    main()
