"""Whole shards of an OME-Zarr image: encoded at once, each in one file, written once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.io.output_array import ArrayLayout, as_dtype, half


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written, as the journal of a run notes it.

    Attributes
    ----------
    field
        Name of the field it belongs to.
    path
        Relative to the folder of the run.
    size
        In bytes.
    crc32c
        Checksum of the content.
    """

    field: str
    path: str
    size: int
    crc32c: int

    def is_intact(self, folder: Path, *, content: bool) -> bool:
        """Whether the file is there with its size and, where asked, its content."""
        try:
            if (folder / self.path).stat().st_size != self.size:
                return False
            return not content or checksum(folder / self.path) == self.crc32c
        except OSError:
            return False


def write_whole(folder: Path, field: str, path: str, parts: Sequence[Any]) -> WrittenFile:
    """Write a file to a temporary name and rename it.

    Renaming matters where a process that was taken for dead still writes the same file: it then
    replaces it by equal bytes, and never leaves it torn.

    Parameters
    ----------
    folder
        Folder of the run.
    field
        Name of the field the file belongs to.
    path
        Name of the file in the folder; missing folders are made.
    parts
        Bytes-like pieces of the content, in order.
    """
    target = os.path.join(folder, path)
    temporary = os.path.join(folder, f"writing-{os.getpid()}-{secrets.token_hex(4)}")
    crc = 0
    with open(temporary, "wb", buffering=0) as file:
        for part in parts:
            crc = google_crc32c.extend(crc, part)
            _write_all(file, part)
    try:
        os.replace(temporary, target)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(temporary, target)
    return WrittenFile(field, path, sum(len(part) for part in parts), crc)


def checksum(path: Path) -> int:
    """CRC-32C of the content of a file."""
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            crc = google_crc32c.extend(crc, block)
    return crc


@dataclass(frozen=True)
class FieldWriter:
    """Writes the pixels of a field, from any process; a value that can be sent to others.

    Attributes
    ----------
    folder
        Folder of the run, which all processes see under this name.
    field
        Name of the field.
    place
        Sub-folder of the image.
    layout
        Of level 0.
    has_half
        Whether each shard is written at half its resolution too, as a shard of level 1.
    """

    folder: Path
    field: str
    place: str
    layout: ArrayLayout
    has_half: bool

    @property
    def block_yx(self) -> tuple[int, int]:
        """Rows and columns of a shard; what is written starts and ends at multiples of it."""
        return self.layout.shard_yx

    def write(self, t: int, box: Box, cyx: NDArray[Any]) -> tuple[WrittenFile, ...]:
        """Write all channels of a region at one time point.

        Parameters
        ----------
        t
            Time point.
        box
            Region of the image; its sides lie on multiples of `block_yx` or on the image's edge.
        cyx
            (C, Y, X), any real dtype; rounded and clipped where the output holds integers.

        Returns
        -------
        tuple of WrittenFile
            For `Output.mark_done`.

        Raises
        ------
        ConfigError
            Where the block has the wrong shape or is not aligned.
        """
        self._check(t, box, cyx.shape)
        pixels = as_dtype(cyx, self.layout.number)
        return tuple(
            file
            for shard in self.layout.shard_boxes(within=box)
            for file in self._write_shard(
                t, shard, pixels[(slice(None), *shard.relative_to(box).slices)]
            )
        )

    def _write_shard(self, t: int, shard: Box, cyx: NDArray[Any]) -> Iterator[WrittenFile]:
        path = f"{self.place}/0/{self.layout.file_name(t, shard)}"
        yield write_whole(self.folder, self.field, path, encode_shard(self.layout, cyx))
        if self.has_half:
            smaller = self.layout.half()
            path = f"{self.place}/1/{smaller.file_name(t, half_box(shard))}"
            pixels = as_dtype(half(cyx), self.layout.number)
            yield write_whole(self.folder, self.field, path, encode_shard(smaller, pixels))

    def _check(self, t: int, box: Box, shape: tuple[int, ...]) -> None:
        size_t, size_c, _, size_y, size_x = self.layout.shape
        if shape != (size_c, *box.shape):
            raise ConfigError(
                f"field {self.field}: a block for {size_c} channels and {box} has to have the "
                f"shape {(size_c, *box.shape)}, but has {shape}"
            )
        inside = (
            0 <= t < size_t and box.size > 0 and box.intersect(Box(0, size_y, 0, size_x)) == box
        )
        step_y, step_x = self.block_yx
        aligned = box.y0 % step_y == 0 and box.x0 % step_x == 0
        aligned &= box.y1 % step_y == 0 or box.y1 == size_y
        aligned &= box.x1 % step_x == 0 or box.x1 == size_x
        if not (inside and aligned):
            raise ConfigError(
                f"field {self.field}: {box} at time point {t} is outside the image (T {size_t}, "
                f"Y {size_y}, X {size_x}) or does not start and end at multiples of {step_y} rows "
                f"and {step_x} columns"
            )


