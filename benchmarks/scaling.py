"""A plate on machines from a laptop to a cluster: measures the pieces here, computes the rest.

    python benchmarks/scaling.py                        pieces, and the table of docs/scaling.md
    python benchmarks/scaling.py --processes 1 2        also isl.predict on that many processes

The pieces are measured on one core, from the page cache.  What cannot be measured here, GPUs,
disks and networks, are assumptions of `scaling_model.py`; --gpu-mpx-s replaces that of the GPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import isl
import scaling_model
from isl.inference.cluster import open_pool

MODEL = "demo-neurons"
"""The default network, 13 planes, three targets."""
TASKS = 200
CLUSTER_RUN = """
import sys, time
import isl
if __name__ == "__main__":
    model, source, output, cluster = sys.argv[1:]
    start = time.perf_counter()
    summary = isl.predict(model, source, output, cluster=cluster or None)
    print(time.perf_counter() - start, summary.pixels)
"""


def nothing(item: int) -> int:
    """Work that takes no time, so that only the pool's own remains."""
    return item


def start_worker(item: int) -> int:
    """What a worker does first: imports, and loading the model."""
    isl.load_model(MODEL)
    return item


def field_of(side: int) -> NDArray[np.uint16]:
    """(13, side, side): a simulated scene, so that codecs find about what they would."""
    return np.asarray(isl.simulate_scene(size_yx=(side, side)).source, np.uint16)


def seconds_of(step: Callable[[], Any], repeats: int) -> float:
    """Median processor time of a step, after a call that warms up.

    On one core it is the time that passes, but for what other programs of the machine take.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return median(times[1:])


def network_mpx_s(zyx: NDArray[np.uint16], repeats: int) -> float:
    """Megapixels/s from a normalised stack in memory to the median of three targets."""
    model = isl.load_model(MODEL)
    spent = seconds_of(lambda: model.predict(zyx), repeats)
    return zyx[0].size / spent / 1e6


def reading(folder: Path, zyx: NDArray[np.uint16], repeats: int) -> tuple[float, float]:
    """Print MB/s of layouts of the source; return those of OME-Zarr, and its bytes per byte."""
    import tifffile

    from reading import write_zarr

    paths = {
        "OME-Zarr": folder / "source.zarr",
        "TIFF, plain": folder / "plain.ome.tif",
        "TIFF, zlib": folder / "zlib.ome.tif",
    }
    write_zarr(paths["OME-Zarr"], zyx, {"chunks": (1, 1, 512, 512)})
    tifffile.imwrite(paths["TIFF, plain"], zyx, metadata={"axes": "ZYX"})
    tifffile.imwrite(paths["TIFF, zlib"], zyx, metadata={"axes": "ZYX"}, compression="zlib")
    found = {}
    print("| source | MB/s of one core | bytes in files for each byte of pixels |\n|---|---|---|")
    for name, path in paths.items():
        (fov,) = isl.open_fovs(path)

        def read(path: Path = path, channel: str = fov.channel_names[0]) -> None:
            os.utime(path)  # or what was decoded before would be taken from memory
            isl.open_fovs(path)[0].read(channel)

        found[name] = zyx.nbytes / seconds_of(read, repeats) / 1e6, size(path) / zyx.nbytes
        print(f"| {name} | {found[name][0]:.0f} | {found[name][1]:.2f} |")
    print()
    return found["OME-Zarr"]


def writing(prediction: Path, folder: Path, repeats: int) -> tuple[float, float]:
    """MB/s of writing a prediction as it was written, and bytes in files per byte of pixels."""
    import zarr

    level = next(path for path in sorted(prediction.rglob("0")) if (path / "zarr.json").exists())
    written = zarr.open_array(level, mode="r")
    pixels = written[:]
    group = zarr.open_group(folder / "again.zarr", mode="w", zarr_format=3)
    names = iter(range(repeats + 1))

    def write() -> None:
        group.create_array(
            str(next(names)),
            data=pixels,
            chunks=written.chunks,
            shards=written.shards,
            compressors=written.compressors,
            filters=written.filters,
        )

    return pixels.nbytes / seconds_of(write, repeats) / 1e6, size(prediction) / pixels.nbytes


def size(path: Path) -> int:
    """Bytes of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def pool_pieces() -> tuple[float, float]:
    """Seconds until a worker has loaded the model, and of the scheduler for one task."""
    start = time.perf_counter()
    with open_pool("local:1") as pool:
        list(pool.run(start_worker, [0]))
        started = time.perf_counter() - start
        busy = time.process_time()  # the scheduler is in this process
        list(pool.run(nothing, range(TASKS)))
        return started, (time.process_time() - busy) / TASKS


def measure(folder: Path, side: int, repeats: int, gpu_mpx_s: float) -> scaling_model.Pieces:
    """Measure all pieces on one core."""
    zyx = field_of(side)
    read_mb_s, source_ratio = reading(folder, zyx, repeats)
    isl.predict(MODEL, folder / "source.zarr", folder / "prediction.zarr", ignore_voxel_size=True)
    write_mb_s, output_ratio = writing(folder / "prediction.zarr", folder, repeats)
    worker_start_s, task_s = pool_pieces()
    return scaling_model.Pieces(
        network_mpx_s(zyx, repeats),
        read_mb_s,
        write_mb_s,
        source_ratio,
        output_ratio,
        worker_start_s,
        task_s,
        gpu_mpx_s,
    )


def compare_processes(folder: Path, counts: list[int], side: int, images: int) -> None:
    """Print the time of a small plate, in this process and on each number of processes."""
    import tifffile

    source = folder / "fields"
    source.mkdir()
    zyx = field_of(side)
    for i in range(images):
        tifffile.imwrite(source / f"field{i}.ome.tif", np.roll(zyx, i, 1), metadata={"axes": "ZYX"})
    print(f"{images} fields of {side} x {side} px, start of processes included:\n")
    print("| processes | seconds | megapixels/s |\n|---|---|---|")
    for cluster in ("", *(f"local:{count}" for count in counts)):
        output = folder / f"by-{cluster.replace(':', '')}.zarr"
        command = [sys.executable, "-c", CLUSTER_RUN, MODEL, source, output, cluster]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds, pixels = map(float, answer.split())
        print(
            f"| {cluster or 'without --cluster'} | {seconds:.1f} | {pixels / seconds / 1e6:.2f} |"
        )
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, nargs="*", default=[])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gpu-mpx-s", type=float, default=300.0)
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.processes:
            compare_processes(folder, given.processes, given.size, given.images)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        pieces = measure(folder, given.size, given.repeats, given.gpu_mpx_s)
    plate = scaling_model.Plate()
    print("\n".join(scaling_model.pieces_table(pieces)), end="\n\n")
    print(
        f"{plate.images} images: {plate.source_mb / 1e3:.0f} GB of pixels to read, "
        f"{plate.output_mb / 1e3:.0f} GB to write, {plate.megapixels:.0f} megapixels\n"
    )
    print("\n".join(scaling_model.plate_table(plate, pieces)))


if __name__ == "__main__":
    main()
