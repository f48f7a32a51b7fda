"""Smaller copies of an image, each computed from the one before by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.io.output_array import ArrayLayout, as_dtype, half
from isl.io.output_shards import (
    FieldWriter,
    WrittenFile,
    decode_shard,
    encode_shard,
    half_box,
    write_whole,
)

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


def write_levels(writer: FieldWriter) -> tuple[NDArray[Any], list[WrittenFile]]:
    """Write the levels below the second, and the metadata of the arrays.

    Parameters
    ----------
    writer
        Of a field whose shards are all written.

    Returns
    -------
    ndarray, list of WrittenFile
        (C, Y, X) of the smallest level at the first time point, and what was written.
    """
    levels = [Level(writer, i, layout) for i, layout in enumerate(level_layouts(writer.layout))]
    files = [level.write("zarr.json", [level.layout.metadata()]) for level in levels]
    for larger, smaller in pairwise(levels[1:]):
        files += _write_half(larger, smaller)
    smallest = levels[-1]
    return smallest.read(0, Box.of(smallest.layout.shape[3:])), files


@dataclass(frozen=True)
class Level:
    """A level of a field.

    Attributes
    ----------
    writer
        Of the field.
    number
        0 for the full resolution.
    layout
        Of its array.
    """

    writer: FieldWriter
    number: int
    layout: ArrayLayout

    def write(self, name: str, parts: Sequence[Any]) -> WrittenFile:
        """Write a file of the array."""
        path = f"{self.writer.place}/{self.number}/{name}"
        return write_whole(self.writer.folder, self.writer.field, path, parts)

    def shards(self, t: int, within: Box) -> Iterator[tuple[Box, NDArray[Any]]]:
        """Box and (C, Y, X) pixels of each shard that a box meets."""
        for box in self.layout.shard_boxes(within):
            name = f"{self.writer.place}/{self.number}/{self.layout.file_name(t, box)}"
            content = (self.writer.folder / name).read_bytes()
            yield box, decode_shard(self.layout, content, box.shape)

    def read(self, t: int, box: Box) -> NDArray[Any]:
        """Pixels (C, Y, X) of whole shards."""
        pixels = np.empty((self.layout.shape[1], *box.shape), self.layout.number)
        for place, cyx in self.shards(t, box):
            pixels[(slice(None), *place.relative_to(box).slices)] = cyx
        return pixels


def _write_half(larger: Level, smaller: Level) -> Iterator[WrittenFile]:
    """Write a level shard by shard; shards of the larger lie in one of it, for they are even."""
    layout = smaller.layout
    for t in range(layout.shape[0]):
        for box in layout.shard_boxes():
            cyx = np.empty((layout.shape[1], *box.shape), layout.number)
            double = Box(2 * box.y0, 2 * box.y1, 2 * box.x0, 2 * box.x1)
            for place, pixels in larger.shards(
                t, double.intersect(Box.of(larger.layout.shape[3:]))
            ):
                part = half_box(place).relative_to(box)
                cyx[(slice(None), *part.slices)] = as_dtype(half(pixels), layout.number)
            yield smaller.write(layout.file_name(t, box), encode_shard(layout, cyx))
