"""The journal of a run: what is done, so that the same run can go on after it was killed."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from isl.io.output_shards import WrittenFile
from isl.io.staging import sync_disk

logger = logging.getLogger(__name__)

NAME = "journal"
_SECONDS_BETWEEN_SYNCS = 5.0
_SYNC_SHARE = 0.02


class Journal:
    """Finished tasks and fields of a run, a line each, in a file of its folder.

    A line is written once the files of its task are. Nobody waits for the disk at each line:
    all is brought to the disk together every few seconds, and a line says so. After the power
    went off, what follows the last such line is checked by its checksums.

    Parameters
    ----------
    folder
        Folder of the run.

    Attributes
    ----------
    fingerprint
        Of the run that began the folder; None where there is no journal.
    tasks
        Keys of the finished tasks.
    fields
        Names of the finished fields.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self.fingerprint: dict[str, Any] | None = None
        self.tasks: set[str] = set()
        self.fields: set[str] = set()
        self._synced_at = time.monotonic()
        self._sync_seconds = 0.0
        self._is_synced = True
        self._load()

    def begin(self, fingerprint: Mapping[str, Any]) -> None:
        """Write the first line."""
        self.fingerprint = dict(fingerprint)
        self._append({"fingerprint": self.fingerprint})

    def add_task(self, key: str, files: Sequence[WrittenFile]) -> None:
        """Note a finished task; one whose files are not known is brought to the disk first."""
        if not files:
            sync_disk(self._folder)
        of = files[0].field if files else None
        self._note({"task": key, "of": of}, files)
        self.tasks.add(key)

    def add_field(self, name: str, files: Sequence[WrittenFile], *, joined: bool) -> None:
        """Note a field that needs nothing more; ``joined`` where the files of its tasks go."""
        self._note({"field": name, "joined": joined}, files)
        self.fields.add(name)

    def sync(self) -> None:
        """Bring to the disk what is noted, so that not even a power cut loses it."""
        if self._is_synced:
            return
        started = time.monotonic()
        sync_disk(self._folder)
        self._append({"synced": True})
        self._synced_at = time.monotonic()
        self._sync_seconds = self._synced_at - started
        self._is_synced = True

    def _note(self, entry: dict[str, Any], files: Sequence[WrittenFile]) -> None:
        self._append(entry | {"files": [astuple(file)[1:] for file in files]})
        self._is_synced = False
        # A slow disk is waited for the more seldom, so that waiting takes 2 % of the time.
        pause = max(_SECONDS_BETWEEN_SYNCS, self._sync_seconds / _SYNC_SHARE)
        if time.monotonic() - self._synced_at > pause:
            self.sync()

    def _append(self, entry: Mapping[str, Any]) -> None:
        with open(self._path, "ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def _load(self) -> None:
        lines = self._lines()
        if not lines or not isinstance(lines[0].get("fingerprint"), dict):
            return
        self.fingerprint = lines[0]["fingerprint"]
        synced = max((i for i, line in enumerate(lines) if "synced" in line), default=0)
        whole = [self._is_whole(line, i > synced) for i, line in enumerate(lines)]
        tasks = {
            line["task"]: (line["of"], w)
            for line, w in zip(lines, whole, strict=True)
            if "task" in line
        }
        broken = {of for of, is_whole in tasks.values() if not is_whole}
        ended = [line for line, w in zip(lines, whole, strict=True) if "field" in line and w]
        joined = {line["field"] for line in ended if line["joined"]}
        self.fields = joined | {line["field"] for line in ended} - broken
        self.tasks = {key for key, (of, is_whole) in tasks.items() if is_whole or of in joined}
        if len(self.tasks) < len(tasks):
            lost = len(tasks) - len(self.tasks)
            logger.warning("%s: %d tasks are damaged and done again", self._folder, lost)

    def _is_whole(self, line: Mapping[str, Any], content: bool) -> bool:
        files = [WrittenFile("", *file) for file in line.get("files", ())]
        return all(file.is_intact(self._folder, content=content) for file in files)

    def _lines(self) -> list[dict[str, Any]]:
        """Lines up to the first torn one, which is cut off with all that follows."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        lines, good = parse_lines(content)
        if good < len(content):
            os.truncate(self._path, good)
        return lines


def parse_lines(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """Lines of a journal up to the first torn one, and where that starts."""
    lines: list[dict[str, Any]] = []
    good = 0
    for line in content.splitlines(keepends=True):
        entry = _parsed(line)
        if entry is None:
            break
        lines.append(entry)
        good += len(line)
    return lines, good


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
