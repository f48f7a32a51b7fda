"""What TIFF files hold, and where their pixels lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage
from isl.io.remote_path import is_address
from isl.io.tiff_directory import check_directories

TIFF = "a TIFF file"
"""What messages call the format."""


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
    def chunk_rows(self) -> int:
        """Rows that are decoded together; 1 where nothing needs to be."""
        return 1 if self.contiguous is not None else self.segment_yx[0]

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
    with naming_damage(path, TIFF):
        stat = path.stat()
        return _parse(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _parse(path: Path, _mtime_ns: int, _size: int) -> TiffContents:
    check_directories(path)
    with tifffile.TiffFile(path.open("rb") if is_address(path) else path) as tif:
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
    planes = () if contiguous is not None else tuple(_plane(path, p) for p in series.pages)
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


def _plane(opened: Path, page: Any) -> TiffPlane | None:
    if page is None:
        return None
    path = opened if is_address(opened) else Path(page.parent.filehandle.path)
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
