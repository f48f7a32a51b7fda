"""Writing of one T C Z=1 Y X array, block by block, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError, OutputError

CHUNK_PX = 512
SHARD_BYTES = 64 << 20
BUFFER_BYTES = 256 << 20


@dataclass(frozen=True)
class ArrayLayout:
    """Shape of an array and how it is cut into chunks (read alone) and shards (written whole).

    Attributes
    ----------
    shape
        Lengths of T, C, Z, Y, X.
    chunk_yx, shard_yx
        Rows and columns of a chunk and of a shard; a shard holds all channels.
    """

    shape: tuple[int, int, int, int, int]
    chunk_yx: tuple[int, int]
    shard_yx: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> ArrayLayout:
        """Layout whose shards hold four chunks where that takes little memory, else one."""
        chunk_y, chunk_x = (min(CHUNK_PX, n) for n in shape[3:])
        small = 4 * shape[1] * chunk_y * chunk_x * dtype.itemsize <= SHARD_BYTES
        factors = [2 if small and n > CHUNK_PX else 1 for n in shape[3:]]
        return cls(shape, (chunk_y, chunk_x), (factors[0] * chunk_y, factors[1] * chunk_x))

    def create(self, folder: Path, dtype: np.dtype[Any]) -> Any:
        """Create the zarr array in a folder."""
        import zarr

        shard = (1, self.shape[1], 1, *self.shard_yx)
        chunk = (1, 1, 1, *self.chunk_yx)
        return zarr.create_array(
            store=str(folder),
            shape=self.shape,
            dtype=dtype,
            chunks=chunk,
            shards=None if shard == chunk else shard,
            compressors=zarr.codecs.ZstdCodec(level=3),
            fill_value=0,
            dimension_names=list("tczyx"),
            # Written zeros are stored, so that negative zeros survive and gaps can be told.
            config={"write_empty_chunks": True},
        )

    def shard_boxes(self, within: Box | None = None) -> list[Box]:
        """Boxes of the shards of one time point, row by row; only those that ``within`` meets."""
        size_y, size_x = self.shape[3:]
        step_y, step_x = self.shard_yx
        area = Box(0, size_y, 0, size_x) if within is None else within
        return [
            Box(y, min(y + step_y, size_y), x, min(x + step_x, size_x))
            for y in range(area.y0 // step_y * step_y, area.y1, step_y)
            for x in range(area.x0 // step_x * step_x, area.x1, step_x)
        ]


class BlockWriter:
    """Writer of one field; blocks may come in any order, each pixel once.

    Blocks of less than a shard are kept until the shard is full, up to a limit of memory.

    Parameters
    ----------
    name
        Field, for messages.
    layout
        Layout of the array.
    array
        The zarr array.
    on_complete
        Called when the last pixel has been written.
    """

    def __init__(
        self, name: str, layout: ArrayLayout, array: Any, on_complete: Callable[[], None]
    ) -> None:
        self._name = name
        self._layout = layout
        self._array = array
        self._on_complete = on_complete
        self._pending: dict[tuple[int, Box], NDArray[Any]] = {}
        self._missing: dict[tuple[int, Box], int] = {}
        shape = layout.shape
        chunks = [-(-n // c) for n, c in zip(shape[3:], layout.chunk_yx, strict=True)]
        self._written = np.zeros((shape[0], *chunks), dtype=bool)

    @property
    def chunk_yx(self) -> tuple[int, int]:
        """Rows and columns of a chunk; blocks start at multiples of it."""
        return self._layout.chunk_yx

    @property
    def complete(self) -> bool:
        """Whether every pixel has been written."""
        return bool(self._written.all())

    def write(self, t: int, box: Box, cyx: NDArray[Any]) -> None:
        """Write all channels of a block.

        Parameters
        ----------
        t
            Time point.
        box
            Region of the image; its sides lie on multiples of `chunk_yx` or on the image's edge.
        cyx
            (C, Y, X), any real dtype; rounded and clipped where the output holds integers.

        Raises
        ------
        ConfigError
            Where the block has the wrong shape, is not aligned, or was written before.
        """
        self._check(t, box, cyx.shape)
        pixels = as_dtype(cyx, self._array.dtype)
        for shard in self._layout.shard_boxes(within=box):
            part = shard.intersect(box)
            piece = pixels[(slice(None), *part.relative_to(box).slices)]
            if part == shard:
                self._store(t, part, piece)
            else:
                self._collect(t, shard, part, piece)
        if self.complete:
            self._on_complete()

    def _check(self, t: int, box: Box, shape: tuple[int, ...]) -> None:
        size_t, size_c, _, size_y, size_x = self._layout.shape
        if shape != (size_c, *box.shape):
            raise ConfigError(
                f"field {self._name}: a block for {size_c} channels and {box} has to have the "
                f"shape {(size_c, *box.shape)}, but has {shape}"
            )
        inside = (
            0 <= t < size_t and box.size > 0 and box.intersect(Box(0, size_y, 0, size_x)) == box
        )
        step_y, step_x = self.chunk_yx
        aligned = box.y0 % step_y == 0 and box.x0 % step_x == 0
        aligned &= box.y1 % step_y == 0 or box.y1 == size_y
        aligned &= box.x1 % step_x == 0 or box.x1 == size_x
        if not (inside and aligned):
            raise ConfigError(
                f"field {self._name}: {box} at time point {t} is outside the image (T {size_t}, "
                f"Y {size_y}, X {size_x}) or does not start and end at multiples of {step_y} rows "
                f"and {step_x} columns"
            )
        rows = slice(box.y0 // step_y, -(-box.y1 // step_y))
        columns = slice(box.x0 // step_x, -(-box.x1 // step_x))
        if self._written[t, rows, columns].any():
            raise ConfigError(f"field {self._name}: {box} at time point {t} is written twice")
        self._written[t, rows, columns] = True

    def _store(self, t: int, box: Box, cyx: NDArray[Any]) -> None:
        self._array[(t, slice(None), 0, *box.slices)] = cyx

    def _collect(self, t: int, shard: Box, part: Box, piece: NDArray[Any]) -> None:
        """Keep a part of a shard until the rest has come."""
        key = (t, shard)
        if key not in self._pending:
            self._make_room(piece.shape[0] * shard.size * piece.dtype.itemsize)
            self._pending[key] = self._begun(t, shard, piece)
        self._pending[key][(slice(None), *part.relative_to(shard).slices)] = piece
        self._missing[key] = self._missing.get(key, shard.size) - part.size
        if self._missing[key] == 0:
            self._store(t, shard, self._pending.pop(key))
            del self._missing[key]

    def _begun(self, t: int, shard: Box, piece: NDArray[Any]) -> NDArray[Any]:
        """What an unfinished shard holds so far, where it had to be stored to make room."""
        if (t, shard) in self._missing:
            return np.asarray(self._array[(t, slice(None), 0, *shard.slices)])
        return np.zeros((piece.shape[0], *shard.shape), piece.dtype)

    def _make_room(self, nbytes: int) -> None:
        while (
            self._pending and nbytes + sum(a.nbytes for a in self._pending.values()) > BUFFER_BYTES
        ):
            key = next(iter(self._pending))
            self._store(key[0], key[1], self._pending.pop(key))


def require_complete(writer: BlockWriter, name: str) -> None:
    """Refuse to close an output that lacks pixels.

    Raises
    ------
    OutputError
        Where a part of the field was never written.
    """
    if not writer.complete:
        raise OutputError(
            f"field {name} is not complete: a part of it was never written; drop the field or "
            "write the rest"
        )


def as_dtype(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Pixels in another dtype; integers are rounded to even and clipped, NaN becomes 0."""
    if dtype.kind not in "ui" or pixels.dtype == dtype:
        return pixels.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    rounded = np.rint(np.nan_to_num(pixels, nan=0.0, posinf=limits.max, neginf=limits.min))
    clipped: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return clipped
