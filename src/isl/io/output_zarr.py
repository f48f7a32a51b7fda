"""Writer of OME-Zarr 0.5: a plate, a single image, or a group with one image per field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isl.core.errors import ConfigError
from isl.io.omezarr_groups import (
    group_metadata,
    image_attributes,
    omero_channels,
    validated,
    write_group,
    write_plate_groups,
)
from isl.io.output_array import ArrayLayout
from isl.io.output_fields import OutputField
from isl.io.output_partial import PartialFolder
from isl.io.output_pyramid import has_half, level_layouts, write_levels
from isl.io.output_shards import FieldWriter, WrittenFile, write_whole
from isl.io.staging import remove

_WELL = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9]+")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ZarrOutput:
    """Fields written below one zarr group.

    Parameters
    ----------
    folder
        Folder of the run; the group becomes its product.
    fields
        The fields that are planned.
    dtype
        Of the pixels.
    attributes
        Provenance, stored with the root group under ``isl``.
    """

    joins = False

    def __init__(
        self,
        folder: PartialFolder,
        fields: Sequence[OutputField],
        dtype: np.dtype[Any],
        attributes: Mapping[str, object],
    ) -> None:
        self._root, self._folder = folder.path, folder.product
        self._dtype = dtype
        self._attributes = attributes
        self._places = _places(fields)
        self._folder.mkdir(exist_ok=True)

    def writer(self, field: OutputField) -> FieldWriter:
        """Writer of a field."""
        group = (self._folder / self._places[field.name]).relative_to(self._root)
        shape = (field.size_t, len(field.channels), 1, field.size_y, field.size_x)
        layout = ArrayLayout.of(shape, self._dtype)
        smaller = has_half((field.size_y, field.size_x))
        return FieldWriter(self._root, field.name, group.as_posix(), layout, smaller)

    def finish_field(self, field: OutputField) -> list[WrittenFile]:
        """Write the smaller levels and the metadata of a field."""
        writer = self.writer(field)
        smallest, files = write_levels(writer)
        channels = omero_channels(field.channels, list(smallest))
        levels = len(level_layouts(writer.layout))
        ome = image_attributes(field.name, field.voxel_size, levels, channels)
        own: dict[str, Any] = {"field": field.origin}
        group = self._folder / self._places[field.name]
        if group == self._folder:
            own = {**self._attributes, **own}
        metadata = [group_metadata({"ome": ome, "isl": own})]
        files.append(write_whole(self._root, field.name, f"{writer.place}/zarr.json", metadata))
        return files

    def remove_shards(self, field: OutputField) -> None:
        """Do nothing: the shards are the output."""

    def discard_field(self, field: OutputField) -> None:
        """Remove what was written of a field, and folders that hold nothing else."""
        group = self._folder / self._places[field.name]
        if group.exists():
            remove(group)
        while group != self._folder:
            group = group.parent
            if group == self._folder or not group.exists() or any(group.iterdir()):
                break
            group.rmdir()

    def finish(self, fields: Sequence[OutputField]) -> None:
        """Write the metadata that joins the fields."""
        places = {field.name: self._places[field.name] for field in fields}
        if list(places.values()) == [""]:
            return
        if _is_plate(fields):
            self._write_plate(fields)
        else:
            self._write_collection(list(places.values()))

    def _write_plate(self, fields: Sequence[OutputField]) -> None:
        images: dict[str, list[str]] = {}
        for field in fields:
            images.setdefault(str(field.well), []).append(field.name.split("/")[-1])
        write_plate_groups(self._folder, fields[0].plate, images, {"isl": dict(self._attributes)})

    def _write_collection(self, places: Sequence[str]) -> None:
        """Mark the root as a collection of images, in the layout of bioformats2raw."""
        series = validated("Series", {"version": "0.5", "series": list(places)})
        root = validated("Bf2Raw", {"version": "0.5", "bioformats2raw.layout": 3})
        write_group(self._folder / "OME", {"ome": series})
        for parent in {p for place in places for p in Path(place).parents} - {Path()}:
            write_group(self._folder / parent, {})
        write_group(self._folder, {"ome": root, "isl": dict(self._attributes)})


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
