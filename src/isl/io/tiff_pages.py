"""Regions of TIFF pages, read segment by segment: only strips and tiles that hold the region."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage
from isl.io.tiff_directory import check_directories

_TIFF = "a TIFF file"


@dataclass(frozen=True)
class TiffPlane:
    """Where the segments of one plane lie; strips are tiles as wide as the image.

    Attributes
    ----------
    path
        File that holds them; in a multi-file OME-TIFF not the one that was opened.
    offsets, byte_counts
        Position and length of each segment; zero length where nothing was written.
    """

    path: Path
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]


@dataclass(frozen=True)
class TiffSeries:
    """One image of a TIFF file.

    Attributes
    ----------
    axes, lengths
        Axes before Y and X, as tifffile names them, and their lengths.
    size_y, size_x, dtype
        Of each plane; the dtype is in native byte order.
    name
        Name in the metadata, or "".
    planes
        In the order of the axes, the last varying fastest; None where a plane is not in the file.
        Empty where the pixels are contiguous.
    contiguous
        Offset of uncompressed pixels that follow each other without gaps; None elsewhere.
    """

    path: Path
    axes: str
    lengths: tuple[int, ...]
    size_y: int
    size_x: int
    dtype: np.dtype[Any]
    stored_dtype: np.dtype[Any]
    name: str
    planes: tuple[TiffPlane | None, ...]
    contiguous: int | None
    segment_yx: tuple[int, int]
    decode: Callable[..., Any]
    jpegtables: bytes | None

    @property
    def files(self) -> frozenset[Path]:
        """Files that hold the pixels."""
        return frozenset({self.path} | {p.path for p in self.planes if p is not None})


@dataclass(frozen=True)
class TiffContents:
    """What a TIFF file says, without its pixels.

    Attributes
    ----------
    series
        The images.
    ome_xml
        Text of the OME metadata, or None.
    imagej
        Metadata of ImageJ, or None.
    pixels_per_unit
        Resolution tags along y and x; 0 where there are none. What the unit is, ImageJ says.
    """

    series: tuple[TiffSeries, ...]
    ome_xml: str | None
    imagej: dict[str, Any] | None
    pixels_per_unit: tuple[float, float]


def tiff_contents(path: Path) -> TiffContents:
    """Read the structure of a TIFF file; remembered until the file changes.

    Parameters
    ----------
    path
        A TIFF file.

    Returns
    -------
    TiffContents
        Without pixels.

    Raises
    ------
    DamagedFileError
        Where the file is foreign or shorter than its directory says.
    DataError
        Where it is absent, or holds colour images.
    """
    with naming_damage(path, _TIFF):
        stat = os.stat(path)
        return _parse(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _parse(path: Path, _mtime_ns: int, _size: int) -> TiffContents:
    check_directories(path)
    with tifffile.TiffFile(path) as tif:
        series = tuple(_series(path, tif, s) for s in tif.series)
        if not series:
            raise DamagedFileError(
                f"{path}: this TIFF file holds no image or is truncated; copy it again"
            )
        return TiffContents(
            series, tif.ome_metadata, tif.imagej_metadata, _pixels_per_unit(tif.pages.first)
        )


def _series(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffSeries:
    page = series.keyframe
    axes, shape = series.axes, series.shape
    if "S" in axes or page.samplesperpixel > 1:
        raise DataError(
            f"{path}: this is a colour image ({page.samplesperpixel} samples a pixel); "
            "save each channel as a grey image, for example with Image > Color > Split Channels"
        )
    if axes[-2:] != "YX":
        raise DataError(f"{path}: axes {axes} do not end in YX; save the image as T, C, Z, Y, X")
    contiguous = series.dataoffset
    planes = () if contiguous is not None else tuple(_plane(p) for p in series.pages)
    found = TiffSeries(
        path=path,
        axes=axes[:-2],
        lengths=tuple(shape[:-2]),
        size_y=shape[-2],
        size_x=shape[-1],
        dtype=np.dtype(page.dtype).newbyteorder("="),
        stored_dtype=np.dtype(f"{tif.byteorder}{np.dtype(page.dtype).char}"),
        name="" if series.name.startswith("Series ") else series.name,
        planes=planes,
        contiguous=contiguous,
        segment_yx=(page.chunks[-2], page.chunks[-1]),
        decode=page.decode,
        jpegtables=page.jpegtables,
    )
    _check_length(found)
    return found


def _plane(page: Any) -> TiffPlane | None:
    if page is None:
        return None
    path = Path(page.parent.filehandle.path)
    return TiffPlane(path, tuple(page.dataoffsets), tuple(page.databytecounts))


def _check_length(series: TiffSeries) -> None:
    """Refuse a file that ends before the last pixel that its directory names."""
    if series.contiguous is not None:
        count = prod(series.lengths) * series.size_y * series.size_x
        needed = {series.path: series.contiguous + count * series.stored_dtype.itemsize}
    else:
        needed = {}
        for plane in filter(None, series.planes):
            ends = map(sum, zip(plane.offsets, plane.byte_counts, strict=True))
            needed[plane.path] = max(needed.get(plane.path, 0), *ends)
    for path, end in needed.items():
        size = path.stat().st_size
        if size < end:
            raise DamagedFileError(
                f"{path}: truncated: {end} bytes are needed and {size} are there; "
                "copy it again from its source or leave it out"
            )


def _pixels_per_unit(page: tifffile.TiffPage) -> tuple[float, float]:
    tags = page.tags.get("YResolution"), page.tags.get("XResolution")
    y, x = (0.0 if tag is None else tag.value[0] / max(tag.value[1], 1) for tag in tags)
    return y, x


def read_plane(series: TiffSeries, plane: int, box: Box) -> NDArray[Any]:
    """Read a region of one plane.

    Parameters
    ----------
    series
        From `tiff_contents`.
    plane
        Index of the plane, in the order of the axes.
    box
        Region inside the image.

    Returns
    -------
    ndarray
        (Y, X) in native byte order.

    Raises
    ------
    DamagedFileError
        Where a segment cannot be decoded or the plane is not in the file.
    """
    if series.contiguous is not None:
        return _read_contiguous(series, plane, box)
    stored = series.planes[plane]
    if stored is None:
        raise DamagedFileError(f"{series.path}: plane {plane} is announced but not in the file")
    with naming_damage(stored.path, _TIFF), open(stored.path, "rb") as file:
        out = np.zeros(box.shape, series.dtype)
        for index, segment in _segments_in(series, box):
            file.seek(stored.offsets[index])
            data = file.read(stored.byte_counts[index])
            if data:
                pixels = series.decode(data, index, jpegtables=series.jpegtables)[0]
                _paste(out, pixels[0, :, :, 0], segment, box)
        return out


def _read_contiguous(series: TiffSeries, plane: int, box: Box) -> NDArray[Any]:
    shape = (max(1, prod(series.lengths)), series.size_y, series.size_x)
    with naming_damage(series.path, _TIFF):
        offset = series.contiguous or 0
        pixels = np.memmap(series.path, series.stored_dtype, "r", offset, shape)
        return np.array(pixels[plane][box.slices], dtype=series.dtype)


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
