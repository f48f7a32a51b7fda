"""The folder in which an unfinished output waits for its run to go on, and its lock."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from isl.core.errors import OutputError
from isl.core.threads import threads_ended
from isl.io.staging import host, missing_parents, remove

LOCK, OWNER = "lock", "owner.json"
PRODUCT = "output"
"""Folder that holds what is renamed to the final name."""

_SECONDS_TO_READ_OWNER = 2.0


class PartialFolder:
    """Folder ``.NAME.partial`` beside an output, held by one process.

    Attributes
    ----------
    path
        The folder.
    product
        What becomes the output.
    keep
        Whether the folder stays when the run ends without having moved the product away.
    """

    def __init__(self, path: Path, product: Path) -> None:
        self.path, self.product, self.keep = path, product, False

    def clear(self) -> None:
        """Remove all that an earlier run has left, but for the lock."""
        for entry in list(self.path.iterdir()):
            if entry.name not in (LOCK, OWNER):
                remove(entry)
        self.product.parent.mkdir()

    def clear_half_written(self) -> None:
        """Remove files that a killed process had not written to their end."""
        for entry in list(self.path.glob("writing-*")):
            entry.unlink(missing_ok=True)


def partial_path(target: Path) -> Path:
    """Where an output waits until it is complete."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def held_folder(target: Path) -> Iterator[PartialFolder]:
    """Hold the folder for an unfinished output, which is made where there is none.

    The lock belongs to the process: the operating system releases it however the process ends.
    Network file systems have such locks where their server and mount options provide them (NFS
    from version 4, Lustre with ``flock``); where they do not, two runs on different machines are
    not told from each other, or a lock of a run that was killed has to be removed by hand.

    Parameters
    ----------
    target
        The output.

    Yields
    ------
    PartialFolder
        Removed at the end unless its ``keep`` is set.

    Raises
    ------
    OutputError
        Where another process holds it.
    """
    path = partial_path(target)
    made = missing_parents(target)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(_refusal(target, path)) from None
    folder = PartialFolder(path, path / PRODUCT / target.name)
    try:
        with threads_ended():
            _write_owner(path)
            yield folder
    except BaseException:
        if folder.keep:
            lock.release()
        else:
            _remove(path, lock)
            for parent in made:
                with suppress(OSError):
                    parent.rmdir()
        raise
    _remove(path, lock)


def _write_owner(path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "host": host(), "since": now}
    (path / OWNER).write_text(json.dumps(owner), "utf-8")


def _refusal(target: Path, path: Path) -> str:
    who = "another process"
    give_up = time.monotonic() + _SECONDS_TO_READ_OWNER
    while time.monotonic() < give_up:
        try:
            owner = json.loads((path / OWNER).read_text("utf-8"))
        except (OSError, ValueError):  # it has just taken the lock, and has not written yet
            time.sleep(0.05)
            continue
        who = f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
        break
    return (
        f"{target} is being written by {who}; wait for it, stop it, or choose another name for "
        "the output"
    )


def _remove(path: Path, lock: FileLock) -> None:
    """Remove the folder; the lock goes last, so that nobody takes a folder that vanishes."""
    for entry in list(path.iterdir()):
        if entry.name != LOCK:
            remove(entry)
    if os.name != "posix":  # where an open file cannot be removed
        lock.release()
    with suppress(OSError):
        (path / LOCK).unlink()
        path.rmdir()
    lock.release()
