"""The record of what was fetched: a file of names and SHA-256 sums, as pooch keeps them."""

from __future__ import annotations

import re
import shlex
import threading
from contextlib import suppress
from pathlib import Path

import pooch

from isl.io.download_state import writing

CHECKSUMS = "checksums.txt"
"""Name of the record, next to the files that it lists."""


class Checksums:
    """SHA-256 sums of the files of one folder, recorded when they were first fetched.

    Each sum is on the disk as soon as it is recorded, so that an interruption loses none.

    Parameters
    ----------
    folder
        Folder of the files; may not exist yet.

    Examples
    --------
    >>> Checksums(Path("isl2018-sample")).sums                          # doctest: +SKIP
    {'data_sample/A4.png': '9f86d08...'}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / CHECKSUMS
        self._lock = threading.Lock()
        self.sums, self._is_torn = _read(self.path)

    def record(self, name: str) -> None:
        """Record the sum of a file as it is now.

        Parameters
        ----------
        name
            Path below the folder, with forward slashes.

        Raises
        ------
        OutputError
            Where the record cannot be written.
        """
        found = str(pooch.file_hash(str(self.folder / name)))
        line = f"{shlex.quote(name)} {found}\n"
        with self._lock, writing(self.path):
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write("\n" * self._is_torn + line)
            self._is_torn = False
            self.sums[name] = found

    def is_intact(self, name: str) -> bool:
        """Whether a file is there and has the recorded sum; False where none is recorded."""
        path = self.folder / name
        if name not in self.sums or not path.is_file():
            return False
        with writing(path):
            return bool(pooch.file_hash(str(path)) == self.sums[name])


def _read(path: Path) -> tuple[dict[str, str], bool]:
    """Sums by name, and whether the last line was cut off while it was written."""
    if not path.is_file():
        return {}, False
    with writing(path):
        text = path.read_text("utf-8")
    sums = {}
    for line in text.splitlines():
        quoted, _, found = line.rpartition(" ")
        if re.fullmatch(r"[0-9a-f]{64}", found):
            with suppress(ValueError):  # a quote that somebody opened and did not close
                sums["".join(shlex.split(quoted))] = found
    return sums, not text.endswith("\n") and bool(text)
