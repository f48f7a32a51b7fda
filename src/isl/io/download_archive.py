"""Unpacking a zip archive file by file, so that an interruption leaves no half-written image."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from isl.core.errors import DamagedFileError, DataError
from isl.io.download_checksums import Checksums
from isl.io.download_listing import is_inside
from isl.io.download_state import PART, writing

_BLOCK_BYTES = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack(archive: Path, checksums: Checksums, check: Callable[[], None]) -> None:
    """Unpack an archive into a folder and record the sums of its files.

    Files that are there with the recorded sum stay untouched. What macOS adds to archives for
    itself is left out.

    Parameters
    ----------
    archive
        Zip file. It is removed where it is damaged, so that the next run fetches it again.
    checksums
        Of the folder that the files go to.
    check
        Called between files; may raise to end it.

    Raises
    ------
    DataError
        Where a name in the archive leads out of the folder; nothing is unpacked then.
    DamagedFileError
        Where the archive is damaged.
    OutputError
        Where a file cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.infolist() if not m.is_dir() and not _is_clutter(m)]
            _refuse_unsafe(archive, members)
            for member in members:
                check()
                if not checksums.is_intact(member.filename):
                    _unpack_one(opened, member, checksums)
    except _DAMAGE as error:
        archive.unlink(missing_ok=True)
        raise DamagedFileError(
            f"{archive}: the archive is damaged ({error}), and was removed; give the same command "
            "again to fetch it anew"
        ) from error


def _unpack_one(opened: zipfile.ZipFile, member: zipfile.ZipInfo, checksums: Checksums) -> None:
    path = checksums.folder / member.filename
    part = path.with_name(path.name + PART)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, _BLOCK_BYTES)
        part.replace(path)
    checksums.record(member.filename)


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        if not is_inside(member.filename):
            raise DataError(
                f"{archive}: it holds '{member.filename}', which would be written outside of the "
                "folder; nothing was unpacked, do not trust this archive"
            )
