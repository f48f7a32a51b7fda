"""What lies in a watched folder, and since when each file has not changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isl.io.omezarr import is_omezarr
from isl.io.open import MAKER_SUFFIXES, walk_images
from isl.io.plane_files import PLANE_SUFFIXES

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: what tells that a file was written."""

_IMAGE_SUFFIXES = PLANE_SUFFIXES | MAKER_SUFFIXES
ZARR_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
"""Names of the files that say what a zarr group or array is."""


@dataclass(frozen=True)
class Listing:
    """A folder at one moment.

    Attributes
    ----------
    files, zarrs
        Image files and OME-Zarr folders, in the order of their names.
    stamps
        Of the files, and of all files inside the OME-Zarr folders.
    metadata
        Metadata files of each OME-Zarr folder.
    """

    files: tuple[Path, ...]
    zarrs: tuple[Path, ...]
    stamps: Mapping[Path, Stamp]
    metadata: Mapping[Path, tuple[Path, ...]]


def list_folder(folder: Path, skip: Path | None = None) -> Listing:
    """List a folder, or an OME-Zarr group, without opening anything.

    Parameters
    ----------
    folder
        Absolute path.
    skip
        A folder below it to leave out.

    Raises
    ------
    OSError
        Where a folder cannot be listed, for example because a share is gone.
    """
    files: list[Path] = []
    zarrs = [folder]
    if not is_omezarr(folder):
        files, zarrs = walk_images(folder, skip)
        # Microscopes write logs too, which say nothing about images.
        files = [file for file in files if file.suffix.lower() in _IMAGE_SUFFIXES]
    stamps = stamps_of(files)
    metadata = {}
    for zarr in zarrs:
        inside = stamps_of(_files_below(zarr))
        stamps.update(inside)
        metadata[zarr] = tuple(f for f in inside if f.name in ZARR_METADATA)
    return Listing(tuple(files), tuple(zarrs), stamps, metadata)


def stamps_of(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Stamp of each file that is there.

    Raises
    ------
    OSError
        Where a file cannot be looked at for another reason than that it is gone.
    """
    found: dict[Path, Stamp] = {}
    for file in files:
        with suppress(FileNotFoundError, NotADirectoryError):
            stat = os.stat(file)
            found[file] = (stat.st_size, stat.st_mtime_ns)
    return found


def signature(root: Path, files: Iterable[Path], stamps: Mapping[Path, Stamp]) -> str:
    """Digest of files and their stamps; another one as soon as any of them changes.

    Examples
    --------
    >>> signature(Path("/in"), [Path("/in/a.tif")], {Path("/in/a.tif"): (10, 20)})[:6]
    '4eba4b'
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        size, changed = stamps.get(file, (-1, -1))
        digest.update(f"{os.path.relpath(file, root)} {size} {changed}\n".encode())
    return digest.hexdigest()[:32]


class Steadiness:
    """Remembers since when each file has been as it is.

    Only what this process has seen counts: the clock of a file server may be wrong, and tools that
    copy files set old times.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Stamp, float]] = {}

    def update(self, stamps: Mapping[Path, Stamp], now: float) -> bool:
        """Take in a new listing.

        Parameters
        ----------
        stamps
            Of all files.
        now
            Seconds of a clock that only goes forward.

        Returns
        -------
        bool
            Whether any file is new, has changed or is gone.
        """
        news = len(stamps) != len(self._seen)
        seen: dict[Path, tuple[Stamp, float]] = {}
        for file, stamp in stamps.items():
            before = self._seen.get(file)
            same = before is not None and before[0] == stamp
            seen[file] = before if before is not None and same else (stamp, now)
            news = news or not same
        self._seen = seen
        return news

    def since(self, files: Iterable[Path], now: float) -> float:
        """When the last of these files changed; ``now`` where there is none."""
        return max((self._seen[f][1] for f in files if f in self._seen), default=now)


def _files_below(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    return [Path(at, name) for at, _, names in os.walk(folder, onerror=fail) for name in names]
