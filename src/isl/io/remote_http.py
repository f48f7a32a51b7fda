"""Requests by HTTP that tell a part of a file from the whole, and absence from refusal."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_log = logging.getLogger(__name__)
_PARTIAL, _UNSATISFIABLE = 206, 416
_GONE = (404, 410)
_CLIENT_ERRORS = range(400, 500)
_warned: set[str] = set()


@dataclass(frozen=True)
class Facts:
    """What is known of an object without reading it.

    Attributes
    ----------
    size
        In bytes; -1 where the server does not say.
    is_folder
        Whether it is a prefix of other objects.
    tag
        Differs where the content does: the ETag, else the time of change, with the size.
    has_parts
        Whether parts of it can be asked for.
    is_page
        Whether it is a web page.
    """

    size: int
    is_folder: bool = False
    tag: str = ""
    has_parts: bool = True
    is_page: bool = False

    @property
    def version(self) -> int:
        """The tag as a number."""
        return zlib.crc32(self.tag.encode())


async def http_read(system: Any, address: str, start: int | None, end: int | None) -> bytes:
    """Read a file or a part of it; where the server sends the whole for a part, cut it out.

    Parameters
    ----------
    system
        File system of fsspec for HTTP.
    address
        Of the file.
    start, end
        As of a slice; a negative start counts from the end, and then ``end`` is None.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    """
    session = await system.set_session()
    headers = {**system.kwargs.get("headers", {}), **_range(start, end)}
    request = {**system.kwargs, "headers": headers}
    async with session.get(system.encode_url(address), **request) as answer:
        if answer.status == _UNSATISFIABLE:
            return b""
        _refuse_failure(answer, address)
        data: bytes = await answer.read()
        if not _range(start, end) or answer.status == _PARTIAL:
            return data
    _warn_of_whole_files(address)
    return data[start:end]


async def http_facts(system: Any, address: str) -> Facts:
    """Size and tag of a file.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    """
    session = await system.set_session()
    url = system.encode_url(address)
    async with session.head(url, allow_redirects=True, **system.kwargs) as answer:
        # Some servers, and signed addresses, allow nothing but GET.
        if answer.status in _GONE or answer.status not in _CLIENT_ERRORS:
            return _facts_of(answer, address)
    async with session.get(url, **system.kwargs) as answer:
        return _facts_of(answer, address)


def _facts_of(answer: Any, address: str) -> Facts:
    _refuse_failure(answer, address)
    headers = answer.headers
    length = headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else -1
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return Facts(
        size,
        tag=f"{version} {size}",
        has_parts=headers.get("Accept-Ranges", "") == "bytes",
        is_page=headers.get("Content-Type", "").startswith("text/html"),
    )


def _range(start: int | None, end: int | None) -> dict[str, str]:
    if start is None and end is None:
        return {}
    if start is not None and start < 0:
        return {"Range": f"bytes={start}"}
    return {"Range": f"bytes={start or 0}-{'' if end is None else end - 1}"}


def _refuse_failure(answer: Any, address: str) -> None:
    if answer.status in _GONE:
        raise FileNotFoundError(address)
    answer.raise_for_status()


def _warn_of_whole_files(address: str) -> None:
    host = urlsplit(address).netloc
    if host not in _warned:
        _warned.add(host)
        _log.warning(
            "%s sends whole files where parts are asked for, so that much more is read than "
            "needed; download the images first, or serve them by a server that knows Range",
            host,
        )
