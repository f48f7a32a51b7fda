"""What the steps of a download share: errors, counted bytes, and when to try again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from isl.core.errors import IslError, OutputError

_MANY_BYTES = 10**10

PART = ".part"
"""What the name of a file ends in while it is being fetched; the next run goes on there."""


class DownloadError(IslError, OSError):
    """A file cannot be fetched, or is not what it should be."""


class UnreachableError(DownloadError):
    """A server cannot be reached at all, so that nothing else can be fetched either."""


class CancelledError(DownloadError):
    """Fetching was given up because something else ended the run."""


@dataclass
class Meter:
    """Counts the bytes that are there, and those to come; threads share it.

    Attributes
    ----------
    done, total
        Bytes.
    received
        Bytes that came over the network.
    doing
        What happens now, in a word.
    """

    done: int = 0
    total: int = 0
    received: int = 0
    doing: str = "fetching"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, count: int) -> None:
        """Count bytes that are there, or below zero those that were lost."""
        with self._lock:
            self.done += count

    def receive(self, count: int) -> None:
        """Count bytes that came over the network."""
        with self._lock:
            self.done += count
            self.received += count

    def expect(self, total: int) -> None:
        """Learn that there are at least this many bytes in all."""
        with self._lock:
            self.total = max(self.total, total)


@dataclass(frozen=True)
class Retries:
    """How often to try again, and how long to wait before.

    Attributes
    ----------
    tries
        Failures in a row, without a byte gained, that end it.
    first_wait_s, longest_wait_s
        Seconds before the second try, which double from then on up to the longest.
    sleep
        Called with seconds.
    """

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, failures: int) -> None:
        """Wait after this many failures in a row."""
        self.sleep(min(self.first_wait_s * 2 ** (failures - 1), self.longest_wait_s))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report what fails while a file is written as `OutputError`."""
    try:
        yield
    except IslError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}; free some space or choose a "
            "folder that can be written with --output, then give the same command again"
        ) from error


def byte_unit(size: int) -> tuple[float, str]:
    """Unit in which so many bytes are told: bytes in one of it, and its name.

    Examples
    --------
    >>> byte_unit(2_000_000_000)
    (1000000.0, 'MB')
    """
    return (1e6, "MB") if size < _MANY_BYTES else (1e9, "GB")
