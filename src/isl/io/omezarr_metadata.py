"""What the metadata of OME-Zarr groups says, in the words of this package."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from isl.core.axes import VoxelSize
from isl.core.errors import DamagedFileError, DataError, IslError

AXIS_ORDER = "tczyx"
METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")

_UM = {
    "angstrom": 1e-4,
    "picometer": 1e-6,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25400.0,
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "mm": 1e3,
}
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class ImageMetadata:
    """What an image group says about its highest level.

    Attributes
    ----------
    axes
        Letters of the array's axes, a selection of ``tczyx`` in that order.
    array_path
        Folder of the highest level, relative to the group.
    voxel_size
        In micrometres; None where the scale carries no length.
    channels
        Name (None where missing) and colour (None where missing) of each channel; None where
        the group lists no channels.
    """

    axes: str
    array_path: str
    voxel_size: VoxelSize
    channels: tuple[tuple[str | None, str | None], ...] | None


def read_attributes(group: Path) -> dict[str, Any]:
    """Attributes of a zarr group, with those of OME-Zarr 0.5 lifted out of ``ome``.

    Parameters
    ----------
    group
        Folder of a zarr group of version 2 or 3.

    Returns
    -------
    dict
        The attributes; empty where the group has none.

    Raises
    ------
    DamagedFileError
        Where the metadata is missing or cannot be parsed.
    """
    if (group / "zarr.json").is_file():
        attributes = _read_json(group / "zarr.json").get("attributes", {})
        ome = attributes.get("ome", {}) if isinstance(attributes, dict) else None
        if not isinstance(ome, dict):
            raise DamagedFileError(f"{group / 'zarr.json'}: its attributes are no JSON object")
        return {**attributes, **ome}
    if (group / ".zattrs").is_file():
        return _read_json(group / ".zattrs")
    if (group / ".zgroup").is_file():
        return {}
    raise DamagedFileError(
        f"{group} has no zarr metadata (zarr.json or .zattrs); copy the whole folder again, "
        "hidden files included"
    )


def is_array(folder: Path) -> bool:
    """Whether the folder is a zarr array, as opposed to a group.

    Raises
    ------
    DamagedFileError
        Where its metadata cannot be parsed.
    """
    if (folder / "zarr.json").is_file():
        return _read_json(folder / "zarr.json").get("node_type") == "array"
    return (folder / ".zarray").is_file()


def parse_model(model: type[_Model], value: object, group: Path) -> _Model:
    """Validate metadata with a model of yaozarrs.

    Raises
    ------
    DamagedFileError
        With the reason, where the metadata breaks the specification.
    """
    try:
        # What the specification merely recommends is nothing a reader should warn about.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DamagedFileError(
            f"{group}: the OME-Zarr metadata is not valid at {where or 'its root'}: "
            f"{first['msg']}; write the file again or correct its metadata"
        ) from error


def image_metadata(attributes: Mapping[str, Any], group: Path) -> ImageMetadata:
    """Interpret the attributes of an image group.

    Parameters
    ----------
    attributes
        As `read_attributes` returns them, with ``multiscales``.
    group
        Folder of the group, for messages.

    Raises
    ------
    DamagedFileError
        Where required metadata is missing or wrong.
    DataError
        Where an axis is none of t, c, z, y, x.
    """
    from yaozarrs import v05

    multiscales = attributes["multiscales"]
    first = multiscales[0] if isinstance(multiscales, list) and multiscales else multiscales
    # Version 0.4 differs from 0.5 in where the metadata is stored, not in this part of it.
    multiscale = parse_model(v05.Multiscale, first, group)
    names = [axis.name for axis in multiscale.axes]
    axes = "".join(names)
    if not _is_selection(names):
        raise DataError(
            f"{group}: its axes are {' '.join(names)}, but this program reads a selection of "
            "t c z y x in that order, with y and x; rearrange or select them first"
        )
    scale = list(multiscale.datasets[0].scale_transform.scale)
    for transform in multiscale.coordinateTransformations or []:
        if isinstance(transform, v05.ScaleTransformation):
            scale = [a * b for a, b in zip(scale, transform.scale, strict=True)]
    units = [getattr(axis, "unit", None) for axis in multiscale.axes]
    lengths = {n: _length_um(s, u) for n, s, u in zip(names, scale, units, strict=True)}
    return ImageMetadata(
        axes=axes,
        array_path=multiscale.datasets[0].path,
        voxel_size=VoxelSize(lengths.get("z"), lengths["y"], lengths["x"]),
        channels=_channels(attributes.get("omero")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except IslError:
        raise
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DamagedFileError(
            f"{path} is truncated or damaged ({error}); copy the file again"
        ) from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} holds no JSON object; copy the file again")
    return value


def _is_selection(names: Sequence[str]) -> bool:
    order = [n for n in AXIS_ORDER if n in names]
    return list(names) == order and {"y", "x"} <= set(names)


def _length_um(scale: float, unit: str | None) -> float | None:
    """Micrometres; a scale of 1 without a unit says nothing, another one is taken as um."""
    if scale <= 0 or (unit is None and scale == 1.0):
        return None
    factor = 1.0 if unit is None else _UM.get(unit.lower())
    return None if factor is None else round(scale * factor, 12)


def _channels(omero: object) -> tuple[tuple[str | None, str | None], ...] | None:
    """Names and colours, leniently: many writers leave out what the specification asks for."""
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(listed, list) or not listed:
        return None
    entries = [entry if isinstance(entry, Mapping) else {} for entry in listed]
    return tuple((_text(e.get("label")), _hex(e.get("color"))) for e in entries)


def _text(value: object) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None


def _hex(value: object) -> str | None:
    color = str(value).lstrip("#").upper()
    return color if re.fullmatch(r"[0-9A-F]{6}", color) else None
