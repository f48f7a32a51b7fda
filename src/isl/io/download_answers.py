"""What an answer over HTTP says: whether it is good, whole, and which part of a file it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests
import urllib3.exceptions

from isl.io.download_state import DownloadError

_BLOCK_BYTES = 1 << 16
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_PARTIAL, _NOT_FOUND = 206, 404


class BrokenOffError(Exception):
    """What is worth another try."""


def announced_size(response: requests.Response) -> int | None:
    """Bytes that an answer says it has."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def blocks(response: requests.Response) -> Iterator[bytes]:
    """Bytes of an answer as they come."""
    yield from response.iter_content(_BLOCK_BYTES)


def refuse_failure(response: requests.Response) -> None:
    """Raise where the answer is not what was asked for."""
    status = f"{response.status_code} {response.reason}".strip()
    if response.status_code in _BUSY:
        raise BrokenOffError(f"the server answered {status}")
    if response.status_code == _NOT_FOUND:
        raise DownloadError(
            f"{response.url}: there is no such file on the server ({status}); check --mirror, or "
            "whether the published data has moved"
        )
    if not response.ok:
        raise DownloadError(f"{response.url} cannot be fetched: the server answered {status}")


def refuse_short(response: requests.Response, received: int) -> None:
    """Raise where fewer bytes came than were announced."""
    announced = announced_size(response)
    if announced is not None and received != announced:
        raise BrokenOffError(f"{received} of {announced} bytes came")


def is_other_part(response: requests.Response, start: int) -> bool:
    """Whether an answer holds a part of the file, but not the one from ``start`` on."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status_code == _PARTIAL and (found is None or int(found[1]) != start)


def total_size(response: requests.Response) -> int | None:
    """Bytes of the whole file, as an answer with or about a part of it says."""
    found = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def is_no_connection(error: BaseException | None) -> bool:
    """Whether no connection was made at all: no such name, refused, no route, no certificate."""
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return True
    return isinstance(error, requests.ConnectionError) and isinstance(
        _inner(error), urllib3.exceptions.ConnectTimeoutError
    )


def _inner(error: requests.RequestException) -> object:
    """The error below the wrapping of requests, as far as there is one."""
    wrapped = error.args[0] if error.args else error
    return getattr(wrapped, "reason", wrapped)


def explain_failure(error: requests.RequestException) -> str:
    """What went wrong, without the name of the object it happened in."""
    text = str(_inner(error))
    return text.partition("): ")[2] or text
