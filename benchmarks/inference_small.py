"""Thousands of small images in one process: time of each, and whether anything leaks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

import isl
from inference_runs import Setup, say, table
from inference_scenes import image_rows, write_model, write_tiff
from isl.core.progress import Progress

PLANES, SIDE = 3, 128
FILES, ROUNDS = 1000, 10
QUICK_FILES, QUICK_ROUNDS, QUICK_SIDE = 5, 2, 32
MOMENTS = (0.1, 0.5, 1.0)
"""Shares of the images after which memory and open files are counted."""


class Watch:
    """Memory and open files of this process, at some moments."""

    def __init__(self, images: int) -> None:
        self._left = [max(1, round(share * images)) for share in MOMENTS]
        self._process = psutil.Process()
        self.seen: list[tuple[int, float, int]] = []

    def at(self, done: float) -> None:
        """Look, where it is time."""
        if self._left and done >= self._left[0]:
            megabytes = self._process.memory_info().rss / 1e6
            self.seen.append((self._left.pop(0), megabytes, self._process.num_fds()))


def small_lines(setup: Setup) -> list[str]:
    """Predict files into one output, and arrays one by one; a table."""
    files, rounds, side = (
        (QUICK_FILES, QUICK_ROUNDS, QUICK_SIDE) if setup.quick else (FILES, ROUNDS, SIDE)
    )
    images = files * rounds
    folder = setup.folder / "small"
    folder.mkdir()
    for index in range(files):
        write_tiff(folder / f"image{index:05d}.tif", side, PLANES, seed=index)
    model = write_model(setup.folder / "small.isl", setup.network, PLANES)
    say(f"{images} small files into one output")
    output = setup.folder / "small.zarr"
    many = setup.run(predict_files, model=model, folder=folder, output=output, rounds=rounds)
    say(f"{images} small arrays one by one")
    single = setup.run(predict_arrays, model=model, images=images, side=side)
    head = ("", "images", "ms an image", *(f"after {100 * share:.0f} %" for share in MOMENTS))
    named = {"`isl.predict`, files into one OME-Zarr": many, "`model.predict`, arrays": single}
    cells = [
        [name, str(images), f"{1e3 * found['seconds'] / images:.1f}", *looks(found["seen"])]
        for name, found in named.items()
    ]
    return [
        *table((*head, "growth"), cells),
        "",
        f"Images of {side} x {side} x {PLANES}, three targets; {files} files, opened and read "
        f"{rounds} times. Memory and open files of the process after shares of the images; growth "
        "of the memory from the first to the last.",
    ]


def looks(seen: list[tuple[int, float, int]]) -> list[str]:
    """Cells: memory and open files at each moment, and by how much memory grew."""
    cells = [f"{megabytes:.0f} MB, {files} files" for _, megabytes, files in seen]
    return [*cells, f"{100 * (seen[-1][1] / seen[0][1] - 1):+.1f} %"]


def predict_files(model: str, folder: str, output: str, rounds: int) -> dict[str, Any]:
    """Open, predict and write each file several times, under other names."""
    start = time.perf_counter()
    fovs = [
        replace(fov, name=f"{fov.name}-{turn}")
        for turn in range(rounds)
        for fov in isl.open_fovs(folder)
    ]
    watch = Watch(len(fovs))

    def report(progress: Progress) -> None:
        watch.at(progress.done)

    isl.predict(Path(model), fovs, output, overwrite=True, progress=report)
    return {"seconds": time.perf_counter() - start, "seen": watch.seen}


def predict_arrays(model: str, images: int, side: int) -> dict[str, Any]:
    """Predict arrays one by one."""
    loaded = isl.load_model(model).on("auto")
    arrays = [image_rows(range(side), side, PLANES, seed=seed) for seed in range(min(images, 50))]
    watch = Watch(images)
    start = time.perf_counter()
    for index in range(images):
        loaded.predict(arrays[index % len(arrays)])
        watch.at(index + 1)
    return {"seconds": time.perf_counter() - start, "seen": watch.seen}
