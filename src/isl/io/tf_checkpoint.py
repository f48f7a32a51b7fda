"""Variables of a TensorFlow checkpoint (format V2, TensorBundle), read without TensorFlow.

The only maintained reader is TensorFlow itself: 600 MB that lag behind releases of Python.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import DamagedFileError, DataError
from isl.io.damage import naming_damage
from isl.io.protobuf import Message, parse_message
from isl.io.sstable import masked_crc32c, read_table
from isl.io.tf_checkpoint_path import INDEX_SUFFIX, find_index

_INDEX = "the index of a TensorFlow checkpoint (format V2)"
_DATA = "the data of a TensorFlow checkpoint"
_BOOL, _BFLOAT16 = 10, 14
# Numbers of tensorflow/core/framework/types.proto.
_STORED_DTYPE = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 9: "<i8", _BOOL: "u1", _BFLOAT16: "<u2", 19: "<f2",
}  # fmt: skip
_MAX_AXES = 32
_MAX_VERSION = 1


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies: ``size`` bytes from ``offset`` of a shard."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read_tf_checkpoint(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read all variables of a TensorFlow 1 checkpoint, every checksum verified.

    Parameters
    ----------
    path
        The folder of the checkpoint, its prefix (``"train/model.ckpt-1000"``) or its ``.index``
        file. In a folder the file ``checkpoint`` tells which one is meant.

    Returns
    -------
    dict
        Array of each variable by name, names ascending; float32, float64, float16, int32, int64,
        uint8 or bool as stored. bfloat16 becomes float32, which is exact.

    Raises
    ------
    DataError
        Where there is no checkpoint, or several and none is chosen, or a variable is of a kind
        that is not read: text, complex numbers, or split over several entries.
    DamagedFileError
        Where a file is missing, truncated, damaged or of another format.

    Examples
    --------
    >>> read_tf_checkpoint("isl2018_checkpoint")["Conv/weights"].shape  # doctest: +SKIP
    (1, 1, 52, 16)
    """
    index = find_index(Path(path))
    shards, entries = _read_index(index)
    prefix = str(index).removesuffix(INDEX_SUFFIX)
    arrays: dict[str, NDArray[Any]] = {}
    for shard in sorted({entry.shard for entry in entries}):
        data = Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}")
        arrays.update(_read_shard(data, [e for e in entries if e.shard == shard]))
    return {entry.name: arrays[entry.name] for entry in entries}


def _read_index(path: Path) -> tuple[int, list[_Entry]]:
    """Return the number of shards and the entries."""
    table = read_table(path, _INDEX)
    with naming_damage(path, _INDEX):
        if b"" not in table:
            raise ValueError("it has no header")
        shards = _read_header(path, parse_message(table.pop(b"")))
        entries = [_read_entry(path, key, parse_message(value)) for key, value in table.items()]
    for entry in entries:
        if entry.shard >= shards:
            raise _damage(path, f"{entry.name} lies in shard {entry.shard} of {shards}")
    return shards, entries


def _read_header(path: Path, header: Message) -> int:
    shards, big_endian = header.integer(1), header.integer(2)
    oldest_reader = max((v.integer(2) for v in header.messages(3)), default=0)
    if big_endian or oldest_reader > _MAX_VERSION:
        raise DataError(
            f"{path}: its byte order ({'big' if big_endian else 'little'} endian) or version "
            f"({oldest_reader}) is not read, only little endian up to version {_MAX_VERSION}; "
            "save the checkpoint again with TensorFlow on an ordinary machine"
        )
    return shards


def _read_entry(path: Path, key: bytes, entry: Message) -> _Entry:
    # Parts of a split variable have keys of their own that begin with a zero byte.
    name = key.lstrip(b"\0").split(b"\0")[0].decode()
    if key.startswith(b"\0") or entry.messages(7):
        raise DataError(
            f"{path}: variable {name} is split into slices (a partitioned variable), which is "
            "not read; save the checkpoint without a partitioner"
        )
    dtype = entry.integer(1)
    if dtype not in _STORED_DTYPE:
        raise DataError(
            f"{path}: variable {name} has TensorFlow type {dtype}, which is not read, only "
            "float16, bfloat16, float32, float64, int32, int64, uint8 and bool; "
            "save the checkpoint without it"
        )
    offset, size, checksum = entry.integer(4), entry.integer(5), entry.integer(6)
    shape = _read_shape(entry)
    _check_size(path, name, shape, dtype, size)
    return _Entry(name, dtype, shape, entry.integer(3), offset, size, checksum)


def _read_shape(entry: Message) -> tuple[int, ...]:
    return tuple(axis.integer(1) for shape in entry.messages(2) for axis in shape.messages(2))


def _check_size(path: Path, name: str, shape: tuple[int, ...], dtype: int, size: int) -> None:
    """Refuse shapes that NumPy cannot hold or that disagree with the number of bytes."""
    item_bytes = np.dtype(_STORED_DTYPE[dtype]).itemsize
    if len(shape) > _MAX_AXES or math.prod(max(side, 1) for side in shape) >= 1 << 60:
        raise _damage(path, f"{name} has an impossible shape, {shape[:_MAX_AXES]}")
    if math.prod(shape) * item_bytes != size:
        raise _damage(path, f"{name} of shape {shape} cannot have {size} bytes")


def _read_shard(path: Path, entries: Iterable[_Entry]) -> Iterator[tuple[str, NDArray[Any]]]:
    if not path.is_file():
        raise DamagedFileError(
            f"{path}: this part of the checkpoint is missing, but its index refers to it; "
            "copy all files of the checkpoint into one folder"
        )
    with naming_damage(path, _DATA), path.open("rb") as file:
        end = unread = os.fstat(file.fileno()).st_size
        for entry in sorted(entries, key=lambda e: e.offset):
            unread -= entry.size
            # Variables never share bytes, so all together never exceed the file.
            if unread < 0 or entry.offset + entry.size > end:
                raise _damage(path, f"it ends before {entry.name} does")
            yield entry.name, _read_array(path, file, entry)


def _read_array(path: Path, file: BinaryIO, entry: _Entry) -> NDArray[Any]:
    file.seek(entry.offset)
    data = file.read(entry.size)
    if masked_crc32c(data) != entry.checksum:
        raise _damage(path, f"the checksum of {entry.name} does not match")
    stored = np.frombuffer(data, _STORED_DTYPE[entry.dtype]).reshape(entry.shape)
    if entry.dtype == _BOOL:
        return np.asarray(stored != 0)
    if entry.dtype == _BFLOAT16:
        # The upper half of a float32.
        return np.asarray(stored.astype(np.uint32) << 16).view(np.float32)
    array: NDArray[Any] = stored.astype(stored.dtype.newbyteorder("="))
    return array


def _damage(path: Path, found: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path}: {found}; it is truncated, damaged or belongs to another checkpoint: copy all "
        "files of the checkpoint again from their source"
    )
