"""Sorted string tables as LevelDB writes them: the keys and values of a TensorFlow checkpoint.

A file is a row of blocks, each followed by its compression and checksum. The last 48 bytes point
to the index block, whose values point to the data blocks. Keys ascend over the whole file, and
each is stored as the difference to the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from isl.core.errors import DamagedFileError
from isl.io.damage import naming_damage
from isl.io.protobuf import read_varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_UINT32_BYTES = 4
_PLAIN, _SNAPPY = 0, 1
# Far above the tables of real checkpoints (some megabytes); a hostile file shall not fill memory.
_MAX_TABLE_BYTES = 1 << 26
_MAX_CONTENT_BYTES = 1 << 28


def read_table(path: Path, what: str) -> dict[bytes, bytes]:
    """Read all entries of a table, every checksum verified.

    Parameters
    ----------
    path
        The file.
    what
        What it should be, for messages: ``"the index of a TensorFlow checkpoint"``.

    Returns
    -------
    dict
        Value of each key, keys ascending.

    Raises
    ------
    DataError
        Where the file does not exist or may not be read.
    DamagedFileError
        Where it is truncated, damaged or of another format.
    """
    with naming_damage(path, what):
        size = path.stat().st_size
        if size > _MAX_TABLE_BYTES:
            raise DamagedFileError(
                f"{path}: has {size} bytes, too many for {what}; check that this is the right file"
            )
        return _parse_table(path.read_bytes())


def masked_crc32c(data: bytes) -> int:
    """Return the checksum that LevelDB and TensorFlow store, 0 .. 2**32 - 1.

    It is CRC-32C, turned and shifted so that a checksum of checksums stays meaningful.
    """
    checksum: int = google_crc32c.value(data)
    turned = (checksum >> 15) | (checksum << 17)
    return (turned + 0xA282EAD8) & 0xFFFFFFFF


def _parse_table(table: bytes) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    last, content_bytes = b"", 0
    for block in _data_blocks(table):
        for key, value in _block_entries(block):
            if entries and key <= last:
                raise ValueError(f"key {key[:40]!r} is not in order")
            content_bytes += len(key) + len(value)
            if content_bytes > _MAX_CONTENT_BYTES:
                raise ValueError("the entries unpack to more than a checkpoint ever holds")
            entries[key] = value
            last = key
    return entries


def _data_blocks(table: bytes) -> Iterator[bytes]:
    """Yield the data blocks; they may not overlap, so that work grows only with the file."""
    end = 0
    for _, handle in _block_entries(_block(table, *_index_handle(table))):
        offset, position = read_varint(handle, 0)
        size, _ = read_varint(handle, position)
        if offset < end:
            raise ValueError(f"the block at byte {offset} overlaps the one before")
        yield _block(table, offset, size)
        end = offset + size


def _index_handle(table: bytes) -> tuple[int, int]:
    footer = table[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise ValueError(f"the last of {len(table)} bytes are not the footer of a table")
    _, position = read_varint(footer, 0)
    _, position = read_varint(footer, position)
    offset, position = read_varint(footer, position)
    size, _ = read_varint(footer, position)
    return offset, size


def _block(table: bytes, offset: int, size: int) -> bytes:
    end = offset + size
    if end + _TRAILER_BYTES > len(table) - _FOOTER_BYTES:
        raise ValueError(f"a block of {size} bytes at byte {offset} reaches beyond the file")
    stored = int.from_bytes(table[end + 1 : end + _TRAILER_BYTES], "little")
    if masked_crc32c(table[offset : end + 1]) != stored:
        raise ValueError(f"the checksum of the block at byte {offset} does not match")
    compression = table[end]
    if compression == _PLAIN:
        return table[offset:end]
    if compression == _SNAPPY:
        return _unpack(table[offset:end])
    raise ValueError(f"unknown compression {compression} of the block at byte {offset}")


def _unpack(packed: bytes) -> bytes:
    import imagecodecs

    size, _ = read_varint(packed, 0)
    if size > _MAX_TABLE_BYTES:
        raise ValueError(f"a compressed block announces {size} bytes")
    return bytes(imagecodecs.snappy_decode(packed))


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = _entries_end(block)
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        value_bytes, position = read_varint(block, position)
        if shared > len(key) or unshared + value_bytes > end - position:
            raise ValueError(f"an entry at byte {position} reaches beyond its block")
        key = key[:shared] + block[position : position + unshared]
        position += unshared + value_bytes
        yield key, block[position - value_bytes : position]


def _entries_end(block: bytes) -> int:
    """Return where the entries end and the array of restart points, used for search, begins."""
    restarts = int.from_bytes(block[-_UINT32_BYTES:], "little")
    end = len(block) - _UINT32_BYTES * (restarts + 1)
    if len(block) < _UINT32_BYTES or end < 0:
        raise ValueError(f"a block of {len(block)} bytes announces {restarts} restart points")
    return end
