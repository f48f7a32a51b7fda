"""Time of the reading side: what a prediction costs beside the network and the writing.

    python benchmarks/reading.py                1024 x 1024 x 13 planes, uint16, medians of 9
    python benchmarks/reading.py --size 512 --repeats 3

Files are simulated into a temporary folder and read from the page cache.  Per layout, in
milliseconds: ``open``, ``measure`` (mean and spread, which reads all pixels), and ``bands`` (band
after band of 64 rows, normalised as a network wants them); time of the processor in brackets.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.inference.source_stack import SourceStack, StackReader
from isl.io.fov import Fov
from isl.io.open import open_fovs

PLANES, BAND_ROWS = 13, 64
TIFF_LAYOUTS: dict[str, dict[str, Any]] = {
    "TIFF, ImageJ": {"imagej": True},
    "TIFF, tiles, zlib": {"metadata": {"axes": "ZYX"}, "tile": (256, 256), "compression": "zlib"},
    "TIFF, strips, LZW": {"metadata": {"axes": "ZYX"}, "rowsperstrip": 16, "compression": "lzw"},
    "TIFF, one strip, zlib": {"metadata": {"axes": "ZYX"}, "compression": "zlib"},
}
ZARR_LAYOUTS: dict[str, dict[str, Any]] = {
    "zarr, chunks of 256": {"chunks": (1, 1, 256, 256)},
    "zarr, chunks of 13 x 128": {"chunks": (1, PLANES, 128, 128)},
    "zarr, shards": {"chunks": (1, 1, 256, 256), "shards": (1, PLANES, 1024, 1024)},
}


def cells(size: int) -> NDArray[np.uint16]:
    """(Z, Y, X): smooth structures and noise, so that codecs find about what they would."""
    random = np.random.default_rng(0)
    waves = np.sin(np.arange(size) / 9.0)[:, None] * np.sin(np.arange(size) / 7.0)
    depth = np.linspace(0.5, 1.0, PLANES)[:, None, None]
    image = 3000 + 800 * depth * waves + random.normal(0, 40, (PLANES, size, size))
    return np.asarray(image.clip(0, 65535), np.uint16)


def write_layouts(folder: Path, zyx: NDArray[np.uint16]) -> dict[str, Path]:
    """Write one field in each layout."""
    found = {}
    for name, layout in TIFF_LAYOUTS.items():
        found[name] = folder / f"{len(found)}.{'tif' if 'imagej' in layout else 'ome.tif'}"
        image = zyx[:, None] if "imagej" in layout else zyx
        tifffile.imwrite(found[name], image, **layout)
    for name, layout in ZARR_LAYOUTS.items():
        found[name] = folder / f"{len(found)}.zarr"
        write_zarr(found[name], zyx, layout)
    found["PNG, one a plane"] = folder / "png"
    found["PNG, one a plane"].mkdir()
    for z, plane in enumerate(zyx):
        (found["PNG, one a plane"] / f"B03_phase_z{z:02d}.png").write_bytes(
            imagecodecs.png_encode(plane)
        )
    return found


def write_zarr(path: Path, zyx: NDArray[np.uint16], layout: dict[str, Any]) -> None:
    """Write an OME-Zarr 0.5 image with the axes C, Z, Y, X."""
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "zyx")]
    scale = [{"type": "scale", "scale": [1.0] * 4}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    limited = {
        key: tuple(min(n, m) for n, m in zip(value, (1, *zyx.shape), strict=True))
        for key, value in layout.items()
    }
    array = group.create_array("0", shape=(1, *zyx.shape), dtype=zyx.dtype, **limited)
    array[:] = zyx[None]


def stack_of(fov: Fov) -> SourceStack:
    """Measure the first channel."""
    channel = fov.channels[0]
    return StackReader(fov, channel.name, "standard", channel.dtype).stack(0, "the source")


def read_bands(stack: SourceStack) -> None:
    """Read and normalise the image in bands, as they flow through the network."""
    size_y, size_x = stack.shape_yx
    for y0 in range(0, size_y, BAND_ROWS):
        box = Box(y0, min(size_y, y0 + BAND_ROWS), 0, size_x)
        stack.normalizer.apply(stack.read(box))


def timed(step: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a step gives, its milliseconds, and those of the processor."""
    wall, busy = time.perf_counter(), time.process_time()
    result = step()
    return result, 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - busy)


def one_run(path: Path) -> list[float]:
    """Milliseconds of opening, measuring and reading in bands; then those of the processor."""
    for file in (path, *path.glob("*.png")):
        os.utime(file)  # or what was decoded before would be taken from memory
    (fov,), *opened = timed(lambda: open_fovs(path))
    stack, *measured = timed(lambda: stack_of(fov))
    _, *read = timed(lambda: read_bands(stack))
    return [*opened, *measured, *read]


def main() -> None:
    """Print a line for each layout."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_layouts(Path(folder), cells(given.size))
        print(f"{'ms (processor)':26}{'open':>15}{'measure':>15}{'bands':>15}{'sum':>15}")
        for name, path in paths.items():
            runs = [one_run(path) for _ in range(given.repeats)]
            steps = [median(step) for step in zip(*runs, strict=True)]
            steps += [sum(steps[2::2]), sum(steps[3::2])]
            pairs = zip(steps[::2], steps[1::2], strict=True)
            print(f"{name:26}" + "".join(f"{f'{w:.0f} ({p:.0f})':>15}" for w, p in pairs))


if __name__ == "__main__":
    main()
