"""Reading and writing at addresses (http, https, s3, gs) and, by the same words, on this machine.

All functions take local paths too, so that callers need not tell them apart.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from isl.core.errors import DataError, OutputError
from isl.core.extras import require
from isl.io.remote_http import Facts, http_facts, http_read
from isl.io.remote_path import RemotePath, as_path, is_address
from isl.io.remote_retry import Traffic, persist, traffic
from isl.io.remote_systems import EXTRA, file_system, is_http

__all__ = [
    "RemotePath",
    "Traffic",
    "as_path",
    "claim",
    "exists",
    "facts",
    "forget",
    "is_address",
    "names_in",
    "prefetch",
    "read_bytes",
    "read_text",
    "refuse_read_only",
    "remembered",
    "remove",
    "store_of",
    "traffic",
    "write_text",
]

ZARR_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Names of small files that are read at once and remembered, rather than looked for first."""

_REMEMBERED_S = 60.0
_AT_ONCE = 16
_MOST_REMEMBERED = 20_000
_T = TypeVar("_T")


class _Memory:
    """What was found at addresses a short while ago: facts, and the bytes of metadata."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Facts | None, bytes | None]] = {}

    def get(self, address: str) -> tuple[Facts | None, bytes | None] | None:
        """Facts (None where nothing is there) and bytes; None where nothing is remembered."""
        with self._lock:
            when, found, data = self._found.get(address, (-_REMEMBERED_S, None, None))
            return (found, data) if time.monotonic() - when < _REMEMBERED_S else None

    def put(self, address: str, found: Facts | None, data: bytes | None = None) -> None:
        """Remember."""
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[address] = (time.monotonic(), found, data)

    def forget(self, address: str) -> None:
        """Forget an address, and all below and above it."""
        with self._lock:
            for known in list(self._found):
                if known.startswith(address) or address.startswith(known):
                    del self._found[known]


_memory = _Memory()


def forget(location: str | Path) -> None:
    """Look again at an address, and at all below it, when it is asked for the next time."""
    _memory.forget(str(as_path(location)))


def remembered(address: str) -> bytes | None:
    """Content of a small file that was read a short while ago; None for others."""
    known = _memory.get(address)
    return None if known is None else known[1]


def exists(location: str | Path) -> bool:
    """Whether there is a file, an object, or a folder that is not empty; never remembered.

    Parameters
    ----------
    location
        Local path or address.
    """
    path = as_path(location)
    forget(path)
    return path.exists()


def read_text(location: str | Path) -> str:
    """Read a file of UTF-8.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    """
    path = as_path(location)
    return (read_bytes(str(path)) if is_address(path) else path.read_bytes()).decode("utf-8")


def write_text(location: str | Path, text: str) -> None:
    """Write a file of UTF-8 in one step: readers see all of it or nothing.

    Raises
    ------
    OutputError
        Where the address is read-only.
    """
    path = as_path(location)
    if is_address(path):
        _write(str(path), text.encode("utf-8"), {})
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(text.encode("utf-8"))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def claim(location: str | Path, text: str) -> bool:
    """Write a file of UTF-8 unless there is one; of several processes one succeeds.

    Returns
    -------
    bool
        Whether this process wrote it. Object stores without conditional writing, which are few,
        let the last one win.
    """
    path = as_path(location)
    try:
        if is_address(path):
            _write(str(path), text.encode("utf-8"), {"mode": "create"})
        else:
            with path.open("xb") as file:
                file.write(text.encode("utf-8"))
    except FileExistsError:
        return False
    return True


def remove(location: str | Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing happens where there is none."""
    path = as_path(location)
    if not is_address(path):
        with suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return
    refuse_read_only(str(path))
    with suppress(FileNotFoundError):
        _run(str(path), lambda system, place: system._rm(place, recursive=True))
    forget(path)


def names_in(location: str | Path) -> list[str]:
    """Names of what lies in a folder, sorted; none where there is no such folder.

    Raises
    ------
    DataError
        Where the address is one of HTTP, which has no listing.
    """
    path = as_path(location)
    if not is_address(path):
        return sorted(os.listdir(path)) if path.is_dir() else []
    address = str(path)
    if is_http(address):
        raise DataError(
            f"{address}: a folder cannot be listed over HTTP; name the .zarr, a file, or a table "
            "of the files instead"
        )
    try:
        entries = _run(address, lambda system, place: system._ls(place, detail=True))
    except FileNotFoundError:
        return []
    return sorted(_remember_entries(address.rstrip("/"), entries))


def _remember_entries(folder: str, entries: Iterable[dict[str, Any]]) -> set[str]:
    names = set()
    for entry in entries:
        name = entry["name"].rstrip("/").rpartition("/")[2]
        if name == folder.rpartition("/")[2] and entry["type"] != "directory":
            continue  # the object that some tools leave in place of a folder
        names.add(name)
        _memory.put(f"{folder}/{name}", _facts_of(entry))
    return names


