"""Outputs that appear under their final name only when they are complete."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isl.core.errors import OutputError
from isl.core.threads import threads_ended

logger = logging.getLogger(__name__)

MARKER = ".isl-output"
"""File in every folder that `staged` made, but for ``.zarr``: the names of what was put there."""

RUN_MARKER = ".isl-run"
"""File in every folder of a training run, which holds logs and pictures but no images to read."""

_ZARR_METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_OUTPUT_ERRNOS = {
    errno.ENOSPC: "the disk is full; free some space or write to another disk",
    errno.EDQUOT: "the disk quota is used up; free some space or write to another disk",
    errno.EFBIG: "the file system allows no file of this size; write to another disk",
    errno.EACCES: "no permission to write there; choose another place",
    errno.EPERM: "no permission to write there; choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOENT: "its folder takes no files, or is gone; choose another place",
    errno.EIO: "the disk fails; write to another disk",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another place",
    errno.EEXIST: "a file is in the way; choose another name",
    errno.EISDIR: "a folder is in the way; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def staged(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Let the caller write to a temporary sibling of ``path`` and rename it when all went well.

    The caller creates the file or folder that is yielded. On any exception, an interruption
    included, it is removed again and an existing output stays as it was. Missing parent folders
    are made.

    Threads that were begun in the block may still write when it is interrupted, and would make
    anew what is removed, so they are waited for: `isl.core.threads` says for which, and what to do
    where a library writes in threads of its own. What a thread that does not end writes later is
    removed by the next run that writes ``path``, as is what a killed process has left.

    Parameters
    ----------
    path
        Final name of a file or folder.
    overwrite
        Whether an existing output may be replaced. A folder is replaced only where nothing but
        an earlier output is lost: a ``.zarr`` folder, an empty folder, or one that `staged` made
        and to which nobody has added files.

    Yields
    ------
    Path
        Temporary name in the same folder, ``.NAME.partial-HOST-PID-RANDOM``.

    Raises
    ------
    OutputError
        Before any work where the output exists or cannot be written; later where the disk is
        full.

    Examples
    --------
    >>> with staged(Path("scores.csv"), overwrite=False) as partial:    # doctest: +SKIP
    ...     partial.write_text("r 0.9")
    """
    target = Path(os.path.realpath(path))
    partial = _sibling(target, "partial")
    made: list[Path] = []
    _in_use.add(partial)
    try:
        with explained(target, partial), threads_ended():
            tidy(target)
            refuse_existing(target, overwrite)
            made += missing_parents(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.touch(exist_ok=False)
            partial.unlink()
            yield partial
            refuse_existing(target, overwrite)
            mark(partial)
            move_in(partial, target)
    except BaseException:
        remove(partial)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    finally:
        _in_use.discard(partial)


_in_use: set[Path] = set()
"""Temporary names that this process writes to; others with its number are left behind."""


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise `OutputError` where an output exists and may not be replaced."""
    if not target.exists():
        return
    if not overwrite:
        raise OutputError(f"{target} exists already; pass --overwrite or choose another name")
    if target.is_dir():
        _refuse_foreign_folder(target)
    elif not target.is_file():
        raise OutputError(f"{target} is neither a file nor a folder; choose another name")


def _refuse_foreign_folder(folder: Path) -> None:
    """Raise where overwriting the folder could lose what this package has not written."""
    found = {entry.name for entry in folder.iterdir()}
    if not found:
        return
    if folder.suffix.lower() == ".zarr" and found.intersection(_ZARR_METADATA):
        return
    if MARKER not in found:
        raise OutputError(
            f"{folder} is a folder that this program has not written, so it is not overwritten; "
            "choose another name or delete it yourself"
        )
    foreign = found - {MARKER} - set((folder / MARKER).read_text("utf-8").splitlines())
    if foreign:
        raise OutputError(
            f"{folder} holds '{min(foreign)}', which this program has not written, so it is not "
            "overwritten; move that away or choose another name"
        )


def _sibling(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{host()}-{os.getpid()}-{secrets.token_hex(4)}")


def host() -> str:
    """Name of this machine, letters and digits only."""
    return re.sub(r"[^A-Za-z0-9]", "", platform.node()) or "localhost"


def missing_parents(target: Path) -> list[Path]:
    """Folders above a file that have to be made, the innermost first."""
    return [folder for folder in target.parents if not folder.exists()]


@contextmanager
def explained(target: Path, partial: Path) -> Iterator[None]:
    """Turn errors of the operating system about the output into `OutputError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OUTPUT_ERRNOS or not _concerns(error, target, partial):
            raise
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise OutputError(
            f"{target} cannot be written: {_OUTPUT_ERRNOS[error.errno]} ({error.strerror}){notes}"
        ) from error


def _concerns(error: OSError, target: Path, partial: Path) -> bool:
    """Whether an error is about the output, not about a file that is being read."""
    if error.filename is None or error.errno == errno.ENOSPC:
        return True
    name = Path(os.path.abspath(os.fsdecode(error.filename)))
    return any(p in (name, *name.parents) for p in (target, partial)) or name in target.parents


def mark(partial: Path) -> None:
    """List in a finished folder, but for zarr, what was put there; see `MARKER`."""
    if partial.is_dir() and not any((partial / name).exists() for name in _ZARR_METADATA):
        names = sorted(entry.name for entry in partial.iterdir())
        (partial / MARKER).write_text("\n".join(names) + "\n", "utf-8")


def move_in(partial: Path, target: Path) -> None:
    """Rename the finished output; an old one goes only once the new one is in place."""
    if not target.exists() or (target.is_file() and partial.is_file()):
        partial.replace(target)
        return
    old = _sibling(target, "replaced")
    _in_use.add(old)
    try:
        target.rename(old)
        partial.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        _in_use.discard(old)
    remove(old)


def sync_disk(folder: Path) -> None:
    """Wait until all that was written to the file system of a folder is on its disk.

    One call for any number of files, each of which would else wait for the disk by itself.
    """
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if library is not None and hasattr(library, "syncfs"):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if library.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(folder))
        finally:
            os.close(descriptor)
    elif hasattr(os, "sync"):
        os.sync()


def remove(path: Path) -> None:
    """Remove a file or folder; where that fails, say so and go on."""
    try:
        with suppress(NotADirectoryError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s could not be removed: %s; delete it by hand", path, error)


def tidy(target: Path) -> None:
    """Undo what earlier runs of this machine left behind: killed ones, and threads of others."""
    if not target.parent.is_dir():
        return
    pattern = rf"\.{re.escape(target.name)}\.(partial|replaced)-{host()}-(\d+)-[0-9a-f]+"
    for entry in list(target.parent.iterdir()):
        match = re.fullmatch(pattern, entry.name)
        if match is None or entry in _in_use:
            continue
        if int(match[2]) != os.getpid() and _is_alive(int(match[2])):
            continue
        if match[1] == "replaced" and not target.exists():
            entry.rename(target)
        else:
            remove(entry)
        logger.info("%s was left behind by an interrupted run and is tidied away", entry)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
