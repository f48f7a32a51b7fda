"""Outputs at addresses: written on this machine first, then sent so that half of one never reads.

Object stores cannot rename. What makes a group an image is therefore sent after all below it, and
the metadata of the root last.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isl.core.digest import digest_of
from isl.core.errors import OutputError
from isl.core.extras import require
from isl.io.output_partial import PartialFolder, held_folder
from isl.io.remote import claim, exists, forget, read_text, refuse_read_only, remove
from isl.io.remote_file import cache_folder
from isl.io.remote_path import RemotePath
from isl.io.remote_retry import persist
from isl.io.remote_systems import EXTRA, file_system
from isl.io.staging import explained, host

_log = logging.getLogger(__name__)
_AT_ONCE = 4
_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


@contextmanager
def sent_output(address: RemotePath, overwrite: bool) -> Iterator[PartialFolder]:
    """Let the caller write to a folder of this machine, whose product is sent at the end.

    Parameters
    ----------
    address
        Of an OME-Zarr group in an object store.
    overwrite
        Whether an existing output may be replaced.

    Yields
    ------
    PartialFolder
        Below ``outputs`` in the cache folder. It stays where sending fails, so that the same
        command sends the rest.

    Raises
    ------
    OutputError
        Where the output exists, another machine writes it, there is no such bucket, or nothing can
        be written there.
    """
    check_address(address, overwrite)
    spool = spool_path(address)
    with explained(spool, spool), held_folder(spool) as folder:
        marker = _hold(address, spool)
        try:
            yield folder
            _send_keeping(folder, address)
        finally:
            if not folder.keep:
                remove(marker)
    with suppress(OSError):
        spool.parent.rmdir()


def spool_path(address: RemotePath) -> Path:
    """Where an output is written on this machine before it is sent."""
    key = digest_of([str(address).encode()])
    return cache_folder().parent / "outputs" / key / address.name


def check_address(address: RemotePath, overwrite: bool) -> None:
    """Refuse an address that cannot be written to, or whose output may not be replaced.

    Raises
    ------
    OutputError
        Where that is so.
    """
    refuse_read_only(str(address))
    if not exists(address):
        return
    if not overwrite and any((address / name).exists() for name in _METADATA):
        raise OutputError(f"{address} exists already; pass --overwrite or choose another name")
    if overwrite and not address.name.lower().endswith(".zarr"):
        raise OutputError(f"{address} is not overwritten, as it is no .zarr; choose another name")


def _hold(address: RemotePath, spool: Path) -> RemotePath:
    """Leave a mark beside the output, so that another machine does not write it too."""
    marker = address.with_name(f"{address.name}.partial")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    mine = {"host": host(), "folder": os.fspath(spool)}
    try:
        if claim(marker, json.dumps(mine | {"since": now})):
            return marker
    except FileNotFoundError as error:
        raise OutputError(
            f"{address}: there is no bucket of that name, or no permission to see it; make it, or "
            "check the address"
        ) from error
    try:
        held = json.loads(read_text(marker))
    except (FileNotFoundError, ValueError):
        held = {}
    if {name: held.get(name) for name in mine} != mine:
        raise OutputError(
            f"{address} is being written from {held.get('host', 'another machine')} since "
            f"{held.get('since', 'an unknown time')}; wait for it, choose another name, or, "
            f"where that run is dead, delete {marker}"
        )
    return marker


def _send_keeping(folder: PartialFolder, address: RemotePath) -> None:
    try:
        send_folder(folder.product, address)
    except BaseException as error:
        folder.keep = True
        error.add_note("all is computed and kept; the same command sends the rest")
        raise


def send_folder(folder: Path, address: RemotePath) -> None:
    """Make the objects below an address those of a zarr folder.

    Parameters
    ----------
    folder
        A zarr group on this machine.
    address
        Objects there that are equal stay, others are replaced or removed. Meanwhile the root has
        no metadata, so that nobody takes a half for the whole.

    Raises
    ------
    DataError, DownloadError
        Where the store refuses, or does not answer.
    """
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    there = _objects(address)
    todo = [name for name in names if not _is_same(folder / name, there.get(name))]
    size = sum((folder / name).stat().st_size for name in todo) / 1e6
    _log.info("sending %d files (%.1f MB) to %s", len(todo), size, address)
    roots = [name for name in _METADATA if name in there and (todo or set(there) - set(names))]
    for name in roots:
        remove(address / name)
    todo += [name for name in roots if name in names and name not in todo]
    for group in _in_order(todo):
        _send(folder, address, group)
    for name in sorted(set(there) - set(names) - set(roots)):
        remove(address / name)
    forget(address)


def _in_order(names: list[str]) -> list[list[str]]:
    """First what holds pixels, then metadata from the leaves to the root."""
    metadata = [name for name in names if name.rpartition("/")[2] in _METADATA]
    depths = sorted({name.count("/") for name in metadata}, reverse=True)
    pixels = [name for name in names if name not in set(metadata)]
    return [pixels, *([n for n in metadata if n.count("/") == depth] for depth in depths)]


def _objects(address: RemotePath) -> dict[str, Mapping[str, Any]]:
    """What is below an address, by its path there."""
    system, place = file_system(str(address), asynchronous=False)

    async def find() -> Any:
        return await persist(str(address), lambda: system._find(place, detail=True))

    try:
        found = _in_loop(system, find)
    except FileNotFoundError:
        return {}
    root = place.rstrip("/") + "/"
    return {name.removeprefix(root): entry for name, entry in found.items() if name != place}


def _is_same(file: Path, entry: Mapping[str, Any] | None) -> bool:
    if entry is None or entry.get("size") != file.stat().st_size:
        return False
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False)
    of_gs = base64.b64encode(digest.digest()).decode()
    return str(entry.get("ETag", "")).strip('"') == digest.hexdigest() or (
        entry.get("md5Hash") == of_gs
    )


def _send(folder: Path, address: RemotePath, names: list[str]) -> None:
    system, place = file_system(str(address), asynchronous=False)

    async def send(name: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            data = await asyncio.to_thread((folder / name).read_bytes)
            target = f"{place.rstrip('/')}/{name}"
            await persist(f"{address}/{name}", lambda: system._pipe_file(target, data))

    async def send_all() -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(send(name, gate))

    try:
        _in_loop(system, send_all)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _in_loop(system: Any, work: Any) -> Any:
    return require("fsspec.asyn", EXTRA, "addresses").sync(system.loop, work)
