"""Paths that are addresses: the same words as `pathlib.Path`, over the network."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from isl.core.errors import DataError

if sys.platform == "win32":
    from pathlib import WindowsPath as _LocalPath
else:
    from pathlib import PosixPath as _LocalPath

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)(.+)", re.DOTALL)


class RemotePath(_LocalPath):
    """An address such as ``s3://bucket/plate.zarr``, to be used as a path that is read.

    Names, suffixes, parents and ``/`` work as they do for every path. Whatever would ask the
    operating system for a file of that name raises, because there is none.
    """

    def __str__(self) -> str:
        """The address, with both slashes, of which a path keeps one."""
        return re.sub(r"^([^/:]+):/+", r"\1://", super().__str__().replace("\\", "/"))

    def __fspath__(self) -> str:
        """Raise: this is no file of this machine."""
        raise DataError(
            f"{self}: this step needs a file on this machine, not an address; download it first"
        )

    @property
    def is_in_host(self) -> bool:
        """Whether the address names something in a server or bucket, or one of these itself."""
        return bool(urlsplit(str(self)).netloc)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something."""
        from isl.io.remote import facts

        return self.is_in_host and facts(str(self)) is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is an object of this name."""
        from isl.io.remote import facts

        found = facts(str(self)) if self.is_in_host else None
        return found is not None and not found.is_folder

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there are objects below this name; over HTTP only zarr can be told."""
        from isl.io.remote import facts

        found = facts(str(self)) if self.is_in_host else None
        return found is not None and found.is_folder

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def resolve(self, strict: bool = False) -> Self:
        """The same address."""
        return self

    def absolute(self) -> Self:
        """The same address."""
        return self

    def iterdir(self) -> Generator[Self, None, None]:
        """Entries below this address, sorted by name."""
        from isl.io.remote import names_in

        return (self / name for name in names_in(str(self)))

    def read_bytes(self) -> bytes:
        """All bytes."""
        from isl.io.remote import read_bytes

        return read_bytes(str(self))

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open for reading; only the blocks that are read are fetched."""
        from isl.io.remote_file import RemoteFile

        if set(mode) - set("rbt"):
            raise DataError(f"{self}: an address is not written as a file")
        raw = io.BufferedReader(RemoteFile(str(self)))
        return raw if "b" in mode else io.TextIOWrapper(raw, encoding, errors, newline)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, and a number in place of the time of change that differs when the object does."""
        from isl.io.remote import facts

        found = facts(str(self))
        if found is None:
            raise FileNotFoundError(str(self))
        kind = stat.S_IFDIR if found.is_folder else stat.S_IFREG
        values = (kind | 0o444, 0, 0, 1, 0, 0, found.size, 0, 0, 0)
        return os.stat_result(values, {"st_mtime_ns": found.version})


def as_path(location: str | Path) -> Path:
    """A path, local or an address.

    Parameters
    ----------
    location
        Path, address (``http://``, ``s3://``...), or ``file://`` address of a local path. An
        address that has been through `pathlib.Path`, which drops a slash, is restored where
        there is no local file of that name.

    Returns
    -------
    Path
        A `RemotePath` for an address.

    Examples
    --------
    >>> as_path("s3://bucket/plate.zarr").name
    'plate.zarr'
    """
    if isinstance(location, RemotePath):
        return location
    text = location.as_posix() if isinstance(location, Path) else location
    match = _ADDRESS.fullmatch(text)
    if match is None or (isinstance(location, Path) and os.path.lexists(location)):
        return Path(location)
    scheme, slashes, rest = match.groups()
    if scheme.lower() == "file":
        return Path(url2pathname(urlsplit(text).path))
    if isinstance(location, str) and len(slashes) < 2:
        return Path(location)
    return RemotePath(f"{scheme.lower()}://{rest}")


def is_address(location: str | Path) -> bool:
    """Whether this is an address, and not a path of this machine.

    Examples
    --------
    >>> is_address("s3://bucket/a.zarr"), is_address("file:///home/a.zarr"), is_address("a.zarr")
    (True, False, False)
    """
    return isinstance(as_path(location), RemotePath)
