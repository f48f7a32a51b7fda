"""Fetch one file through pooch, which decides whether it is needed and checks what came."""

from __future__ import annotations

import logging
from pathlib import Path

import pooch

from isl.core.errors import IslError
from isl.io.download_checksums import CHECKSUMS
from isl.io.download_http import HttpClient
from isl.io.download_listing import RemoteFile
from isl.io.download_state import PART, DownloadError, Meter, writing


def fetch_file(
    client: HttpClient,
    address: str,
    file: RemoteFile,
    path: Path,
    recorded: str | None,
    meter: Meter,
) -> None:
    """Fetch a file unless it is there and intact.

    Parameters
    ----------
    client
        Connection to the server.
    address
        Of the file.
    file
        What the server's list says about it; decides where no sum is recorded yet.
    path
        Where it belongs.
    recorded
        SHA-256 sum of the first download, if there was one.
    meter
        Told about every byte, be it there or fetched.

    Raises
    ------
    DownloadError
        Where it cannot be fetched, or is not what was recorded or listed.
    OutputError
        Where it cannot be written.
    """
    known = recorded or (f"md5:{file.md5}" if file.md5 else None)
    if known is None and _has_other_size(path, file.size):
        path.unlink()  # an incomplete copy, which pooch could not tell from a complete one
    downloader = _PartDownloader(client, path, file.size, meter)
    # What an earlier run left may be of an older file: only a fresh copy tells.
    for is_last in (False, True) if downloader.part.exists() else (True,):
        try:
            _retrieve(address, known, path, downloader)
            break
        except _OtherContentError as error:
            meter.add(-downloader.fetched)
            if is_last:
                raise DownloadError(_explanation(error, address, path, recorded)) from error
    if not downloader.fetched:
        meter.add(path.stat().st_size)


class _OtherContentError(Exception):
    """The file that came does not have the expected sum."""


class _PartDownloader:
    """What pooch calls to fetch a file: goes on with the part beside it."""

    def __init__(self, client: HttpClient, path: Path, size: int | None, meter: Meter) -> None:
        self.part = path.with_name(path.name + PART)
        self.fetched = 0
        self._client, self._size, self._meter = client, size, meter

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        # pooch made this file beforehand: an interruption shall leave nothing but the part.
        Path(output_file).unlink()
        self._client.fetch(url, self.part, size=self._size, meter=self._meter)
        self.fetched = self.part.stat().st_size
        self.part.replace(output_file)


def _retrieve(address: str, known: str | None, path: Path, downloader: _PartDownloader) -> None:
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        with writing(path):
            pooch.retrieve(address, known, path.name, path.parent, downloader=downloader)
    except IslError:
        raise
    except ValueError as error:  # what pooch raises for another sum
        raise _OtherContentError(str(error)) from error


def _has_other_size(path: Path, size: int | None) -> bool:
    return size is not None and path.is_file() and path.stat().st_size != size


def _explanation(error: _OtherContentError, address: str, path: Path, recorded: str | None) -> str:
    if recorded is None:
        return (
            f"{address}: what came is not what the server lists: {error} Give the same command "
            "again; if it fails again, the server's copy is damaged: try another --mirror"
        )
    return (
        f"{path}: the server no longer sends what was fetched at first: {error} If the published "
        f"data was renewed, delete the line of this file in {CHECKSUMS} and give the same command "
        "again"
    )
