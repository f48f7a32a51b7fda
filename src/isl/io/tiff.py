"""Multi-dimensional TIFF files: OME-TIFF, ImageJ hyperstacks and plain stacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DataError
from isl.io.fov import Channel, Fov
from isl.io.provenance import written_field
from isl.io.tiff_metadata import ChannelNote, channel_notes, own_notes, voxel_size_of, z_axes
from isl.io.tiff_pages import tiff_contents
from isl.io.tiff_regions import read_planes


@dataclass(frozen=True)
class TiffPixels:
    """Pixels of one series of a TIFF file.

    Attributes
    ----------
    path
        File.
    series
        Which of its images.
    """

    path: Path
    series: int

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X); see `isl.io.fov.PixelSource`.

        Raises
        ------
        DamagedFileError
            Where a strip or tile cannot be decoded.
        """
        series = tiff_contents(self.path).series[self.series]
        axes = z_axes(series)
        planes = []
        for plane in z:
            position = {"T": t, "C": channel, "Z": plane}
            at = tuple(position[a] for a in axes)
            planes.append(int(np.ravel_multi_index(at, series.lengths)) if axes else 0)
        return read_planes(series, planes, box)

    def chunk_rows(self, _channel: int) -> int:
        """Rows that are decoded together; see `isl.io.fov.ChunkedPixels`."""
        return tiff_contents(self.path).series[self.series].chunk_rows


def open_tiff(path: Path) -> list[Fov]:
    """Open a TIFF file as it is.

    Parameters
    ----------
    path
        OME-TIFF (one file or several), ImageJ hyperstack or plain TIFF.

    Returns
    -------
    list of Fov
        One for each series, named by the file, and by the series where there are several. Images
        that this package wrote keep the name of the field they came from.

    Raises
    ------
    DamagedFileError
        Where the file is foreign or truncated.
    DataError
        Where the axes are not among T, C, Z, Y, X, or the image is in colour.
    """
    contents = tiff_contents(path)
    several = len(contents.series) > 1
    return [
        _fov(path, f"{_stem(path)}/{series.name or number}" if several else _stem(path), number)
        for number, series in enumerate(contents.series)
    ]


def files_of(path: Path) -> frozenset[Path]:
    """Files that `open_tiff` reads for this one: more than one in a multi-file OME-TIFF."""
    return frozenset().union(*(s.files for s in tiff_contents(path).series))


def is_single_plane(path: Path) -> bool:
    """Whether a TIFF file holds one image, or one z-stack, of one channel and time point."""
    contents = tiff_contents(path)
    series = contents.series[0]
    lengths = dict(zip(z_axes(series), series.lengths, strict=True))
    multiple = {axis for axis, length in lengths.items() if length > 1}
    alone = {file.resolve() for file in series.files} == {path.resolve()}
    return len(contents.series) == 1 and multiple <= {"Z"} and alone


def has_channel_names(path: Path) -> bool:
    """Whether the metadata of a TIFF file name its channels."""
    return any(note.name for note in channel_notes(tiff_contents(path), 0))


def _stem(path: Path) -> str:
    return re.sub(r"(\.ome)?\.(tiff?|btf|tf8)$", "", path.name, flags=re.IGNORECASE)


def _fov(path: Path, name: str, number: int) -> Fov:
    contents = tiff_contents(path)
    series = contents.series[number]
    axes = z_axes(series)
    if not set(axes) <= set("TCZ") or len(set(axes)) < len(axes):
        raise DataError(
            f"{path}: axes {series.axes}YX {(*series.lengths, series.size_y, series.size_x)} "
            "are not understood; save the image with axes among T, C, Z, Y, X"
        )
    lengths = dict(zip(axes, series.lengths, strict=True))
    size_c, size_z = lengths.get("C", 1), lengths.get("Z", 1)
    known = [*channel_notes(contents, number), *[ChannelNote("")] * size_c][:size_c]
    written = written_field(own_notes(contents) if len(contents.series) == 1 else {})
    return Fov(
        name=written.get("name", name),
        path=path,
        channels=tuple(
            Channel(c.name or f"channel {i}", size_z, series.dtype, c.modality, c.color)
            for i, c in enumerate(known, 1)
        ),
        size_t=lengths.get("T", 1),
        size_y=series.size_y,
        size_x=series.size_x,
        voxel_size=voxel_size_of(contents, number),
        pixels=TiffPixels(path, number),
        well=written.get("well"),
        plate=written.get("plate"),
    )
