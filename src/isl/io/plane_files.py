"""Pixels of fields that are kept as one file a plane (PNG or TIFF)."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage
from isl.io.remote_file import local_copy
from isl.io.tiff_metadata import voxel_size_of, z_axes
from isl.io.tiff_pages import tiff_contents
from isl.io.tiff_regions import MOST_THREADS, read_planes, usable_cores

PLANE_SUFFIXES = frozenset({".png", ".tif", ".tiff"})
"""Endings of files that this module reads, in lower case."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_GREY = 0
_CACHE_BYTES = 512 * 1024**2
_CACHE_PLANES = 256  # small images are decoded in no time, and there may be thousands


@dataclass(frozen=True)
class ImageHeader:
    """What the head of an image file says.

    Attributes
    ----------
    size_y, size_x, dtype
        Of each plane.
    planes
        Number of planes; more than one only in TIFF.
    voxel_size
        As far as the file says.
    """

    size_y: int
    size_x: int
    dtype: np.dtype[Any]
    planes: int = 1
    voxel_size: VoxelSize = field(default_factory=VoxelSize)


@dataclass(frozen=True)
class PlaneRef:
    """One plane: a file, and the plane in it where it holds several."""

    path: Path
    plane: int = 0


@dataclass(frozen=True)
class PlaneFiles:
    """Pixels of a field kept in single-plane files.

    Attributes
    ----------
    planes
        The plane of each (channel, t, z).
    """

    planes: Mapping[tuple[int, int, int], PlaneRef]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X); see `isl.io.fov.PixelSource`.

        Raises
        ------
        DamagedFileError
            Where a file cannot be decoded.
        """
        refs = [self.planes[channel, t, plane] for plane in z]
        parts = [_read_refs(path, list(found), box) for path, found in groupby(refs, _tiff_path)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def chunk_rows(self, channel: int) -> int:
        """Rows that are decoded together; see `isl.io.fov.ChunkedPixels`."""
        paths = {ref.path for (of, _, _), ref in self.planes.items() if of == channel}
        return max(map(_chunk_rows, paths), default=1)


def read_header(path: Path) -> ImageHeader:
    """Read size and dtype of an image without decoding its pixels.

    Parameters
    ----------
    path
        A PNG or TIFF file.

    Returns
    -------
    ImageHeader
        Of the first image in the file.

    Raises
    ------
    DamagedFileError
        Where the head is truncated or that of another format.
    DataError
        Where the image is in colour, or the file is absent.
    """
    if path.suffix.lower() == ".png":
        return _png_header(path)
    contents = tiff_contents(path)
    series = contents.series[0]
    if z_axes(series) not in ("", "Z") or len(contents.series) > 1:
        lengths = ", ".join(f"{a} {n}" for a, n in zip(series.axes, series.lengths, strict=True))
        lengths = lengths if len(contents.series) == 1 else f"of {len(contents.series)} images"
        raise DataError(
            f"{path}: a single-channel image is needed, but this file has axes {lengths}; "
            "open this file by itself"
        )
    size = series.size_y, series.size_x, series.dtype, prod(series.lengths)
    return ImageHeader(*size, voxel_size_of(contents, 0))


def _png_header(path: Path) -> ImageHeader:
    with naming_damage(path, "a PNG image"):
        with path.open("rb") as file:
            head = file.read(26)
        if len(head) < 26 or head[:8] != _PNG_SIGNATURE or head[12:16] != b"IHDR":
            raise DamagedFileError(
                f"{path}: not a PNG image, or truncated ({path.stat().st_size} bytes); "
                "copy it again from its source or leave it out"
            )
        size_x, size_y, bits, colour = struct.unpack(">IIBB", head[16:26])
    if colour != _GREY:
        raise DataError(
            f"{path}: this PNG is in colour ({_PNG_COLOURS.get(colour, colour)}); "
            "save each channel as a grey image, for example with Image > Color > Split Channels"
        )
    return ImageHeader(size_y, size_x, np.dtype(np.uint16 if bits == 16 else np.uint8))


def _chunk_rows(path: Path) -> int:
    """All rows of a PNG, which can be decoded only as a whole."""
    if path.suffix.lower() == ".png":
        return read_header(path).size_y
    return tiff_contents(path).series[0].chunk_rows


def _tiff_path(ref: PlaneRef) -> Path | None:
    """File of a plane, of which several may be read together; None for a PNG."""
    return None if ref.path.suffix.lower() == ".png" else ref.path


def _read_refs(tiff: Path | None, refs: Sequence[PlaneRef], box: Box) -> NDArray[Any]:
    if tiff is None:
        return _read_png([ref.path for ref in refs], box)
    return read_planes(tiff_contents(tiff).series[0], [ref.plane for ref in refs], box)


def _read_png(paths: Sequence[Path], box: Box) -> NDArray[Any]:
    """Read planes, those that have to be decoded side by side."""
    threads = min(len(paths), MOST_THREADS, usable_cores())
    if threads > 1 and not all(map(_decoded.holds, paths)):
        with ThreadPoolExecutor(threads) as pool:
            decoded = list(pool.map(_decoded.get, paths))
    else:
        decoded = [_decoded.get(path) for path in paths]
    return np.stack([plane[box.slices] for plane in decoded])


def _decode_png(path: Path) -> NDArray[Any]:
    import imagecodecs

    with naming_damage(path, "a PNG image"):
        pixels: NDArray[Any] = imagecodecs.png_decode(local_copy(path).read_bytes())
    pixels.flags.writeable = False
    return pixels


class _DecodedPlanes:
    """Decoded planes, the least recently used dropped first.

    A PNG can be decoded only as a whole, so that without this every tile would decode it again.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._planes: OrderedDict[tuple[Path, int, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, path: Path) -> bool:
        """Whether a plane was decoded before, and its file has not changed since."""
        key = self._key(path)
        with self._lock:
            return key in self._planes

    def get(self, path: Path) -> NDArray[Any]:
        """Decode, or take what was decoded before unless the file has changed since."""
        key = self._key(path)
        with self._lock:
            if key in self._planes:
                self._planes.move_to_end(key)
                return self._planes[key]
        pixels = _decode_png(path)
        self._hold(key, pixels)
        return pixels

    def _key(self, path: Path) -> tuple[Path, int, int]:
        with naming_damage(path, "a PNG image"):
            stat = path.stat()
        return path, stat.st_mtime_ns, stat.st_size

    def _hold(self, key: tuple[Path, int, int], pixels: NDArray[Any]) -> None:
        with self._lock:
            if key not in self._planes:
                self._planes[key] = pixels
                self._held_bytes += pixels.nbytes
            while self._held_bytes > self._limit_bytes or len(self._planes) > _CACHE_PLANES:
                _, dropped = self._planes.popitem(last=False)
                self._held_bytes -= dropped.nbytes


_decoded = _DecodedPlanes(_CACHE_BYTES)
