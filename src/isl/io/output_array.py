"""How one T C Z=1 Y X array is cut into chunks and shards, and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box

CHUNK_PX = 512
SHARD_BYTES = 64 << 20

_COMPRESSOR, _LEVEL, _SHUFFLE = "lz4", 5, "bitshuffle"


@dataclass(frozen=True)
class ArrayLayout:
    """Shape of an array and how it is cut into chunks (read alone) and shards (written whole).

    Attributes
    ----------
    shape
        Lengths of T, C, Z, Y, X.
    chunk_yx, shard_yx
        Rows and columns of a chunk and of a shard; a shard holds all channels.
    dtype
        Name of the NumPy dtype.
    """

    shape: tuple[int, int, int, int, int]
    chunk_yx: tuple[int, int]
    shard_yx: tuple[int, int]
    dtype: str

    @classmethod
    def of(cls, shape: tuple[int, int, int, int, int], dtype: np.dtype[Any]) -> ArrayLayout:
        """Layout whose shards hold four chunks where that takes little memory, else one."""
        chunk_y, chunk_x = (min(CHUNK_PX, n) for n in shape[3:])
        small = 4 * shape[1] * chunk_y * chunk_x * dtype.itemsize <= SHARD_BYTES
        factors = [2 if small and n > CHUNK_PX else 1 for n in shape[3:]]
        shard_yx = (factors[0] * chunk_y, factors[1] * chunk_x)
        return cls(shape, (chunk_y, chunk_x), shard_yx, dtype.name)

    def half(self) -> ArrayLayout:
        """Layout of an array of half the rows and columns, whose shards are halves of these."""
        size_y, size_x = (-(-n // 2) for n in self.shape[3:])
        shard_y, shard_x = (-(-n // 2) for n in self.shard_yx)
        shard_yx = (min(shard_y, size_y), min(shard_x, size_x))
        return ArrayLayout((*self.shape[:3], size_y, size_x), shard_yx, shard_yx, self.dtype)

    @property
    def number(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return np.dtype(self.dtype)

    @property
    def is_sharded(self) -> bool:
        """Whether a file holds several chunks."""
        return self.shape[1] > 1 or self.chunk_yx != self.shard_yx

    def encode(self, yx: NDArray[Any]) -> bytes:
        """Compress a chunk, contiguous and of the shape `chunk_yx`.

        Of all compressors that zarr 3 names, this has the best trade for float images (noisy ones:
        three times as fast as zstd at level 3, and smaller). One thread, for several would store
        the blocks in the order in which they happen to be ready.
        """
        from imagecodecs import blosc_encode

        pixels: Any = yx  # any buffer will do, whatever its annotation says
        encoded = blosc_encode(
            pixels,
            level=_LEVEL,
            compressor=_COMPRESSOR,
            shuffle=_SHUFFLE,
            typesize=yx.itemsize,
            numthreads=1,
        )
        return bytes(encoded)

    def decode(self, content: Any) -> NDArray[Any]:
        """Pixels (Y, X) of a compressed chunk, bytes or a view of them."""
        from imagecodecs import blosc_decode

        flat = np.frombuffer(blosc_decode(content, numthreads=1), self.number)
        return flat.reshape(self.chunk_yx)

    def metadata(self) -> bytes:
        """Content of the ``zarr.json`` of the array."""
        return _metadata(self)

    def file_name(self, t: int, box: Box) -> str:
        """File of a shard, in the folder of the array."""
        y, x = box.y0 // self.shard_yx[0], box.x0 // self.shard_yx[1]
        return f"c/{t}/0/0/{y}/{x}"

    def file_names(self) -> Iterator[str]:
        """Files of all shards."""
        boxes = self.shard_boxes()
        return (self.file_name(t, box) for t in range(self.shape[0]) for box in boxes)

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


@lru_cache(maxsize=64)
def _metadata(layout: ArrayLayout) -> bytes:
    import zarr

    files: dict[str, Any] = {}
    shard = (1, layout.shape[1], 1, *layout.shard_yx)
    zarr.create_array(
        store=zarr.storage.MemoryStore(files),
        shape=layout.shape,
        dtype=layout.number,
        chunks=(1, 1, 1, *layout.chunk_yx),
        shards=shard if layout.is_sharded else None,
        compressors=zarr.codecs.BloscCodec(
            cname=_COMPRESSOR,
            clevel=_LEVEL,
            shuffle=_SHUFFLE,
            typesize=layout.number.itemsize,
        ),
        fill_value=0,
        dimension_names=list("tczyx"),
    )
    content: bytes = files["zarr.json"].to_bytes()
    return content


def as_dtype(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Pixels in another dtype; integers are rounded to even and clipped, NaN becomes 0."""
    if dtype.kind not in "ui" or pixels.dtype == dtype:
        return pixels.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    rounded = np.rint(np.nan_to_num(pixels, nan=0.0, posinf=limits.max, neginf=limits.min))
    clipped: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return clipped


def half(cyx: NDArray[Any]) -> NDArray[np.float32]:
    """Mean of 2 x 2 pixels; at an odd edge of those that there are.

    Parameters
    ----------
    cyx
        (C, Y, X), any real dtype.

    Returns
    -------
    ndarray
        (C, ceil(Y / 2), ceil(X / 2)), float32; exact for integers of 16 bits.
    """
    odd = [(0, 0), (0, cyx.shape[1] % 2), (0, cyx.shape[2] % 2)]
    even = np.pad(cyx, odd, mode="edge") if any(after for _, after in odd) else cyx
    rows = np.add(even[:, ::2], even[:, 1::2], dtype=np.float32)
    means: NDArray[np.float32] = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return means
