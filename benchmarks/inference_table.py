"""Speed of networks and backends in the engine, against the bare network and the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

import isl2018
from inference_network import BARE_PX, MATRIX_ROWS, measure_network
from inference_runs import Setup, say, table
from inference_scenes import TARGETS, write_model, write_tiff
from isl.inference.backends.choose import available_backends, default_threads

PLANES = 13
SIDES = (1024, 4096)
QUICK_BACKENDS = ("torch", "onnxruntime")
OTHERS = ("unet", "convnext")
NAMES = {"default": "default", "tiny": "tiny", "unet": "plain U-Net", "convnext": "ConvNeXt U-Net"}
PATCHES_PX, DENSE_PX = 32, 256
HEAD = (
    "seconds",
    "megapixels/s",
    "peak memory",
    "bare network, megapixels/s",
    "whole / bare",
    "the same, second call",
    "share of the matrix rate",
)


@dataclass(frozen=True)
class Row:
    """Medians over processes."""

    name: str
    seconds: float
    pixels: int
    peak_mb: float
    bare_s: float
    ratio: float
    again: float | None
    share: float
    matrix_rate: float

    @classmethod
    def of(cls, name: str, runs: list[dict[str, Any]]) -> Row:
        """Sum up the runs of `measure_network`."""
        again = [run["again_s"] / run["bare_s"] for run in runs if run["again_s"] is not None]
        return cls(
            name,
            median(run["first_s"] for run in runs),
            runs[0]["pixels"],
            median(run["peak_mb"] for run in runs),
            median(run["bare_s"] for run in runs),
            median(run["first_s"] / run["bare_s"] for run in runs),
            median(again) if again else None,
            median(run["flops"] / run["bare_s"] / run["matrix_rate"] for run in runs),
            median(run["matrix_rate"] for run in runs),
        )

    def cells(self, patches_s: float) -> list[str]:
        """A line of the table; ``patches_s`` is what patch-wise 2018 takes for a megapixel."""
        megapixels = self.pixels / 1e6
        return [
            self.name,
            f"{self.seconds:.2f}",
            f"{megapixels / self.seconds:.2f}",
            f"{self.peak_mb:.0f} MB",
            f"{megapixels / self.bare_s:.2f}",
            f"{self.ratio:.2f}",
            "-" if self.again is None else f"{self.again:.2f}",
            f"{100 * self.share:.0f} %",
            f"{patches_s * megapixels / self.seconds:,.0f}",
        ]


def table_lines(setup: Setup) -> list[str]:
    """Measure all rows; two tables."""
    side, sample = (24, 16) if setup.quick else (DENSE_PX, PATCHES_PX)
    published = published_rows(setup, side, sample)
    patches_s = published["patches"].seconds_per_megapixel
    lines = []
    for size in (64, 128) if setup.quick else SIDES:
        rows = [row for row in engine_rows(setup, size) if row is not None]
        head = (f"{size} x {size} x {PLANES}, three targets", *HEAD, "times patch-wise 2018")
        cells = [row.cells(patches_s) for row in rows]
        cells += [published_cells(way, got, size, patches_s) for way, got in published.items()]
        lines += [*table(head, cells), ""]
        rates = [f"{row.matrix_rate / 1e9:.0f}" for row in rows[:1]]
        lines += [f"Matrix products ({MATRIX_ROWS}^2, float32): {rates[0]} GFLOP/s.", ""]
    return [
        *lines,
        "Seconds from the call to its return in a fresh process, reading a TIFF and writing an "
        "OME-Zarr included; medians. The bare network is the same compiled stages on as many "
        f"pixels in memory, {BARE_PX} x {BARE_PX} at a time, in turns with the whole. The network "
        f"of 2018 was measured on {side} x {side} px (patch-wise {sample} x {sample} px) from "
        "memory, without its imports, and scaled to the image.",
    ]


def engine_rows(setup: Setup, size: int) -> list[Row | None]:
    """Rows of one size."""
    source = write_tiff(setup.folder / f"{size}.tif", size, PLANES)
    large = size > BARE_PX
    runs = 1 if setup.quick or large else 3
    turns = 2 if setup.quick else 1 if large else 3
    backends = [name for name in available_backends() if not setup.quick or name in QUICK_BACKENDS]
    if large:  # what takes minutes to compile is slower all the same
        backends = [name for name in backends if name != "compile"]
    fast = [name for name in backends if name.startswith("cuda")] or ["onnxruntime"]
    wanted = [(setup.network, backend, runs) for backend in backends]
    if not setup.quick:
        wanted += [(name, backend, runs) for name in OTHERS for backend in fast]
    return [engine_row(setup, source, *one, turns) for one in wanted]


def engine_row(
    setup: Setup, source: Path, network: str, backend: str, runs: int, turns: int
) -> Row | None:
    """One row; None where it fails, so that the others are not lost."""
    name = f"{NAMES[network]}, {backend}"
    say(f"{source.stem} px: {name}")
    try:
        model = setup.folder / f"{network}.isl"
        if not model.exists():
            write_model(model, network, PLANES)
        found = [
            setup.run(
                measure_network,
                model=model,
                source=source,
                output=setup.folder / "table.zarr",
                backend=backend,
                turns=turns,
                matrix_rows=256 if setup.quick else MATRIX_ROWS,
            )
            for _ in range(runs)
        ]
    except Exception as error:
        if setup.quick:
            raise
        say(f"left out: {error}")
        return None
    return Row.of(name, found)


def published_rows(setup: Setup, side: int, sample: int) -> dict[str, isl2018.Measured]:
    """The network of 2018, patch by patch and dense."""
    if setup.quick:  # it takes a minute to build
        return {"patches": isl2018.Measured(2500, 2500, 2500, 0, 0)}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for way, pixels in (("patches", sample), ("dense", side)):
        say(f"isl2018, {way}")
        found[way] = isl2018.measure(way, len(TARGETS), pixels, device, default_threads(), 3)
    return found


def published_cells(way: str, got: isl2018.Measured, size: int, patches_s: float) -> list[str]:
    """A line of the table for the network of 2018."""
    megapixels = size * size / 1e6
    name = {"patches": "isl2018, patch-wise", "dense": "isl2018, dense"}[way]
    seconds = got.seconds_per_megapixel * megapixels
    return [
        name,
        f"{seconds:,.0f}",
        f"{1 / got.seconds_per_megapixel:.4f}",
        f"{got.megabytes:.0f} MB",
        *["-"] * 4,
        f"{patches_s / got.seconds_per_megapixel:,.1f}",
    ]
