"""Access to zarr that does not take a cut file for a whole or an absent one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import RangeByteRequest
from zarr.storage import LocalStore

from isl.core.errors import DamagedFileError
from isl.io.remote_path import is_address
from isl.io.remote_store import RemoteStore

_METADATA = ("zarr.json", ".zarray", ".zattrs")
_BLOSC_HEADER = struct.Struct("<4B3I")  # version, codec version, flags, size of items; then sizes


class _Checks:
    """What a store refuses: files without content, or with less than they should have.

    A full disk or a broken copy leaves such files. Zarr reads an empty shard as if it were
    absent, which would silently turn the image black, and Blosc decodes what lies in memory
    behind a chunk that was cut.

    Attributes
    ----------
    has_blosc_chunks
        Whether the chunks of the array are compressed by Blosc.
    """

    has_blosc_chunks = False

    def checked(self, name: str, key: str, value: Any, byte_range: Any) -> Any:
        """The value that was read of the file called ``name``."""
        if value is not None and len(value) < self._expected(key, value, byte_range):
            state = "truncated" if len(value) else "empty"
            raise DamagedFileError(f"{name} is {state}; copy it again or leave this field out")
        return value

    def _expected(self, key: str, value: Any, byte_range: Any) -> int:
        """Fewest bytes that the value must have."""
        if isinstance(byte_range, RangeByteRequest):
            return int(byte_range.end - byte_range.start)
        is_chunk = byte_range is None and key.rpartition("/")[2] not in _METADATA
        if self.has_blosc_chunks and is_chunk and len(value):
            head = value[: _BLOSC_HEADER.size].to_bytes()
            is_whole = len(head) == _BLOSC_HEADER.size
            return int(_BLOSC_HEADER.unpack(head)[-1]) if is_whole else _BLOSC_HEADER.size
        return 1


class CheckedStore(_Checks, LocalStore):  # type: ignore[misc]
    """Local store that refuses what is cut."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file or a part of it; None where there is none."""
        value = await super().get(key, prototype, byte_range)
        return self.checked(str(self.root / key), key, value, byte_range)


class CheckedRemoteStore(_Checks, RemoteStore):
    """Store at an address that refuses what is cut."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read an object or a part of it; None where there is none."""
        value = await super().get(key, prototype, byte_range)
        return self.checked(f"{self.address}/{key}", key, value, byte_range)


def open_checked_array(folder: Path) -> Any:
    """Open a zarr array to be read, with a store below it that refuses what is cut."""
    store: Any = (
        CheckedRemoteStore.at(str(folder), read_only=True)
        if is_address(folder)
        else CheckedStore(folder, read_only=True)
    )
    array = zarr.open_array(store=store, mode="r")
    codecs = [type(codec).__name__ for codec in array.compressors]
    outermost = next((name for name in reversed(codecs) if name != "Crc32cCodec"), "")
    # a shard holds several chunks and an index, and is read by ranges of bytes
    store.has_blosc_chunks = array.shards is None and outermost in ("Blosc", "BloscCodec")
    return array