def facts(address: str) -> Facts | None:
    """Size and kind of what is at an address; remembered for a minute.

    Returns
    -------
    Facts
        None where there is nothing.
    """
    known = _memory.get(address)
    if known is not None:
        return known[0]
    if _is_metadata(address):
        with suppress(FileNotFoundError):
            read_bytes(address)
        known = _memory.get(address)
        return None if known is None else known[0]
    found = _look(address)
    _memory.put(address, found)
    return found


def _look(address: str) -> Facts | None:
    found: Facts | None = None
    with suppress(FileNotFoundError):
        if is_http(address):
            found = _run(address, http_facts)
        else:
            found = _facts_of(_run(address, lambda system, place: system._info(place)))
    if is_http(address) and (found is None or found.is_page):
        has_zarr = any(facts(f"{address}/{name}") is not None for name in ZARR_METADATA)
        return Facts(0, is_folder=True) if has_zarr else found
    return found


def _facts_of(entry: dict[str, Any]) -> Facts:
    size = int(entry["size"]) if entry.get("size") is not None else -1
    keys = ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime", "created")
    version = next((str(entry[key]) for key in keys if entry.get(key) is not None), "")
    return Facts(size, is_folder=entry["type"] == "directory", tag=f"{version} {size}")


def read_bytes(address: str, start: int | None = None, end: int | None = None) -> bytes:
    """Read an object, or the bytes from ``start`` to before ``end``.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    """
    known = _memory.get(address) if _is_metadata(address) else None
    if known is not None and start is None and end is None:
        if known[0] is None:
            raise FileNotFoundError(address)
        if known[1] is not None:
            return known[1]
    ask = http_read if is_http(address) else _read_object
    try:
        data = _run(address, lambda system, place: ask(system, place, start, end))
    except FileNotFoundError:
        _memory.put(address, None)
        raise
    if _is_metadata(address) and start is None and end is None:
        _memory.put(address, Facts(len(data), tag=f"{zlib.crc32(data)}"), data)
    return data


def prefetch(addresses: Iterable[str]) -> None:
    """Read small files side by side and remember them; what fails is left for later to report."""
    wanted = [a for a in addresses if _memory.get(a) is None]
    if not wanted:
        return
    system, _ = file_system(wanted[0], asynchronous=False)
    ask = http_read if is_http(wanted[0]) else _read_object

    async def fetch(address: str, gate: asyncio.Semaphore) -> None:
        place = system._strip_protocol(address)
        try:
            async with gate:
                data = await persist(address, lambda: ask(system, place, None, None))
            _memory.put(address, Facts(len(data), tag=f"{zlib.crc32(data)}"), data)
        except FileNotFoundError:
            _memory.put(address, None)

    async def fetch_all() -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(fetch(a, gate) for a in wanted), return_exceptions=True)

    _in_loop(system, fetch_all)


def store_of(location: str | Path, read_only: bool) -> Any:
    """Store of zarr for a local folder or an address.

    Parameters
    ----------
    location
        Root of the store; it need not exist.
    read_only
        Whether nothing may be written.

    Returns
    -------
    zarr.abc.store.Store
        Requests to addresses are tried again where that may help.

    Raises
    ------
    OutputError
        Where something shall be written to an address of HTTP.
    """
    path = as_path(location)
    if not is_address(path):
        from zarr.storage import LocalStore

        return LocalStore(path, read_only=read_only)
    from isl.io.remote_store import RemoteStore

    if not read_only:
        refuse_read_only(str(path))
    return RemoteStore.at(str(path), read_only=read_only)


async def _read_object(system: Any, place: str, start: int | None, end: int | None) -> bytes:
    data: bytes = await system._cat_file(place, start=start, end=end)
    return data


def _write(address: str, data: bytes, options: dict[str, str]) -> None:
    refuse_read_only(address)
    _run(address, lambda system, place: system._pipe_file(place, data, **options))
    forget(address)


def refuse_read_only(address: str) -> None:
    """Raise `OutputError` where nothing can be written: over HTTP."""
    if is_http(address):
        raise OutputError(
            f"{address} cannot be written: addresses of HTTP are read-only; write to a local "
            "folder, or to s3:// or gs://"
        )


def _is_metadata(address: str) -> bool:
    return address.rpartition("/")[2] in ZARR_METADATA


def _run(address: str, ask: Callable[[Any, str], Awaitable[_T]]) -> _T:
    """Make a request in the event loop of fsspec, and wait for its answer."""
    system, place = file_system(address, asynchronous=False)
    return _in_loop(system, lambda: persist(address, lambda: ask(system, place)))


def _in_loop(system: Any, work: Callable[[], Awaitable[_T]]) -> _T:
    asyn = require("fsspec.asyn", EXTRA, "addresses")
    answer: _T = asyn.sync(system.loop, work)
    return answer
