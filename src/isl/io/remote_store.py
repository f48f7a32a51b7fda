"""Store of zarr at an address, whose requests are tried again and counted."""

from __future__ import annotations

from typing import Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import FsspecStore

from isl.io.remote import remembered
from isl.io.remote_http import http_read
from isl.io.remote_retry import persist
from isl.io.remote_systems import file_system, is_http


class RemoteStore(FsspecStore):  # type: ignore[misc]
    """Zarr below an address; made by `isl.io.remote.store_of`.

    Attributes
    ----------
    address
        Of the root.
    """

    address: str = ""

    @classmethod
    def at(cls, address: str, *, read_only: bool) -> Any:
        """Store whose root is an address."""
        system, path = file_system(address, asynchronous=True)
        store = cls(system, read_only=read_only, path=path.rstrip("/"))
        store.address = address.rstrip("/")
        # Over HTTP nothing can be listed, and zarr asks for what the metadata names.
        store.supports_listing = not is_http(address)
        return store

    def with_read_only(self, read_only: bool = False) -> Any:
        """The same store, read-only or not."""
        return type(self).at(self.address, read_only=read_only)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read an object or a part of it; None where there is none."""
        buffer = (prototype or default_buffer_prototype()).buffer
        known = remembered(self._name(key)) if self.read_only and byte_range is None else None
        if known is not None:
            return buffer.from_bytes(known)
        start, end = _slice(byte_range)
        place = self._place(key)

        async def read() -> bytes:
            if is_http(self.address):
                return await http_read(self.fs, place, start, end)
            data: bytes = await self.fs._cat_file(place, start=start, end=end)
            return data

        try:
            data = await persist(self._name(key), read)
        except self.allowed_exceptions:
            return None
        return buffer.from_bytes(data)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        """Read parts of several objects."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        """Write an object as a whole."""
        if byte_range is not None:
            raise NotImplementedError
        self._check_writable()
        data = value.to_bytes()
        await persist(self._name(key), lambda: self.fs._pipe_file(self._place(key), data))

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        if is_http(self.address):
            return await self.get(key) is not None
        found = await persist(self._name(key), lambda: self.fs._exists(self._place(key)))
        return bool(found)

    def _place(self, key: str) -> str:
        """Of a key, in the terms of the file system."""
        return f"{self.path}/{key}" if key else str(self.path)

    def _name(self, key: str) -> str:
        return f"{self.address}/{key}"


def _slice(byte_range: Any) -> tuple[int | None, int | None]:
    match byte_range:
        case RangeByteRequest(start=start, end=end):
            return int(start), int(end)
        case OffsetByteRequest(offset=offset):
            return int(offset), None
        case SuffixByteRequest(suffix=suffix):
            return -int(suffix), None
        case _:
            return None, None
