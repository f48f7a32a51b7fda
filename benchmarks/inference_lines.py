"""Time and memory against the size of an image: both should be straight lines, the second flat."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import isl
from inference_runs import Setup, forget_decoded, peak_mb, say, table
from inference_scenes import write_model, write_zarr
from isl.inference.predict import predict_fovs

PLANES = 13
SIDES, FULL_SIDES, QUICK_SIDES = (2048, 4096, 8192), (2048, 4096, 8192, 16384), (64, 128, 256)
MEMORY = ("1GB", None)
RUNS = 3
ONE_RUN_PX = 8192
"""Larger images are predicted once, as they take minutes."""


def line_lines(setup: Setup) -> list[str]:
    """Measure squares of growing size; a table and the fitted lines."""
    sides = QUICK_SIDES if setup.quick else FULL_SIDES if setup.full else SIDES
    model = write_model(setup.folder / "lines.isl", setup.network, PLANES)
    runs: dict[str | None, dict[int, dict[str, float]]] = {memory: {} for memory in MEMORY}
    for side in sides:
        source = write_zarr(setup.folder / f"{side}.zarr", side, PLANES)
        for memory, found in runs.items():
            if memory and side >= ONE_RUN_PX:
                continue
            say(f"{side} px, memory {memory or 'by default'}")
            found[side] = repeated(setup, model, source, side, memory)
        shutil.rmtree(source)
    head = ("image", "memory", "seconds", "megapixels/s", "peak memory")
    cells = [
        [
            f"{side} x {side} x {PLANES}",
            memory or "default",
            f"{one['seconds']:.1f}",
            f"{side * side / 1e6 / one['seconds']:.2f}",
            f"{one['peak_mb']:.0f} MB",
        ]
        for memory, found in runs.items()
        for side, one in found.items()
    ]
    return [*table(head, cells), "", *(fitted(memory, found) for memory, found in runs.items())]


def repeated(
    setup: Setup, model: Path, source: Path, side: int, memory: str | None
) -> dict[str, float]:
    """Medians over fresh processes."""
    output = setup.folder / "lines.zarr"
    runs = [
        setup.run(measure_size, model=model, source=source, output=output, memory=memory)
        for _ in range(1 if setup.quick or side >= ONE_RUN_PX else RUNS)
    ]
    shutil.rmtree(output)
    return {key: median(run[key] for run in runs) for key in ("seconds", "peak_mb")}


def measure_size(model: str, source: str, output: str, memory: str | None) -> dict[str, Any]:
    """Predict one image."""
    loaded = isl.load_model(model)
    forget_decoded(Path(source))
    fovs = isl.open_fovs(source)
    start = time.perf_counter()
    predict_fovs(loaded, fovs, output, overwrite=True, memory=memory)
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def fitted(memory: str | None, found: dict[int, dict[str, float]]) -> str:
    """The straight line through the seconds, and how much the memory grows."""
    megapixels = np.array([side * side / 1e6 for side in found])
    seconds = np.array([one["seconds"] for one in found.values()])
    slope, intercept = np.polyfit(megapixels, seconds, 1)
    r2 = np.corrcoef(megapixels, seconds)[0, 1] ** 2
    peaks = [one["peak_mb"] for one in found.values()]
    return (
        f"- Memory {memory or 'by default'}: seconds = {slope:.3f} x megapixels "
        f"{intercept:+.2f} (r2 {r2:.5f}); memory of the largest image {peaks[-1] / peaks[0]:.2f} "
        "times that of the smallest."
    )
