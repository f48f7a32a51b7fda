"""What a watcher has done, kept beside its outputs so that it survives a restart."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isl.core.errors import ConfigError, IslError, OutputError
from isl.inference.watch_fields import WatchedField
from isl.io.open import open_fovs
from isl.io.output_partial import held_folder
from isl.io.provenance import is_prediction, read_provenance
from isl.io.staging import staged

logger = logging.getLogger(__name__)

STATE_NAME, LOCK_NAME = ".isl-watch.json", ".isl-watch.lock"
_VERSION = 1
_LONGEST_NAME = 120
_ARRAY_METADATA = ("zarr.json", ".zarray")


@dataclass(frozen=True)
class _Entry:
    """An output that is finished: its field, and the files that it was predicted from."""

    field: str
    signature: str
    sample: str


class WatchState:
    """Which fields have their prediction, and under which name.

    Parameters
    ----------
    output
        Folder of the predictions.
    root
        Watched folder.
    ending
        ``.zarr`` or ``.ome.tif``.
    asked
        What the predictions depend on beside the images; kept as JSON.
    made
        What a prediction notes of its model, to know one that the state does not name.

    Raises
    ------
    ConfigError
        Where the folder holds predictions that were asked for differently.
    """

    def __init__(
        self,
        output: Path,
        root: Path,
        ending: str,
        asked: Mapping[str, Any],
        made: Mapping[str, Any],
    ) -> None:
        self._path = output / STATE_NAME
        self._output, self._root, self._ending = output, root, ending
        self._asked = json.loads(json.dumps(asked))
        self._made = made
        self._begun: dict[str, str] = {}
        self._entries = self._read()
        self._done = {entry.signature for entry in self._entries.values()}

    def is_done(self, field: WatchedField) -> bool:
        """Whether the field was predicted from exactly these files."""
        return field.signature in self._done

    def output_of(self, field: WatchedField) -> tuple[Path, bool]:
        """Where the prediction of a field goes, and whether an earlier one is replaced."""
        known = self._known(field)
        if known is not None:
            return self._output / known, True
        name, number = safe_name(field.name), 1
        while self._is_taken(f"{name}{self._ending}", field):
            number += 1
            name = f"{safe_name(field.name)}-{number}"
        path = self._output / f"{name}{self._ending}"
        return path, path.exists()

    def adopt(self, field: WatchedField, path: Path) -> bool:
        """Take an output for that of a field, where only its entry was lost, and note it.

        It must be of the same field and model, and younger than all files of the field.
        """
        if self._known(field) is not None:
            return False
        changed = max((changed for _, changed in (field.stamps[f] for f in field.files)), default=0)
        if path.stat().st_mtime_ns <= changed:
            return False
        notes = read_provenance(open_fovs(path)[0])
        if any(notes.get(name) != self._made[name] for name in ("model", "statistics")):
            return False
        with held_folder(path):
            pass  # what a killed run may have left beside its output is cleared away
        self.record(field, path)
        return True

    def begin(self, field: WatchedField, path: Path) -> bool:
        """Note that a field is begun, whatever comes of it.

        Returns
        -------
        bool
            Whether an earlier attempt at this output began with other pixels, so that nothing of
            it can be used.
        """
        before = self._begun.get(path.name)
        if before != field.signature:
            self._begun[path.name] = field.signature
            self._write()
        return before is not None and before != field.signature

    def ended(self, path: Path) -> None:
        """Forget that an output was begun, as it is complete."""
        self._begun.pop(path.name, None)

    def record(self, field: WatchedField, path: Path) -> None:
        """Note that a field is done.

        Raises
        ------
        OutputError
            Where this cannot be written.
        """
        self._entries[path.name] = _Entry(field.name, field.signature, self._samples(field)[0])
        self._done = {entry.signature for entry in self._entries.values()}
        self._write()

    def _write(self) -> None:
        entries = {name: asdict(entry) for name, entry in self._entries.items()}
        stored = {"version": _VERSION, "asked": self._asked, "done": entries, "begun": self._begun}
        with staged(self._path, overwrite=True) as partial:
            partial.write_text(json.dumps(stored, indent=0), "utf-8")

    def _known(self, field: WatchedField) -> str | None:
        """Output of an earlier state of the field: it is told by its files, names may change."""
        samples = set(self._samples(field))
        for name, entry in self._entries.items():
            file = self._root / entry.sample.rpartition("#")[0]
            if entry.sample in samples or (entry.field == field.name and not file.exists()):
                return name
        return None

    def _samples(self, field: WatchedField) -> list[str]:
        ordered = sorted(field.files, key=lambda file: (file.name not in _ARRAY_METADATA, file))
        return [f"{file.relative_to(self._root).as_posix()}#{field.part}" for file in ordered]

    def _is_taken(self, name: str, field: WatchedField) -> bool:
        """Whether another field, or something else, has this name."""
        if name.lower() in {known.lower() for known in self._entries}:
            return True
        path = self._output / name
        return path.exists() and written_field_name(path) != field.name

    def _read(self) -> dict[str, _Entry]:
        """Entries of the state file whose outputs are still there."""
        if not self._path.is_file():
            return {}
        try:
            stored = json.loads(self._path.read_text("utf-8"))
            entries = {name: _Entry(**entry) for name, entry in stored["done"].items()}
            asked, self._begun = stored["asked"], dict(stored["begun"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning(
                "%s is damaged (%s); fields are predicted again where needed", self._path, error
            )
            return {}
        if asked != self._asked:
            raise ConfigError(
                f"{self._output} holds predictions asked for differently: "
                f"{_difference(asked, self._asked)}; choose another output folder, or watch with "
                "the same model and settings"
            )
        return {name: entry for name, entry in entries.items() if (self._output / name).exists()}


@contextmanager
def only_watcher(output: Path) -> Iterator[None]:
    """Make the folder and keep other watchers out of it; a killed one leaves it free.

    Raises
    ------
    OutputError
        Where another process watches for it, or it cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output / LOCK_NAME)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"{output}: another 'isl watch' writes there; stop it or choose another output folder"
        ) from error
    except OSError as error:
        raise OutputError(
            f"{output} cannot be used for predictions ({error.strerror or error}); choose another "
            "output folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def safe_name(field: str) -> str:
    """Name of a field as a name of a file on any system.

    Examples
    --------
    >>> safe_name("B/03/0")
    'B_03_0'
    """
    return re.sub(r"[^\w.-]+", "_", field).strip("._")[:_LONGEST_NAME] or "field"


def written_field_name(path: Path) -> str | None:
    """Name of the field that a prediction is of; None where it is not a prediction."""
    try:
        return open_fovs(path)[0].name if is_prediction(path) else None
    except (IslError, OSError):
        return None


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    before = before if isinstance(before, dict) else {}
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            if name == "model":
                return "another model"
            return f"{name} was {before.get(name)}, and is {now.get(name)} now"
    return "other settings"