def encode_shard(layout: ArrayLayout, cyx: NDArray[Any]) -> list[Any]:
    """Content of the file of a shard, as zarr's codec ``sharding_indexed`` lays it out.

    Done here, for zarr copies each byte several times and changes threads for each chunk, which
    takes longer than the compression.

    Parameters
    ----------
    layout
        Layout of the array.
    cyx
        (C, Y, X) pixels of the shard that lie in the image, in the dtype of the array.

    Returns
    -------
    list of bytes
        Chunks by channel, row and column, then offset and size of each and their checksum; one
        chunk alone where the array has no shards.
    """
    if not layout.is_sharded:
        return [layout.encode(_padded(cyx, layout.chunk_yx))]
    step_y, step_x = layout.chunk_yx
    rows, columns = range(0, layout.shard_yx[0], step_y), range(0, layout.shard_yx[1], step_x)
    parts: list[Any] = []
    index = np.full((len(cyx), len(rows), len(columns), 2), np.iinfo(np.uint64).max, "<u8")
    offset = 0
    for c, yx in enumerate(cyx):
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                chunk = yx[y : y + step_y, x : x + step_x]
                if chunk.size:
                    parts.append(layout.encode(_padded(chunk, layout.chunk_yx)))
                    index[c, i, j] = offset, len(parts[-1])
                    offset += len(parts[-1])
    tail = index.tobytes()
    return [*parts, tail + google_crc32c.value(tail).to_bytes(4, "little")]


def decode_shard(layout: ArrayLayout, content: bytes, shape_yx: tuple[int, int]) -> NDArray[Any]:
    """Pixels (C, Y, X) of a shard that `encode_shard` made; ``shape_yx`` of it lie in the image."""
    step_y, step_x = layout.chunk_yx
    if not layout.is_sharded:
        chunk = layout.decode(content)
        return chunk[None, : shape_yx[0], : shape_yx[1]]
    rows, columns = (s // c for s, c in zip(layout.shard_yx, layout.chunk_yx, strict=True))
    count = layout.shape[1] * rows * columns
    index = np.frombuffer(content[-16 * count - 4 : -4], "<u8")
    index = index.reshape(layout.shape[1], rows, columns, 2)
    pixels = np.empty((layout.shape[1], *shape_yx), layout.number)
    view = memoryview(content)
    for c, i, j in np.ndindex(index.shape[:3]):
        offset, size = (int(n) for n in index[c, i, j])
        place = pixels[c, i * step_y : (i + 1) * step_y, j * step_x : (j + 1) * step_x]
        if place.size:
            chunk = layout.decode(view[offset : offset + size])
            place[:] = chunk[: place.shape[0], : place.shape[1]]
    return pixels


def half_box(box: Box) -> Box:
    """Box of the same pixels at half the resolution."""
    return Box(box.y0 // 2, -(-box.y1 // 2), box.x0 // 2, -(-box.x1 // 2))


def _padded(pixels: NDArray[Any], shape_yx: tuple[int, int]) -> NDArray[Any]:
    """Pixels, the last two axes filled up with zeros."""
    missing = [n - m for n, m in zip(shape_yx, pixels.shape[-2:], strict=True)]
    if any(missing):
        padding = [(0, 0)] * (pixels.ndim - 2) + [(0, n) for n in missing]
        pixels = np.pad(pixels, padding)
    return np.ascontiguousarray(pixels)


def _write_all(file: Any, part: Any) -> None:
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]
