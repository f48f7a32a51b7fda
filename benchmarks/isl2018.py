"""Speed and memory of the published network's three ways to predict, and of the default network.

    python benchmarks/isl2018.py [--runs 3] [--size 512] [--sample 64] [--device auto] [--threads 2]

Each run predicts an array of noise (13 planes, random weights, neither of which matters for the
speed) in a fresh process, whose peak memory is read at its end; start, imports and a first, small
prediction do not count.  The published network has base depth 400, no heads that reconstruct the
planes, and 3 or 9 targets.  Patch by patch it is too slow for a whole image and is measured on
SAMPLE x SAMPLE pixels: every patch costs the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

PLANES = 13
BASE_DEPTH = 400
WAYS = ("patches", "dense", "single-pass", "default")
WARM_UP_PX = 16

WORKER = """
import resource, sys, time
sys.path.insert(0, {folder!r})
from isl2018 import model_of, noise
import torch
way, targets, side, device, threads = sys.argv[1], *map(int, sys.argv[2:4]), *sys.argv[4:6]
torch.set_num_threads(int(threads))
model = model_of(way, targets)
model.predict(noise({warm_up}))
stack = noise(side)
if device == "cuda":
    torch.cuda.reset_peak_memory_stats()
start = time.perf_counter()
model.predict(stack)
seconds = time.perf_counter() - start
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
device_bytes = torch.cuda.max_memory_allocated() if device == "cuda" else 0
print(seconds, kilobytes / 1024, device_bytes / 2**20)
"""


@dataclass(frozen=True)
class Measured:
    """Medians of several runs."""

    seconds_per_megapixel: float
    lowest: float
    highest: float
    megabytes: float
    device_megabytes: float


def model_of(way: str, targets: int):
    """Model of random weights; ``way`` is a stitching of the published network or ``default``."""
    import isl
    from isl.core.networks import Isl2018Config, NetworkConfig
    from isl.inference.model_card import ModelCard, Provenance, SourceCard, TargetCard
    from isl.models.build import build_labeling_network

    published = Isl2018Config(base_depth=BASE_DEPTH, planes=PLANES, reconstruction=False)
    config = NetworkConfig() if way == "default" else published
    names = [f"T{index}" for index in range(targets)]
    card = ModelCard(
        targets=tuple(TargetCard(name=name, offset=0.0, scale=1.0) for name in names),
        source=SourceCard(
            name="phase",
            planes=PLANES,
            normalization="standard" if way == "default" else "published",
        ),
        voxel_size=isl.VoxelSize(),
        network=config,
        training={},
        provenance=Provenance(version="0", date="", torch="", steps=0, minutes=0, seed=0),
    )
    model = isl.Model(card, build_labeling_network(config, names).eval())
    return model if way == "default" else model.stitched(way)


def noise(side: int):
    """Stack (planes, side, side) of 16-bit noise."""
    import numpy as np

    values = np.random.default_rng(0).normal(3e4, 4e3, (PLANES, side, side))
    return values.astype(np.uint16)


def measure(way: str, targets: int, side: int, device: str, threads: int, runs: int) -> Measured:
    """Predict ``side`` x ``side`` pixels several times, each in a fresh process."""
    code = WORKER.format(folder=os.path.dirname(os.path.abspath(__file__)), warm_up=WARM_UP_PX)
    command = [sys.executable, "-c", code, way, *map(str, (targets, side, device, threads))]
    # A model takes a GPU where it sees one.
    seen = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    answers = []
    for _ in range(runs):
        ended = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | seen
        )
        answers.append([float(value) for value in ended.stdout.split()])
    seconds, megabytes, device_megabytes = zip(*answers, strict=True)
    per_megapixel = [value / (side * side / 1e6) for value in seconds]
    return Measured(
        statistics.median(per_megapixel),
        min(per_megapixel),
        max(per_megapixel),
        statistics.median(megabytes),
        statistics.median(device_megabytes),
    )


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2] for line in file if line.startswith("model name")]
        return names[0].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def device_name(device: str) -> str:
    """Where the networks run."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else processor()


def report(targets: int, side: int, sample: int, device: str, threads: int, runs: int) -> None:
    """Measure all ways with one number of targets and print a table."""
    print(f"\n{targets} targets, {PLANES} planes, {runs} runs each: median (lowest to highest)")
    found = {}
    for way in WAYS:
        pixels = sample if way == "patches" else side
        found[way] = got = measure(way, targets, pixels, device, threads, runs)
        memory = f"{got.megabytes:.0f} MB"
        if device == "cuda":
            memory += f" and {got.device_megabytes:.0f} MB on the GPU"
        extrapolated = f", extrapolated from {sample} x {sample} px" if way == "patches" else ""
        print(
            f"  {way:12} {got.seconds_per_megapixel:10.2f} s per output megapixel "
            f"({got.lowest:.2f} to {got.highest:.2f}){extrapolated}; peak memory {memory}",
            flush=True,
        )
    patches = found["patches"].seconds_per_megapixel
    for way in ("dense", "single-pass"):
        ratio = patches / found[way].seconds_per_megapixel
        print(f"  {way} is {ratio:.1f} times as fast as patch by patch")


def main() -> None:
    """Print seconds per megapixel, peak memory and ratios."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=512, metavar="PX")
    parser.add_argument("--sample", type=int, default=64, metavar="PX")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--targets", type=int, nargs="+", default=[3, 9])
    arguments = parser.parse_args()
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{device_name(device)}, {arguments.threads} threads, {time.strftime('%Y-%m-%d')}")
    print(f"torch {torch.__version__}, images of {arguments.size} x {arguments.size} px")
    for targets in arguments.targets:
        report(targets, arguments.size, arguments.sample, device, arguments.threads, arguments.runs)


if __name__ == "__main__":
    main()
