"""Writing of predictions: OME-Zarr or OME-TIFF by the ending, complete or not at all."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from isl.core.errors import ConfigError, OutputError
from isl.io.output_fields import (
    OutputChannel,
    OutputField,
    as_json,
    check_fields,
    output_dtype,
)
from isl.io.output_journal import Journal
from isl.io.output_partial import PartialFolder, held_folder, partial_path
from isl.io.output_path import output_path
from isl.io.output_shards import FieldWriter, WrittenFile
from isl.io.output_unfinished import whole_fingerprint
from isl.io.remote_path import RemotePath, is_address
from isl.io.staging import explained, mark, move_in, refuse_existing, sync_disk, tidy

__all__ = [
    "FieldWriter",
    "Output",
    "OutputChannel",
    "OutputField",
    "WrittenFile",
    "prepare_to_write",
    "resumable_output",
]

logger = logging.getLogger(__name__)

GOES_ON = "what is done is kept; the same command goes on where it stopped"


class _Format(Protocol):
    """What a file format provides.

    Attributes
    ----------
    joins
        Whether the shards of a field are joined in another file, and are no part of the output.
    """

    joins: bool

    def writer(self, field: OutputField) -> FieldWriter:
        """Writer of a field."""
        ...

    def finish_field(self, field: OutputField) -> list[WrittenFile]:
        """Write what a field needs beside its shards."""
        ...

    def remove_shards(self, field: OutputField) -> None:
        """Remove the shards of a finished field, where another file holds their pixels."""
        ...

    def discard_field(self, field: OutputField) -> None:
        """Remove what was written of a field."""
        ...

    def finish(self, fields: Sequence[OutputField]) -> None:
        """Join the fields."""
        ...


class Output:
    """An output that is being written; `resumable_output` makes it.

    Its methods may be called from several threads.

    Attributes
    ----------
    path
        Where the finished output will be.
    resumed
        Number of tasks that an interrupted run had finished.
    """

    def __init__(
        self, path: Path, fields: Sequence[OutputField], journal: Journal, written_as: _Format
    ) -> None:
        self.path = path
        self.resumed = len(journal.tasks)
        self._format = written_as
        self._journal = journal
        self._fields = {field.name: field for field in fields}
        self._lock = threading.RLock()

    def block_yx(self, name: str) -> tuple[int, int]:
        """Rows and columns of the shards of a field; tasks start and end at multiples of it."""
        return self.field(name).block_yx

    def field(self, name: str) -> FieldWriter:
        """Writer of the field called ``name``, which can be sent to other processes.

        Raises
        ------
        ConfigError
            Where the output has no such field, or it was dropped.
        """
        return self._format.writer(self._known(name))

    def is_done(self, key: str) -> bool:
        """Whether a task is finished, in this run or the interrupted one."""
        return key in self._journal.tasks

    def mark_done(self, key: str, written: Sequence[WrittenFile] = ()) -> None:
        """Note that a task is finished, so that it is not done again.

        Parameters
        ----------
        key
            Name of the task.
        written
            All that the writer of its field returned for it, in whichever process; where it is
            not given, the disk is waited for, which takes far longer than checksums.
        """
        with self._lock:
            self._journal.add_task(key, written)

    def finish_field(self, name: str) -> None:
        """Write what a field needs once all of its tasks are done; nothing where that is done.

        Raises
        ------
        ConfigError
            Where the output has no such field, or it was dropped.
        OutputError
            Where a part of it was never written.
        """
        with self._lock:
            field = self._known(name)
            if name in self._journal.fields:
                return
            _require_complete(self._format.writer(field))
            files = self._format.finish_field(field)
            self._journal.add_field(name, files, joined=self._format.joins)
            if self._format.joins:
                self._format.remove_shards(field)

    def drop(self, name: str) -> None:
        """Leave a field out of the result, whatever was written of it.

        Raises
        ------
        ConfigError
            Where the output has no such field, or it was dropped before.
        """
        with self._lock:
            self._format.discard_field(self._known(name))
            del self._fields[name]

    def finish(self) -> None:
        """Finish the fields that are not yet, and write what joins them.

        Raises
        ------
        OutputError
            Where no field is left, or one of them lacks pixels.
        """
        if not self._fields:
            raise OutputError(f"{self.path}: no field is left to write; see the errors before")
        for name in self._fields:
            self.finish_field(name)
        self._format.finish(list(self._fields.values()))

    def _known(self, name: str) -> OutputField:
        if name not in self._fields:
            raise ConfigError(
                f"{self.path} has no field '{name}'; it has: {', '.join(self._fields) or 'none'}"
            )
        return self._fields[name]


def prepare_to_write() -> None:
    """Import what writing needs, which takes a quarter of a second the first time."""
    import yaozarrs.v05  # noqa: F401
    import zarr.codecs  # noqa: F401


@contextmanager
def resumable_output(
    path: str | Path,
    fields: Sequence[OutputField],
    *,
    dtype: str = "float32",
    overwrite: bool = False,
    attributes: Mapping[str, object] | None = None,
    fingerprint: Mapping[str, object] | None = None,
    restart: bool = False,
) -> Iterator[Output]:
    """Write fields of view, task by task, to a file or folder that appears once it is complete.

    What is unfinished lies in a folder ``.NAME.partial`` beside the output. It stays there where
    the run is interrupted, killed, or the disk is full after the first finished task; the next
    run with an equal fingerprint goes on with it.

    Parameters
    ----------
    path
        ``.zarr`` for OME-Zarr 0.5, as a plate where the fields have wells and a plate, an image
        where there is one field, else a group of images; ``.ome.tif``, ``.ome.tiff``, ``.tif`` or
        ``.tiff`` for OME-TIFF, where several fields go to a folder of that name without ending;
        or the address of a ``.zarr`` in an object store, to which it is sent once it is complete.
    fields
        All fields that will be written.
    dtype
        ``"float32"``, ``"uint16"`` or ``"uint8"``; for integers values are rounded and clipped.
    overwrite
        Whether an existing output may be replaced.
    attributes
        Provenance that is stored with the output.
    fingerprint
        All that the pixels depend on, so that an unfinished output of something else is told and
        discarded; None where nothing is ever kept or resumed.
    restart
        Discard an unfinished output in any case.

    Yields
    ------
    Output
        ``output.field(name).write(t, box, cyx)`` writes whole shards, here or in other processes,
        and ``output.mark_done(key, written)`` notes them; it is finished on leaving.

    Raises
    ------
    ConfigError
        Where ending, dtype or fields make no sense.
    OutputError
        Where the output exists, cannot be written or is not complete, another process writes it,
        or the disk is full.

    Examples
    --------
    >>> with resumable_output("a.zarr", fields, fingerprint=same) as output:  # doctest: +SKIP
    ...     written = output.field("B/03/0").write(0, Box(0, 512, 0, 512), cyx)
    ...     output.mark_done("B/03/0", written)
    """
    number = output_dtype(dtype)
    check_fields(fields)
    target = output_path(path, len(fields))
    target = target if is_address(target) else Path(os.path.realpath(target))
    wanted = whole_fingerprint(fingerprint or {}, fields, dtype)
    with _placed(target, overwrite) as folder:
        journal = _journal(folder, wanted, target, restart or fingerprint is None)
        written_as = _format_of(target)(folder, fields, number, as_json(attributes))
        output = Output(output_path(path, len(fields)), fields, journal, written_as)
        try:
            yield output
            output.finish()
            sync_disk(folder.path)
        except BaseException as error:
            folder.keep = bool(fingerprint is not None and journal.tasks)
            if folder.keep:
                _keep(journal, target, error)
            raise


@contextmanager
def _placed(target: Path, overwrite: bool) -> Iterator[PartialFolder]:
    """Folder for the unfinished output, whose product gets the final name at the end."""
    if isinstance(target, RemotePath):
        from isl.io.remote_output import sent_output

        with sent_output(target, overwrite) as folder:
            yield folder
        return
    with explained(target, partial_path(target)):
        tidy(target)
        refuse_existing(target, overwrite)
        with held_folder(target) as folder:
            yield folder
            refuse_existing(target, overwrite)
            mark(folder.product)
            move_in(folder.product, target)


def _journal(
    folder: PartialFolder, wanted: Mapping[str, Any], target: Path, restart: bool
) -> Journal:
    journal = Journal(folder.path)
    if journal.fingerprint == wanted and not restart:
        folder.clear_half_written()
        if journal.tasks:
            logger.info("%s: goes on after %d finished tasks", target, len(journal.tasks))
        return journal
    if journal.tasks:
        reason = _difference(journal.fingerprint or {}, wanted)
        logger.warning(
            "%s: %d tasks of an unfinished run are discarded (%s)",
            target, len(journal.tasks), reason or "as asked",
        )  # fmt: skip
    folder.clear()
    journal = Journal(folder.path)
    journal.begin(wanted)
    return journal


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
    return f"it differs in: {', '.join(names)}" if names else ""


def _keep(journal: Journal, target: Path, error: BaseException) -> None:
    """Say that the run can go on."""
    logger.info("%s: %d tasks are done; %s", target, len(journal.tasks), GOES_ON)
    error.add_note(GOES_ON)
    with suppress(OSError):
        journal.sync()


def _format_of(target: Path) -> Any:
    if target.suffix.lower() == ".zarr":
        from isl.io.output_zarr import ZarrOutput

        return ZarrOutput
    from isl.io.output_tiff import TiffOutput

    return TiffOutput


def _require_complete(writer: FieldWriter) -> None:
    folder = writer.folder / writer.place / "0"
    for name in writer.layout.file_names():
        if not (folder / name).is_file():
            raise OutputError(
                f"field {writer.field} is not complete: a part of it was never written; drop the "
                "field or write the rest"
            )
