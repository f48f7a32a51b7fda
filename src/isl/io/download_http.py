"""Fetching over HTTP what may break off at any byte: resumption, retries, and clear errors.

Caching and checksums are pooch's; this is the downloader that it calls.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import requests

from isl.io.download_answers import (
    BrokenOffError,
    announced_size,
    blocks,
    explain_failure,
    is_no_connection,
    is_other_part,
    refuse_failure,
    refuse_short,
    total_size,
)
from isl.io.download_state import (
    CancelledError,
    DownloadError,
    Meter,
    Retries,
    UnreachableError,
    writing,
)

_log = logging.getLogger(__name__)
_MOST_CONNECTIONS = 64
_SECONDS_TO_CONNECT = 10.0
_PARTIAL, _BAD_RANGE = 206, 416


class HttpClient:
    """Connection to one server; many threads may use it.

    Parameters
    ----------
    retries
        When to give up.
    timeout_s
        Seconds without a sign from the server that count as a broken connection.

    Examples
    --------
    >>> with HttpClient() as client:                                     # doctest: +SKIP
    ...     client.fetch("https://example.org/a.png", Path("a.png.part"))
    """

    def __init__(self, retries: Retries | None = None, timeout_s: float = 30.0) -> None:
        self.cancelled = threading.Event()
        self._retries = retries or Retries(sleep=self._sleep)
        self._timeout_s = timeout_s
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter(pool_maxsize=_MOST_CONNECTIONS)
            self._session.mount(scheme, adapter)
        self._reached = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.close()

    def cancel(self) -> None:
        """Make all threads that fetch something stop soon; what they have stays in ``.part``."""
        self.cancelled.set()

    def refuse_cancelled(self) -> None:
        """Raise `CancelledError` where `cancel` was called."""
        if self.cancelled.is_set():
            raise CancelledError("given up, because something else ended the run")

    def read(self, address: str, parameters: Mapping[str, str]) -> bytes:
        """Fetch a short answer.

        Parameters
        ----------
        address
            Without a query.
        parameters
            The query.

        Raises
        ------
        DownloadError
            Where the server says no, or cannot be reached.
        """
        failures = 0
        while True:
            try:
                with self._answer(address, {}, parameters) as response:
                    refuse_failure(response)
                    body = b"".join(blocks(response))
                    refuse_short(response, len(body))
                    return body
            except BrokenOffError as error:
                failures += 1
                self._wait_or_give_up(address, failures, error)

    def fetch(
        self, address: str, part: Path, *, size: int | None = None, meter: Meter | None = None
    ) -> None:
        """Fetch a file, going on where an earlier try ended if the server can do that.

        Parameters
        ----------
        address
            Of the file.
        part
            File to write, or to go on with; complete when this returns.
        size
            Bytes of the whole file, where they are known beforehand.
        meter
            Told about every byte.

        Raises
        ------
        DownloadError
            Where the server says no, cannot be reached, or breaks off again and again.
        OutputError
            Where the file cannot be written.
        """
        meter = meter or Meter()
        meter.add(self._discard(part, meter) if size == 0 else _size(part))
        failures, best = 0, -1
        while size is None or _size(part) != size:
            try:
                self._fetch_rest(address, part, meter)
                if size is not None and _size(part) != size:
                    raise BrokenOffError(f"{self._discard(part, meter)} of {size} bytes came")
                return
            except BrokenOffError as error:
                failures = 1 if _size(part) > best else failures + 1
                best = max(best, _size(part))
                self._wait_or_give_up(address, failures, error)

    def _fetch_rest(self, address: str, part: Path, meter: Meter) -> None:
        start = _size(part)
        with self._answer(address, {"Range": f"bytes={start}-"} if start else {}) as response:
            if response.status_code == _BAD_RANGE and start == total_size(response):
                return
            if response.status_code == _BAD_RANGE or is_other_part(response, start):
                self._discard(part, meter)
                raise BrokenOffError("the server does not go on where the last try ended")
            refuse_failure(response)
            if response.status_code != _PARTIAL:
                start -= self._discard(part, meter)
            meter.expect(start + (announced_size(response) or 0))
            self._append(response, part, meter)
            refuse_short(response, _size(part) - start)

    def _append(self, response: requests.Response, part: Path, meter: Meter) -> None:
        with writing(part):
            file = part.open("ab", buffering=0)
        with file:
            for block in blocks(response):
                self.refuse_cancelled()
                with writing(part):
                    file.write(block)
                meter.receive(len(block))

    def _discard(self, part: Path, meter: Meter) -> int:
        """Empty a part; the number of bytes that it held."""
        lost = _size(part)
        meter.add(-lost)
        with writing(part):
            part.write_bytes(b"")
        return lost

    @contextmanager
    def _answer(
        self,
        address: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """Ask; failures of the network come out as ones to try again."""
        self.refuse_cancelled()
        try:
            with self._session.get(
                address,
                params=parameters,
                # Compressed bytes could not be counted, nor resumed.
                headers={"Accept-Encoding": "identity", **headers},
                stream=True,
                timeout=(min(_SECONDS_TO_CONNECT, self._timeout_s), self._timeout_s),
            ) as response:
                self._reached = True
                yield response
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects) as error:
            raise DownloadError(f"{address} cannot be fetched: {error}; check --mirror") from error
        except requests.RequestException as error:
            raise BrokenOffError(explain_failure(error)) from error

    def _sleep(self, seconds: float) -> None:
        self.cancelled.wait(seconds)

    def _wait_or_give_up(self, address: str, failures: int, error: BrokenOffError) -> None:
        cause = error.__cause__
        unreachable = is_no_connection(cause)
        # A server that never answered will hardly do so soon: whoever waits learns it quickly.
        tries = self._retries.tries if self._reached else min(2, self._retries.tries)
        if failures < (tries if unreachable else self._retries.tries):
            _log.info("%s: %s; trying again (%d)", address, error, failures)
            self._retries.wait(failures)
            return
        if unreachable:
            host = re.sub(r"^(\w+://[^/]+).*", r"\1", address)
            raise UnreachableError(
                f"{host} cannot be reached ({error}); check the network and its proxy, then give "
                "the same command again, or name another server with --mirror"
            ) from cause
        raise DownloadError(
            f"{address} could not be fetched in {failures} tries ({error}); give the same command "
            "again later: it goes on where it stopped"
        ) from cause


def _size(path: Path) -> int:
    with writing(path):
        return path.stat().st_size if path.exists() else 0
