"""Writer of OME-Zarr 0.5: a plate, a single image, or a group with one image per field."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.io.display import default_color, display_window
from isl.io.output_array import ArrayLayout, BlockWriter, require_complete
from isl.io.output_fields import OutputField
from isl.io.output_pyramid import write_pyramid

_WELL = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9]+")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ZarrOutput:
    """Fields written below one zarr group.

    Parameters
    ----------
    folder
        Folder to make.
    fields
        The fields that are planned.
    dtype
        Of the pixels.
    attributes
        Provenance, stored with the root group under ``isl``.
    """

    def __init__(
        self,
        folder: Path,
        fields: Sequence[OutputField],
        dtype: np.dtype[Any],
        attributes: Mapping[str, object],
    ) -> None:
        self._folder = folder
        self._dtype = dtype
        self._attributes = attributes
        self._places = _places(fields)
        self._writers: dict[str, BlockWriter] = {}
        folder.mkdir()

    def open_field(self, field: OutputField) -> BlockWriter:
        """Begin a field: make its array."""
        group = self._folder / self._places[field.name]
        shape = (field.size_t, len(field.channels), 1, field.size_y, field.size_x)
        layout = ArrayLayout.of(shape, self._dtype)
        array = layout.create(group / "0", self._dtype)
        writer = BlockWriter(
            field.name, layout, array, lambda: self._finish_field(field, group, array)
        )
        self._writers[field.name] = writer
        return writer

    def discard_field(self, field: OutputField) -> None:
        """Remove what was written of a field."""
        if self._writers.pop(field.name, None) is None:
            return
        group = self._folder / self._places[field.name]
        shutil.rmtree(group)
        while group != self._folder and not any(group.parent.iterdir()):
            group = group.parent
            group.rmdir()

    def finish(self, fields: Sequence[OutputField]) -> None:
        """Check that the fields are complete and write the metadata that joins them."""
        for field in fields:
            require_complete(self._writers[field.name], field.name)
        places = {field.name: self._places[field.name] for field in fields}
        if list(places.values()) == [""]:
            return
        if _is_plate(fields):
            self._write_plate(fields)
        else:
            self._write_collection(list(places.values()))

    def _finish_field(self, field: OutputField, group: Path, array: Any) -> None:
        levels = write_pyramid(group, array)
        ome = _image_metadata(field, levels)
        own: dict[str, Any] = {"field": field.origin}
        if group == self._folder:
            own = {**self._attributes, **own}
        _write_group(group, {"ome": ome, "isl": own})

    def _write_plate(self, fields: Sequence[OutputField]) -> None:
        wells = sorted({str(f.well) for f in fields}, key=_well_order)
        rows = sorted({w.split("/")[0] for w in wells}, key=_name_order)
        columns = sorted({w.split("/")[1] for w in wells}, key=_name_order)
        for row in rows:
            _write_group(self._folder / row, {})
        counts = []
        for well in wells:
            images = [{"path": f.name.split("/")[-1]} for f in fields if f.well == well]
            counts.append(len(images))
            ome = _validated("Well", {"version": "0.5", "well": {"images": images}})
            _write_group(self._folder / well, {"ome": ome})
        plate = {
            "name": fields[0].plate,
            "rows": [{"name": row} for row in rows],
            "columns": [{"name": column} for column in columns],
            "wells": [
                {"path": w, "rowIndex": rows.index(r), "columnIndex": columns.index(c)}
                for w in wells
                for r, c in [w.split("/")]
            ],
            "field_count": max(counts),
        }
        ome = _validated("Plate", {"version": "0.5", "plate": plate})
        _write_group(self._folder, {"ome": ome, "isl": dict(self._attributes)})

    def _write_collection(self, places: Sequence[str]) -> None:
        """Mark the root as a collection of images, in the layout of bioformats2raw."""
        series = _validated("Series", {"version": "0.5", "series": list(places)})
        root = _validated("Bf2Raw", {"version": "0.5", "bioformats2raw.layout": 3})
        (self._folder / "OME").mkdir()
        _write_group(self._folder / "OME", {"ome": series})
        for parent in {p for place in places for p in Path(place).parents} - {Path()}:
            _write_group(self._folder / parent, {})
        _write_group(self._folder, {"ome": root, "isl": dict(self._attributes)})


def _is_plate(fields: Sequence[OutputField]) -> bool:
    """Whether the fields have wells and names that a plate can hold as they are."""
    return len({f.plate for f in fields}) == 1 and all(
        f.plate is not None
        and f.well is not None
        and _WELL.fullmatch(f.well)
        and f.name.startswith(f"{f.well}/")
        and _NODE.fullmatch(f.name[len(f.well) + 1 :])
        for f in fields
    )


def _places(fields: Sequence[OutputField]) -> dict[str, str]:
    """Sub-path of the image group of each field."""
    if len(fields) == 1 and not _is_plate(fields):
        return {fields[0].name: ""}
    if _is_plate(fields):
        return {f.name: f.name for f in fields}
    places = {f.name: "/".join(_node(part) for part in f.name.split("/")) for f in fields}
    _refuse_shared_places(places)
    return places


def _refuse_shared_places(places: Mapping[str, str]) -> None:
    """Raise where two images would share a folder, or one would lie in another."""
    taken: dict[str, str] = {}
    # In lower case: some file systems do not tell A from a.
    for name, place in sorted(places.items(), key=lambda item: len(item[1])):
        folder = Path(place.lower())
        for candidate in (folder, *folder.parents):
            if str(candidate) in taken:
                raise ConfigError(
                    f"the fields '{taken[str(candidate)]}' and '{name}' would be stored at the "
                    f"same place ('{place}'); rename one of them"
                )
        taken[str(folder)] = name


def _node(part: str) -> str:
    """A name that zarr and every file system accept."""
    safe = re.sub(r"[^\w.,=+-]", "_", part).lstrip(".") or "_"
    safe = re.sub(r"^__+", "_", safe)
    return f"{safe}_" if safe in ("labels", "OME") else safe


def _image_metadata(field: OutputField, levels: Sequence[Any]) -> dict[str, Any]:
    multiscale = {
        "name": field.name,
        "type": "mean",
        "axes": [
            {"name": "t", "type": "time"},
            {"name": "c", "type": "channel"},
            *(_space_axis(n, size) for n, size in zip("zyx", field.voxel_size, strict=True)),
        ],
        "datasets": [_dataset(i, field.voxel_size) for i in range(len(levels))],
    }
    omero = {"channels": _omero_channels(field, levels[-1]), "rdefs": {"model": "color"}}
    metadata = {"version": "0.5", "multiscales": [multiscale], "omero": omero}
    return _validated("Image", metadata)


def _space_axis(name: str, size: float | None) -> dict[str, str]:
    return {"name": name, "type": "space"} | ({} if size is None else {"unit": "micrometer"})


def _dataset(level: int, voxel_size: VoxelSize) -> dict[str, Any]:
    """Scale of a level, and the shift of its first pixel's centre that averaging brings."""
    z, y, x = (1.0 if size is None else size for size in voxel_size)
    factor = 2**level
    shift = (factor - 1) / 2
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1.0, 1.0, z, factor * y, factor * x]}
    ]
    if level > 0:
        transforms.append(
            {"type": "translation", "translation": [0.0, 0.0, 0.0, shift * y, shift * x]}
        )
    return {"path": str(level), "coordinateTransformations": transforms}


