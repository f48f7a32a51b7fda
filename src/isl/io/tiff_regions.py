"""Regions of TIFF pages, read segment by segment: only strips and tiles that hold the region."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from io import RawIOBase
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DamagedFileError
from isl.io.damage import naming_damage
from isl.io.remote_path import is_address
from isl.io.tiff_pages import TIFF, TiffPlane, TiffSeries

MOST_THREADS = 8
"""Threads that decode side by side, where there are as many cores."""

_NARROW = 8


def read_planes(series: TiffSeries, planes: Sequence[int], box: Box) -> NDArray[Any]:
    """Read a region of some planes.

    Parameters
    ----------
    series
        From `tiff_contents`.
    planes
        Indices of the planes, in the order of the axes; at least one.
    box
        Region inside the image.

    Returns
    -------
    ndarray
        (Z, Y, X) in native byte order.

    Raises
    ------
    DamagedFileError
        Where a segment cannot be decoded or a plane is not in the file.
    """
    if series.contiguous is not None:
        wide = box.shape[1] * _NARROW >= series.size_x or is_address(series.path)
        return (_read_rows if wide else _read_mapped)(series, planes, box)
    out = np.zeros((len(planes), *box.shape), series.dtype)
    jobs = _Segments(series, planes, box, out)
    threads = min(MOST_THREADS, usable_cores(), len(planes) * len(jobs.regions))
    # Decoders let other threads work meanwhile; a pool of one would only cost time.
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(jobs.decode, *zip(*jobs.stored(), strict=True)))
    else:
        for job in jobs.stored():
            jobs.decode(*job)
    return out


def usable_cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _read_rows(series: TiffSeries, planes: Sequence[int], box: Box) -> NDArray[Any]:
    """Whole rows of contiguous pixels, several times as fast as mapped memory."""
    rows = np.empty((len(planes), box.shape[0], series.size_x), series.stored_dtype)
    row_bytes = series.size_x * rows.itemsize
    with naming_damage(series.path, TIFF), series.path.open("rb", buffering=0) as file:
        for target, plane in zip(rows, planes, strict=True):
            first_row = plane * series.size_y + box.y0
            file.seek((series.contiguous or 0) + first_row * row_bytes)
            _fill(file, memoryview(target).cast("B"))
    return np.ascontiguousarray(rows[..., box.x0 : box.x1], dtype=series.dtype)


def _fill(file: RawIOBase, target: memoryview) -> None:
    """Read until a buffer is full; a single read gives 2 GB at most."""
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])
        if not count:
            raise EOFError(f"{len(target) - done} bytes are missing")
        done += count


def _read_mapped(series: TiffSeries, planes: Sequence[int], box: Box) -> NDArray[Any]:
    """Few columns of contiguous pixels, without the rest of their rows."""
    shape = (max(1, prod(series.lengths)), series.size_y, series.size_x)
    with naming_damage(series.path, TIFF):
        offset = series.contiguous or 0
        pixels = np.memmap(series.path, series.stored_dtype, "r", offset, shape)
        return np.stack([pixels[plane][box.slices] for plane in planes]).astype(series.dtype)


@dataclass(frozen=True)
class _Segments:
    """The strips or tiles of some planes that meet a box, and where their pixels go."""

    series: TiffSeries
    planes: Sequence[int]
    box: Box
    out: NDArray[Any]

    @cached_property
    def regions(self) -> list[tuple[int, Box]]:
        """Index and region of each segment of a plane."""
        return _segments_in(self.series, self.box)

    def stored(self) -> Iterator[tuple[int, TiffPlane, int, Box, bytes]]:
        """Each segment as it is stored; a file that holds several planes is opened once."""
        by_path: dict[Path, list[tuple[int, TiffPlane]]] = {}
        for position, index in enumerate(self.planes):
            plane = self.series.planes[index]
            if plane is None:
                raise DamagedFileError(
                    f"{self.series.path}: plane {index} is announced but not in the file"
                )
            by_path.setdefault(plane.path, []).append((position, plane))
        for path, planes in by_path.items():
            with naming_damage(path, TIFF), path.open("rb") as file:
                for position, plane in planes:
                    for index, region in self.regions:
                        file.seek(plane.offsets[index])
                        data = file.read(plane.byte_counts[index])
                        yield position, plane, index, region, data

    def decode(self, position: int, plane: TiffPlane, index: int, region: Box, data: bytes) -> None:
        """Paste the pixels of a segment; one that was never written stays 0."""
        if data:
            with naming_damage(plane.path, TIFF):
                tables = self.series.jpegtables
                pixels = self.series.decode(data, index, jpegtables=tables)[0]
                _paste(self.out[position], pixels[0, :, :, 0], region, self.box)


def _segments_in(series: TiffSeries, box: Box) -> list[tuple[int, Box]]:
    """Index and region of each segment that meets the box."""
    height, width = series.segment_yx
    columns = -(-series.size_x // width)
    return [
        (row * columns + col, Box(row * height, (row + 1) * height, col * width, (col + 1) * width))
        for row in range(box.y0 // height, -(-box.y1 // height))
        for col in range(box.x0 // width, -(-box.x1 // width))
    ]


def _paste(out: NDArray[Any], pixels: NDArray[Any], segment: Box, box: Box) -> None:
    held = Box(segment.y0, segment.y0 + pixels.shape[0], segment.x0, segment.x0 + pixels.shape[1])
    common = held.intersect(box)
    out[common.relative_to(box).slices] = pixels[common.relative_to(held).slices]
