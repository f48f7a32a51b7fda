"""Files at addresses: read block by block, or fetched once into a folder of this machine."""

from __future__ import annotations

import io
import logging
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any

from isl.core.digest import digest_of
from isl.core.errors import DataError
from isl.io.download_state import DownloadError
from isl.io.remote import facts, is_address, read_bytes
from isl.io.remote_http import Facts

CACHE_VARIABLE = "ISL_CACHE"
"""Environment variable that names the folder of what may be forgotten."""

_log = logging.getLogger(__name__)
_BLOCK = 256 << 10
_BLOCKS = 256  # of all files together: 64 MB
_DIRECT = 4 * _BLOCK
_PIECE = 16 << 20


class RemoteFile(io.RawIOBase):
    """File at an address, opened for reading; blocks are shared by all who read it.

    Parameters
    ----------
    address
        Of an object.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    """

    def __init__(self, address: str) -> None:
        found = _facts(address)
        # A server that sends whole files, or does not say how large they are, is asked once.
        self._whole = None if found.has_parts and found.size >= 0 else _all_of(address, found.tag)
        self._size = found.size if self._whole is None else len(self._whole)
        self._address = address
        self._tag = found.tag
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which is returned."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as the buffer takes, or less at the end of the file."""
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        data = self._bytes(self._at, end) if self._at < end else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _bytes(self, start: int, end: int) -> bytes:
        if self._whole is not None:
            return self._whole[start:end]
        if end - start > _DIRECT:
            return _exactly(self._address, start, end)
        first, last = start // _BLOCK, (end - 1) // _BLOCK
        numbers = range(first, last + 1)
        blocks = [_block(self._address, self._tag, self._size, number) for number in numbers]
        return b"".join(blocks)[start - first * _BLOCK : end - first * _BLOCK]


def local_copy(path: Path) -> Path:
    """File of this machine with the content of ``path``; a local path is its own copy.

    Parameters
    ----------
    path
        An address is fetched once, into ``remote`` in the folder that $ISL_CACHE names, or in
        the user's cache folder; another time only where its size or tag has changed.

    Raises
    ------
    DataError
        Where there is no such file.
    DownloadError
        Where it cannot be fetched.
    """
    if not is_address(path):
        return path
    address = str(path)
    found = _facts(address)
    key = digest_of([f"{address}\n{found.tag}".encode()])
    copy = cache_folder() / key / path.name
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        size = "an unknown number of" if found.size < 0 else f"{found.size / 1e6:.1f}"
        _log.info("fetching %s (%s MB) to %s, as it is read as a whole", address, size, copy)
        _fetch(address, found, copy)
    return copy


def cache_folder() -> Path:
    """Folder of the copies."""
    import pooch

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("isl")) / "remote"


def _fetch(address: str, found: Facts, copy: Path) -> None:
    partial = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}.part")
    in_pieces = found.has_parts and found.size > _PIECE
    try:
        with partial.open("wb") as file:
            for start in range(0, found.size if in_pieces else 1, _PIECE):
                end = min(start + _PIECE, found.size)
                file.write(_exactly(address, start, end) if in_pieces else read_bytes(address))
        got = partial.stat().st_size
        if found.size not in (-1, got):
            raise DownloadError(f"{address}: {got} bytes came of {found.size}; try again")
        os.replace(partial, copy)
    finally:
        partial.unlink(missing_ok=True)


@lru_cache(maxsize=_BLOCKS)
def _block(address: str, _tag: str, size: int, number: int) -> bytes:
    return _exactly(address, number * _BLOCK, min((number + 1) * _BLOCK, size))


@lru_cache(maxsize=2)
def _all_of(address: str, _tag: str) -> bytes:
    return read_bytes(address)


def _exactly(address: str, start: int, end: int) -> bytes:
    data = read_bytes(address, start, end)
    if len(data) != end - start:
        raise DownloadError(
            f"{address}: {len(data)} bytes came where {end - start} were asked for from byte "
            f"{start} on; has it changed meanwhile? Give the same command again"
        )
    return data


def _facts(address: str) -> Facts:
    found = facts(address)
    if found is None:
        raise FileNotFoundError(address)
    if found.is_folder:
        raise DataError(f"{address} is a folder, where a file is needed; name a file in it")
    return found
