"""Groups of OME-Zarr 0.5: the metadata of images and plates, checked before it is stored."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isl.core.axes import VoxelSize
from isl.io.display import default_color, display_window
from isl.io.output_fields import OutputChannel

_TYPES = {"t": "time", "c": "channel"}


def write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a zarr group with attributes, or replace the attributes of one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_bytes(group_metadata(attributes))


def group_metadata(attributes: Mapping[str, Any]) -> bytes:
    """Content of the ``zarr.json`` of a group."""
    group = {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}
    return json.dumps(group).encode()


def validated(model: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that yaozarrs accepts as ``model``, in the form in which it is stored."""
    from yaozarrs import v05

    with warnings.catch_warnings():
        # A recommendation of the specification: letters and digits only in the names of fields.
        warnings.simplefilter("ignore")
        valid = getattr(v05, model).model_validate(metadata)
        stored: dict[str, Any] = valid.model_dump(mode="json", exclude_none=True, by_alias=True)
    return stored


def image_attributes(
    name: str, voxel_size: VoxelSize, levels: int, channels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Metadata of a T C Z Y X image.

    Parameters
    ----------
    name
        Of the image.
    voxel_size
        Of level 0, in micrometres.
    levels
        Number of levels, each half as large as the one before.
    channels
        As `omero_channels` returns them.
    """
    omero = {"channels": list(channels), "rdefs": {"model": "color"}}
    metadata = {
        "version": "0.5",
        "multiscales": [multiscale(name, voxel_size, levels)],
        "omero": omero,
    }
    return validated("Image", metadata)


def multiscale(
    name: str, voxel_size: VoxelSize, levels: int, axes: str = "tczyx", how: str = "mean"
) -> dict[str, Any]:
    """Axes and levels of an image; ``how`` says how a level is made of the one before."""
    sizes = dict(zip("zyx", voxel_size, strict=True))
    return {
        "name": name,
        "type": how,
        "axes": [
            _space_axis(a, sizes[a]) if a in sizes else {"name": a, "type": _TYPES[a]} for a in axes
        ],
        "datasets": [_dataset(i, voxel_size, len(axes) - 3) for i in range(levels)],
    }


def omero_channels(
    channels: Sequence[OutputChannel], pixels: Sequence[Any]
) -> list[dict[str, Any]]:
    """Names, colours and display windows of channels; ``pixels`` are what each is judged by."""
    listed = []
    for i, channel in enumerate(channels):
        start, end, low, high = display_window(np.asarray(pixels[i]))
        if channel.window is not None:
            start, end = channel.window
        window = {"start": start, "end": end, "min": min(low, start), "max": max(high, end)}
        color = channel.color or default_color(channel.name, i)
        listed.append({"label": channel.name, "color": color, "window": window, "active": True})
    return listed


def write_plate_groups(
    folder: Path,
    name: str | None,
    images: Mapping[str, Sequence[str]],
    attributes: Mapping[str, Any],
) -> None:
    """Write the groups above the images of a plate.

    Parameters
    ----------
    folder
        Root of the plate.
    name
        Of the plate.
    images
        For each well, such as ``"B/03"``, the folders of its fields.
    attributes
        Further attributes of the root.
    """
    wells = sorted(images, key=_well_order)
    rows = sorted({w.split("/")[0] for w in wells}, key=_name_order)
    columns = sorted({w.split("/")[1] for w in wells}, key=_name_order)
    for row in rows:
        write_group(folder / row, {})
    for well in wells:
        listed = [{"path": image} for image in images[well]]
        ome = validated("Well", {"version": "0.5", "well": {"images": listed}})
        write_group(folder / well, {"ome": ome})
    plate = {
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {"path": w, "rowIndex": rows.index(r), "columnIndex": columns.index(c)}
            for w in wells
            for r, c in [w.split("/")]
        ],
        "field_count": max(len(listed) for listed in images.values()),
    }
    ome = validated("Plate", {"version": "0.5", "plate": plate})
    write_group(folder, {"ome": ome, **attributes})


def _space_axis(name: str, size: float | None) -> dict[str, str]:
    return {"name": name, "type": "space"} | ({} if size is None else {"unit": "micrometer"})


def _dataset(level: int, voxel_size: VoxelSize, others: int) -> dict[str, Any]:
    """Scale of a level, and the shift of its first pixel's centre that averaging brings."""
    z, y, x = (1.0 if size is None else size for size in voxel_size)
    factor = 2**level
    shift = (factor - 1) / 2
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1.0] * others + [z, factor * y, factor * x]}
    ]
    if level > 0:
        transforms.append(
            {"type": "translation", "translation": [0.0] * (others + 1) + [shift * y, shift * x]}
        )
    return {"path": str(level), "coordinateTransformations": transforms}


def _name_order(name: str) -> tuple[int, str]:
    """A, B, ... Z, AA; 1, 2, ... 10."""
    return len(name.lstrip("0")), name


def _well_order(well: str) -> list[tuple[int, str]]:
    return [_name_order(part) for part in well.split("/")]
