"""Patience with networks: what is tried again, how long, and how much came over the wire."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from isl.core.errors import DataError, IslError
from isl.io.download_state import DownloadError, UnreachableError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_FORBIDDEN = frozenset({401, 403})
# By name, because the packages they belong to are optional.
_UNREACHABLE = frozenset({"ClientConnectorError", "EndpointConnectionError"})
# What the client of S3 has tried again by itself is not among these.
_BROKEN_OFF = frozenset(
    {
        "ClientConnectionError",
        "ClientPayloadError",
        "IncompleteReadError",
        "ResponseStreamingError",
    }
)
_PASSED_ON = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and how long in all.

    Attributes
    ----------
    tries
        Requests in all.
    first_wait_s, longest_wait_s
        Seconds before the second try, which double from then on up to the longest; a random part
        of up to half is left out, so that many readers do not come back together.
    total_s
        Seconds after which a failure is not tried again.
    """

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    total_s: float = 180.0

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        longest: float = min(self.first_wait_s * 2 ** (failures - 1), self.longest_wait_s)
        return longest * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Traffic:
    """What reading from far has cost this process so far.

    Attributes
    ----------
    bytes
        Bytes that came.
    seconds
        Seconds during which at least one request was under way, waiting before another try
        included.
    retries
        Requests that had to be made again.
    """

    bytes: int = 0
    seconds: float = 0.0
    retries: int = 0

    def since(self, earlier: Traffic) -> Traffic:
        """What came after ``earlier``."""
        return Traffic(
            self.bytes - earlier.bytes,
            self.seconds - earlier.seconds,
            self.retries - earlier.retries,
        )

    @property
    def megabytes_per_second(self) -> float:
        """Megabytes (10^6 bytes) per second of waiting; 0 where nothing was read."""
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0


class _Meter:
    """Counts traffic; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sum = Traffic()
        self._under_way = 0
        self._since = 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the time of a request, once where several overlap."""
        with self._lock:
            self._since = time.monotonic() if self._under_way == 0 else self._since
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                if self._under_way == 0:
                    seconds = self._sum.seconds + time.monotonic() - self._since
                    self._sum = replace(self._sum, seconds=seconds)

    def add(self, count: int, retries: int = 0) -> None:
        """Count bytes and repeated requests."""
        with self._lock:
            total = self._sum.bytes + count
            self._sum = replace(self._sum, bytes=total, retries=self._sum.retries + retries)

    def read(self) -> Traffic:
        """The counts, with the time of what is under way."""
        with self._lock:
            running = time.monotonic() - self._since if self._under_way else 0.0
            return replace(self._sum, seconds=self._sum.seconds + running)


_meter = _Meter()
_patience = Patience()


def traffic() -> Traffic:
    """What reading from far has cost this process so far.

    Examples
    --------
    >>> before = traffic()                                              # doctest: +SKIP
    >>> fov.read("DAPI")                                                # doctest: +SKIP
    >>> traffic().since(before).megabytes_per_second                    # doctest: +SKIP
    12.3
    """
    return _meter.read()


async def persist(address: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Make a request, again where the failure may pass; the one place where all requests are made.

    Parameters
    ----------
    address
        What is asked for, for messages.
    attempt
        Makes the request.

    Returns
    -------
    object
        The answer; bytes are counted in `traffic`.

    Raises
    ------
    FileNotFoundError, FileExistsError
        As the request raised them.
    DataError
        Where there is no permission.
    UnreachableError
        Where the server cannot be reached.
    DownloadError
        Where it failed otherwise, after all tries.
    """
    start = time.monotonic()
    failures = 0
    with _meter.request():
        while True:
            try:
                answer = await attempt()
            except (*_PASSED_ON, IslError):
                raise
            except Exception as error:
                failures += 1
                is_late = time.monotonic() - start > _patience.total_s
                if failures >= _patience.tries or is_late or not _may_pass(error):
                    raise _explained(address, error, failures) from error
                _log.info("%s: %s; trying again (%d)", address, _reason(error), failures)
                _meter.add(0, retries=1)
                await asyncio.sleep(_patience.wait_s(failures))
            else:
                _meter.add(len(answer) if isinstance(answer, bytes) else 0)
                return answer


def _may_pass(error: Exception) -> bool:
    return (
        isinstance(error, (TimeoutError, ConnectionError))
        or _status(error) in _BUSY
        or not _BROKEN_OFF.isdisjoint(_names(error))
    )


def _explained(address: str, error: Exception, tries: int) -> IslError:
    if isinstance(error, PermissionError) or _status(error) in _FORBIDDEN:
        return DataError(
            f"{address}: no permission ({_reason(error)}); give credentials in the environment "
            "(docs/remote.md says which), or check the address"
        )
    if type(error).__name__ == "NoCredentialsError":
        return DataError(f"{address}: no credentials were found; see docs/remote.md")
    if not _UNREACHABLE.isdisjoint(_names(error)):
        return UnreachableError(
            f"{address}: the server cannot be reached ({_reason(error)}); check the address, the "
            "network and its proxy, then give the same command again"
        )
    times = f"{tries} tries" if tries > 1 else "one try"
    return DownloadError(
        f"{address}: the request failed after {times} ({_reason(error)}); give the same command "
        "again later"
    )


def _status(error: Exception) -> int:
    """Number of an HTTP status, or 0."""
    for name in ("status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return 0


def _names(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _reason(error: Exception) -> str:
    status = _status(error)
    text = str(getattr(error, "message", "") or error)
    answered = f"the server answered {status} {text}".strip() if status else ""
    return answered or f"{type(error).__name__}: {text}".rstrip(": ")
