"""Names, colours and sizes that TIFF files carry: OME-XML, or the notes of ImageJ."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any
from xml.etree import ElementTree

from isl.core.axes import VoxelSize
from isl.io.fov import Modality
from isl.io.modality import guess_modality, modality_of_metadata
from isl.io.tiff_pages import TiffContents, TiffSeries

OWN_KEY = "isl"
"""Key of the annotation in which this package notes what it wrote."""

# Stacks without metadata have an axis of unknown meaning; as a z-stack it is of use.
_AS_Z = str.maketrans({"I": "Z", "Q": "Z"})

MICROMETRES: dict[str, float] = {
    **dict.fromkeys(("micron", "microns", "um", "µm", "μm", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
    "Å": 1e-4,
    "pm": 1e-6,
    "inch": 25400.0,
}
"""Micrometres in a unit of length, as ImageJ and OME write it."""


@dataclass(frozen=True)
class ChannelNote:
    """What a file says of a channel; the name is "" where it has none."""

    name: str
    modality: Modality | None = None
    color: str | None = None


def z_axes(series: TiffSeries) -> str:
    """Axes before Y and X, where an axis of unknown meaning counts as Z."""
    return series.axes.translate(_AS_Z)


def channel_notes(contents: TiffContents, number: int) -> list[ChannelNote]:
    """Describe the channels of one series, as far as the file does.

    Parameters
    ----------
    contents
        From `isl.io.tiff_pages.tiff_contents`.
    number
        Which series.

    Returns
    -------
    list of ChannelNote
        In the order of the channels; it may be shorter than these.
    """
    pixels = _ome_pixels(contents, number)
    return _imagej_channels(contents, number) if pixels is None else _ome_channels(pixels)


def voxel_size_of(contents: TiffContents, number: int) -> VoxelSize:
    """Voxel size of one series; None along the axes for which the file has no length.

    Parameters
    ----------
    contents, number
        As for `channel_notes`.

    Returns
    -------
    VoxelSize
        By OME-XML, else by the unit and spacing of ImageJ. The dots per inch of printers do not
        count.
    """
    pixels = _ome_pixels(contents, number)
    return _imagej_voxel_size(contents) if pixels is None else _ome_voxel_size(pixels)


def own_notes(contents: TiffContents) -> dict[str, Any]:
    """What this package noted in a file that it wrote; empty for other files.

    Returns
    -------
    dict
        ``"field"`` with name, well and plate of the source, and the provenance.
    """
    if f'K="{OWN_KEY}"' not in (contents.ome_xml or ""):
        return {}
    root = _ome_root(contents)
    values = [] if root is None else root.findall(f".//{{*}}M[@K='{OWN_KEY}']")
    try:
        notes = json.loads(values[0].text or "") if values else {}
    except json.JSONDecodeError:
        return {}
    return notes if isinstance(notes, dict) else {}


def _ome_root(contents: TiffContents) -> ElementTree.Element | None:
    if contents.ome_xml is None:
        return None
    try:
        return ElementTree.fromstring(contents.ome_xml)
    except ElementTree.ParseError:
        return None


def _ome_pixels(contents: TiffContents, number: int) -> ElementTree.Element | None:
    root = _ome_root(contents)
    pixels = [] if root is None else root.findall("./{*}Image/{*}Pixels")
    return pixels[number] if len(pixels) == len(contents.series) else None


def _ome_channels(pixels: ElementTree.Element) -> list[ChannelNote]:
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
        described.append(ChannelNote(name, guess_modality(name, modality), _color(element)))
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


def _imagej_channels(contents: TiffContents, number: int) -> list[ChannelNote]:
    """Names from the slice labels, else from the text that Bio-Formats leaves in ``Info``."""
    metadata = contents.imagej or {}
    series = contents.series[number]
    lengths = dict(zip(z_axes(series), series.lengths, strict=True))
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
    return [ChannelNote(n, guess_modality(n)) for n in names]


def _label(labels: Sequence[str], channel: int, size_c: int) -> str:
    """Slice label of a channel, where all its slices share it; ImageJ orders slices T, Z, C."""
    found = {str(label).strip() for label in labels[channel::size_c]}
    return found.pop() if len(found) == 1 else ""


def _imagej_voxel_size(contents: TiffContents) -> VoxelSize:
    metadata = contents.imagej or {}
    um = MICROMETRES.get(str(metadata.get("unit", "")).replace("\\u00B5", "µ"))
    if um is None:
        return VoxelSize()
    spacing = float(metadata.get("spacing") or 0)
    y, x = (um / n if n > 0 else None for n in contents.pixels_per_unit)
    return VoxelSize(um * spacing if spacing > 0 else None, y, x)
