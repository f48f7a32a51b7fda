"""Writer of OME-TIFF: one tiled file a field, put together from blocks in any order."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ConfigError
from isl.io.display import default_color
from isl.io.output_array import ArrayLayout
from isl.io.output_fields import OutputField
from isl.io.output_partial import PartialFolder
from isl.io.output_shards import FieldWriter, WrittenFile, checksum, write_whole
from isl.io.tiff_metadata import OWN_KEY

SCRATCH = "scratch"
TILE_PX = 512
BIGTIFF_BYTES = 2_000_000_000


class TiffOutput:
    """Fields written as OME-TIFF files.

    A TIFF file is written from its first tile to its last, so shards first go to a zarr array.

    Parameters
    ----------
    folder
        Folder of the run; its product is a file for one field, a folder for several.
    fields
        The fields that are planned.
    dtype
        Of the pixels.
    attributes
        Provenance, stored as an annotation ``isl`` in JSON.
    """

    joins = True

    def __init__(
        self,
        folder: PartialFolder,
        fields: Sequence[OutputField],
        dtype: np.dtype[Any],
        attributes: Mapping[str, object],
    ) -> None:
        self._root = folder.path
        self._dtype = dtype
        self._attributes = attributes
        self._files = _files(folder.product, fields)
        self._order = {field.name: str(i) for i, field in enumerate(fields)}
        if len(fields) > 1:
            folder.product.mkdir(exist_ok=True)

    def writer(self, field: OutputField) -> FieldWriter:
        """Writer of a field."""
        place = f"{SCRATCH}/{self._order[field.name]}"
        shape = (field.size_t, len(field.channels), 1, field.size_y, field.size_x)
        layout = ArrayLayout.of(shape, self._dtype)
        return FieldWriter(self._root, field.name, place, layout, has_half=False)

    def finish_field(self, field: OutputField) -> list[WrittenFile]:
        """Put the file of a field together."""
        import zarr

        writer = self.writer(field)
        folder = self._root / writer.place
        metadata = [writer.layout.metadata()]
        write_whole(self._root, field.name, f"{writer.place}/0/zarr.json", metadata)
        array = zarr.open_array(str(folder / "0"), mode="r")
        _write_file(folder / "image.tif", field, array, self._attributes)
        path, whole = self._files[field.name], folder / "image.tif"
        whole.replace(path)
        name = path.relative_to(self._root).as_posix()
        return [WrittenFile(field.name, name, path.stat().st_size, checksum(path))]

    def remove_shards(self, field: OutputField) -> None:
        """Remove the array of a field."""
        shutil.rmtree(self._root / self.writer(field).place, ignore_errors=True)

    def discard_field(self, field: OutputField) -> None:
        """Remove what was written of a field."""
        self.remove_shards(field)
        self._files[field.name].unlink(missing_ok=True)

    def finish(self, fields: Sequence[OutputField]) -> None:
        """Do nothing: nothing joins the files."""


def _files(target: Path, fields: Sequence[OutputField]) -> dict[str, Path]:
    if len(fields) == 1:
        return {fields[0].name: target}
    stems = {f.name: re.sub(r"[^\w.,=+-]", "_", f.name).lstrip(".") or "_" for f in fields}
    taken: dict[str, str] = {}
    for name, stem in stems.items():
        other = taken.setdefault(stem.lower(), name)
        if other != name:
            raise ConfigError(
                f"the fields '{other}' and '{name}' would be written to the same file "
                f"'{stem}.ome.tif'; rename one of them or write OME-Zarr"
            )
    return {name: target / f"{stem}.ome.tif" for name, stem in stems.items()}


def _write_file(
    path: Path, field: OutputField, array: Any, attributes: Mapping[str, object]
) -> None:
    import tifffile

    tile = tuple(min(TILE_PX, -(-n // 16) * 16) for n in (field.size_y, field.size_x))
    nbytes = int(np.prod(array.shape)) * array.dtype.itemsize
    with tifffile.TiffWriter(path, ome=True, bigtiff=nbytes > BIGTIFF_BYTES) as writer:
        writer.write(
            _tiles(array, tile),
            shape=array.shape,
            dtype=array.dtype,
            tile=tile,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 3},
            metadata=_metadata(field, attributes),
            maxworkers=1,
        )


def _tiles(array: Any, tile: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Tiles in the order of the file, those at the edge filled up with zeros."""
    size_t, size_c, _, size_y, size_x = array.shape
    for t in range(size_t):
        for c in range(size_c):
            for y in range(0, size_y, tile[0]):
                for x in range(0, size_x, tile[1]):
                    pixels = np.asarray(array[t, c, 0, y : y + tile[0], x : x + tile[1]])
                    padding = [(0, n - m) for n, m in zip(tile, pixels.shape, strict=True)]
                    yield np.pad(pixels, padding)


def _metadata(field: OutputField, attributes: Mapping[str, object]) -> dict[str, Any]:
    colors = [c.color or default_color(c.name, i) for i, c in enumerate(field.channels)]
    metadata: dict[str, Any] = {
        "axes": "TCZYX",
        "Name": field.name,
        "Channel": {
            "Name": [channel.name for channel in field.channels],
            "Color": [_rgba(color) for color in colors],
        },
    }
    for axis, size in zip("ZYX", field.voxel_size, strict=True):
        if size is not None:
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    notes = {**attributes, "field": field.origin}
    metadata["MapAnnotation"] = {OWN_KEY: json.dumps(notes)}
    # Not at random, as by default: the same run gives the same bytes.
    metadata["UUID"] = str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(metadata)))
    return metadata


def _rgba(color: str) -> int:
    """Colour as OME-XML has it: a signed 32-bit number, red first, opaque."""
    value = int(color, 16) << 8 | 0xFF
    return value - (1 << 32) if value >= 1 << 31 else value
