"""Smaller copies of an image, each computed from the one before by blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from isl.io.output_array import ArrayLayout, as_dtype, half
from isl.io.output_shards import FieldWriter, WrittenFile, encode_shard, write_whole

SMALLEST_PX = 256


def has_half(size_yx: tuple[int, int]) -> bool:
    """Whether an image has a level below it; the smaller side of the last is 256 px or less."""
    return min(size_yx) > SMALLEST_PX


def level_layouts(layout: ArrayLayout) -> list[ArrayLayout]:
    """Layouts of all levels, the full resolution first.

    The shards of level 1 are halves of those of level 0 and are written with them; further levels,
    a fifteenth of the pixels, have shards of the usual size.
    """
    layouts = [layout]
    while has_half(layouts[-1].shape[3:]):
        smaller = layouts[-1].half()
        regular = ArrayLayout.of(smaller.shape, smaller.number)
        layouts.append(smaller if len(layouts) == 1 else regular)
    return layouts


def write_levels(writer: FieldWriter) -> tuple[list[Any], list[WrittenFile]]:
    """Write the levels below the second, and the metadata of the arrays.

    Parameters
    ----------
    writer
        Of a field whose shards are all written.

    Returns
    -------
    list, list of WrittenFile
        The arrays of all levels, and what was written now.
    """
    import zarr

    layouts = level_layouts(writer.layout)
    files: list[WrittenFile] = []
    arrays: list[Any] = []
    for level, layout in enumerate(layouts):
        place = f"{writer.place}/{level}"
        metadata = [layout.metadata()]
        files.append(write_whole(writer.folder, writer.field, f"{place}/zarr.json", metadata))
        if level > 1:
            files += _write_half(arrays[-1], layout, writer, place)
        arrays.append(zarr.open_array(str(writer.folder / place), mode="r"))
    return arrays, files


def _write_half(
    source: Any, layout: ArrayLayout, writer: FieldWriter, place: str
) -> list[WrittenFile]:
    files = []
    for t in range(layout.shape[0]):
        for box in layout.shard_boxes():
            block = np.empty((layout.shape[1], *box.shape), layout.number)
            region = (slice(2 * box.y0, 2 * box.y1), slice(2 * box.x0, 2 * box.x1))
            for c in range(len(block)):
                pixels = np.asarray(source[(t, slice(c, c + 1), 0, *region)])
                block[c] = as_dtype(half(pixels), layout.number)[0]
            path = f"{place}/{layout.file_name(t, box)}"
            files.append(
                write_whole(writer.folder, writer.field, path, encode_shard(layout, block))
            )
    return files
