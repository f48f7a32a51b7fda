"""Multi-dimensional TIFF files: OME-TIFF, ImageJ hyperstacks and plain stacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import DataError
from isl.io.fov import Channel, Fov, Modality
from isl.io.modality import guess_modality, modality_of_metadata
from isl.io.tiff_pages import MICROMETRES, TiffContents, TiffSeries, read_plane, tiff_contents

# Stacks without metadata have an axis of unknown meaning; as a z-stack it is of use.
_AS_Z = str.maketrans({"I": "Z", "Q": "Z"})


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
        axes = _axes(series)
        planes = []
        for plane in z:
            position = {"T": t, "C": channel, "Z": plane}
            at = tuple(position[a] for a in axes)
            index = int(np.ravel_multi_index(at, series.lengths)) if axes else 0
            planes.append(read_plane(series, index, box))
        return np.stack(planes)


def open_tiff(path: Path) -> list[Fov]:
    """Open a TIFF file as it is.

    Parameters
    ----------
    path
        OME-TIFF (one file or several), ImageJ hyperstack or plain TIFF.

    Returns
    -------
    list of Fov
        One for each series, named by the file, and by the series where there are several.

    Raises
    ------
    DamagedFileError
        Where the file is foreign or truncated.
    DataError
        Where the axes are not among T, C, Z, Y, X, or the image is in colour.
    """
    contents = tiff_contents(path)
    images = _ome_images(contents)
    stem = _stem(path)
    fovs = []
    for number, series in enumerate(contents.series):
        name = stem if len(contents.series) == 1 else f"{stem}/{series.name or number}"
        image = images[number] if len(images) == len(contents.series) else None
        fovs.append(_fov(path, name, number, contents, image))
    return fovs


def files_of(path: Path) -> frozenset[Path]:
    """Files that `open_tiff` reads for this one: more than one in a multi-file OME-TIFF."""
    return frozenset().union(*(s.files for s in tiff_contents(path).series))


def is_single_plane(path: Path) -> bool:
    """Whether a TIFF file holds one image, or one z-stack, of one channel and time point."""
    contents = tiff_contents(path)
    series = contents.series[0]
    lengths = dict(zip(_axes(series), series.lengths, strict=True))
    multiple = {axis for axis, length in lengths.items() if length > 1}
    return len(contents.series) == 1 and multiple <= {"Z"} and series.files == {path}


def _stem(path: Path) -> str:
    return re.sub(r"(\.ome)?\.(tiff?|btf|tf8)$", "", path.name, flags=re.IGNORECASE)


def _axes(series: TiffSeries) -> str:
    return series.axes.translate(_AS_Z)


def _fov(
    path: Path, name: str, number: int, contents: TiffContents, ome: ElementTree.Element | None
) -> Fov:
    series = contents.series[number]
    axes = _axes(series)
    if not set(axes) <= set("TCZ") or len(set(axes)) < len(axes):
        raise DataError(
            f"{path}: axes {series.axes}YX {(*series.lengths, series.size_y, series.size_x)} "
            "are not understood; save the image with axes among T, C, Z, Y, X"
        )
    lengths = dict(zip(axes, series.lengths, strict=True))
    size_c, size_z = lengths.get("C", 1), lengths.get("Z", 1)
    known = _ome_channels(ome) if ome is not None else _imagej_channels(contents, number)
    channels = tuple(
        Channel(c.name, size_z, series.dtype, c.modality, c.color) for c in _complete(known, size_c)
    )
    return Fov(
        name=name,
        path=path,
        channels=channels,
        size_t=lengths.get("T", 1),
        size_y=series.size_y,
        size_x=series.size_x,
        voxel_size=_ome_voxel_size(ome) if ome is not None else _imagej_voxel_size(contents),
        pixels=TiffPixels(path, number),
    )


@dataclass(frozen=True)
class _Described:
    name: str
    modality: Modality | None = None
    color: str | None = None


def _complete(known: Sequence[_Described], size_c: int) -> list[_Described]:
    """As many descriptions as channels; a missing name becomes ``channel 2`` (counted from 1)."""
    found = list(known[:size_c])
    found += [_Described("")] * (size_c - len(found))
    return [
        _Described(c.name or f"channel {i}", c.modality, c.color) for i, c in enumerate(found, 1)
    ]


def _ome_images(contents: TiffContents) -> list[ElementTree.Element]:
    if contents.ome_xml is None:
        return []
    try:
        root = ElementTree.fromstring(contents.ome_xml)
    except ElementTree.ParseError:
        return []
    return [pixels for pixels in root.iterfind("./{*}Image/{*}Pixels")]


def _ome_channels(pixels: ElementTree.Element) -> list[_Described]:
    elements = pixels.findall("{*}Channel")
    emission = [_number(e, "EmissionWavelength") for e in elements]
    described = []
    for element, emission_nm in zip(elements, emission, strict=True):
        name = element.get("Name") or element.get("Fluor") or ""
        modality = modality_of_metadata(
            contrast=element.get("ContrastMethod"),
            illumination=element.get("IlluminationType"),
            emission_nm=emission_nm,
            excitation_nm=_number(element, "ExcitationWavelength"),
            others_emit=any(emission),
        )
        described.append(_Described(name, guess_modality(name, modality), _color(element)))
    return described


def _number(element: ElementTree.Element, key: str) -> float | None:
    try:
        return float(element.get(key, ""))
    except ValueError:
        return None


def _color(element: ElementTree.Element) -> str | None:
    """Six digits of the signed 32-bit RGBA number that OME writes."""
    text = element.get("Color", "")
    if not re.fullmatch(r"-?\d+", text):
        return None
    return f"{int(text) & 0xFFFFFFFF:08X}"[:6]


def _ome_voxel_size(pixels: ElementTree.Element) -> VoxelSize:
    sizes = []
    for axis in "ZYX":
        size = _number(pixels, f"PhysicalSize{axis}")
        unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        sizes.append(round(size * unit, 12) if size and unit and size > 0 else None)
    return VoxelSize(*sizes)


def _imagej_channels(contents: TiffContents, number: int) -> list[_Described]:
    """Names from the slice labels, else from the text that Bio-Formats leaves in ``Info``."""
    metadata = contents.imagej or {}
    series = contents.series[number]
    lengths = dict(zip(_axes(series), series.lengths, strict=True))
    size_c = lengths.get("C", 1)
    info = re.findall(r"(?m)^\s*Channel name #(\d+) = (.+?)\s*$", str(metadata.get("Info", "")))
    by_number = {int(n): name for n, name in info}
    labels = metadata.get("Labels") or []
    stacked = prod(series.lengths) if series.lengths else 1
    if by_number:
        names = [by_number.get(c + 1, "") for c in range(size_c)]
    elif len(labels) == stacked:
        names = [_label(labels, c, size_c) for c in range(size_c)]
    else:
        names = []
    return [_Described(n, guess_modality(n)) for n in names]


def _label(labels: Sequence[str], channel: int, size_c: int) -> str:
    """Slice label of a channel, where all its slices share it; ImageJ orders slices T, Z, C."""
    found = {str(label).strip() for label in labels[channel::size_c]}
    return found.pop() if len(found) == 1 else ""


def _imagej_voxel_size(contents: TiffContents) -> VoxelSize:
    y, x = contents.pixel_um or (None, None)
    metadata = contents.imagej or {}
    unit = MICROMETRES.get(str(metadata.get("unit", "")).replace("\\u00B5", "µ"))
    spacing = metadata.get("spacing")
    z = float(spacing) * unit if spacing and unit and float(spacing) > 0 else None
    return VoxelSize(z, y, x)
