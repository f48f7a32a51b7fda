"""Speed and memory of prediction: a field of 1024 x 768 pixels, 13 planes, three targets.

    python benchmarks/speed.py [--runs 5] [--size 1024 768] [--planes 13]

Each run reads a field from disk, predicts it and writes an OME-Zarr, in a fresh process; the time
from the call to its return counts, process start and imports do not.  Prints medians.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKER = """
import resource, sys, time
import isl
from isl.inference.predict import predict_fovs
model, source, output = sys.argv[1:]
model, fovs = isl.load_model(model), isl.open_fovs(source)
start = time.perf_counter()
predict_fovs(model, fovs, output)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def prepare(folder: Path, size_yx: tuple[int, int], planes: int) -> tuple[Path, Path]:
    """Write a stack of noise and a model of random weights: neither matters for the speed."""
    import numpy as np
    import tifffile

    import isl
    from isl.core.networks import NetworkConfig
    from isl.inference.model_card import ModelCard, Provenance, SourceCard, TargetCard
    from isl.inference.model_file import save_model
    from isl.models.network import build_network

    rng = np.random.default_rng(0)
    stack = rng.normal(3e4, 4e3, (planes, *size_yx)).astype(np.uint16)
    tifffile.imwrite(folder / "phase.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    card = ModelCard(
        targets=tuple(TargetCard(name=n, offset=0.0, scale=1.0) for n in ("DAPI", "MAP2", "NFH")),
        source=SourceCard(name="phase", planes=planes),
        voxel_size=isl.VoxelSize(),
        network=NetworkConfig(),
        training={},
        provenance=Provenance(version="0", date="", torch="", steps=0, minutes=0, seed=0),
    )
    network = build_network(card.network, targets=len(card.targets)).eval()
    save_model(isl.Model(card, network), folder / "model.isl")
    return folder / "model.isl", folder / "phase.tif"


def main() -> None:
    """Print median seconds, megapixels per second and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 768), metavar=("Y", "X"))
    parser.add_argument("--planes", type=int, default=13)
    arguments = parser.parse_args()
    size_yx = (arguments.size[0], arguments.size[1])
    seconds, megabytes = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, source = prepare(folder, size_yx, arguments.planes)
        for run in range(arguments.runs):
            command = [sys.executable, "-c", WORKER, model, source, folder / f"{run}.zarr"]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            values = [float(value) for value in answer.split()]
            seconds.append(values[0])
            megabytes.append(values[1])
    median = statistics.median(seconds)
    print(f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}")
    print(
        f"{size_yx[0]} x {size_yx[1]} x {arguments.planes} planes, three targets, "
        f"{arguments.runs} runs: median {median:.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}), "
        f"{size_yx[0] * size_yx[1] / 1e6 / median:.2f} megapixels/s, "
        f"peak memory {statistics.median(megabytes):.0f} MB"
    )


if __name__ == "__main__":
    main()