def _omero_channels(field: OutputField, smallest: Any) -> list[dict[str, Any]]:
    channels = []
    for i, channel in enumerate(field.channels):
        start, end, low, high = display_window(np.asarray(smallest[0, i]))
        if channel.window is not None:
            start, end = channel.window
        window = {"start": start, "end": end, "min": min(low, start), "max": max(high, end)}
        color = channel.color or default_color(channel.name, i)
        channels.append({"label": channel.name, "color": color, "window": window, "active": True})
    return channels


def _validated(model: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata that yaozarrs accepts, in the form in which it is stored."""
    from yaozarrs import v05

    with warnings.catch_warnings():
        # A recommendation of the specification: letters and digits only in the names of fields.
        warnings.simplefilter("ignore")
        valid = getattr(v05, model).model_validate(metadata)
        stored: dict[str, Any] = valid.model_dump(mode="json", exclude_none=True, by_alias=True)
    return stored


def _write_group(folder: Path, attributes: dict[str, Any]) -> None:
    import zarr

    zarr.create_group(store=str(folder), zarr_format=3, attributes=attributes)


def _name_order(name: str) -> tuple[int, str]:
    """A, B, ... Z, AA; 1, 2, ... 10."""
    return len(name.lstrip("0")), name


def _well_order(well: str) -> list[tuple[int, str]]:
    return [_name_order(part) for part in well.split("/")]
