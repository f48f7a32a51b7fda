"""Where an output appears, and where it is written until then."""

from __future__ import annotations

import os
from pathlib import Path

from isl.core.errors import ConfigError
from isl.io.remote_path import RemotePath, as_path, is_address
from isl.io.staging import refuse_existing

_TIFF_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")


def output_path(path: str | Path, fields: int) -> Path:
    """Where an output appears: the path itself, or a folder for several OME-TIFF files.

    Raises
    ------
    ConfigError
        Where the ending is neither that of OME-Zarr nor of OME-TIFF.
    """
    target = as_path(path)
    name = target.name.lower()
    nameless = name in (".zarr", ".ome.zarr", *_TIFF_ENDINGS)
    if name.endswith(".zarr") and not nameless:
        return target
    if is_address(target):
        raise ConfigError(f"{target}: at an address only OME-Zarr is written; end it in .zarr")
    for ending in _TIFF_ENDINGS:
        if name.endswith(ending) and not nameless:
            return target if fields == 1 else target.with_name(target.name[: -len(ending)])
    raise ConfigError(
        f"{target}: the ending says no format to write; use .zarr for OME-Zarr or .ome.tif for "
        "OME-TIFF"
    )


def local_path(path: str | Path, fields: int) -> Path:
    """Where an output is written on this machine; other than `output_path` for an address.

    Raises
    ------
    ConfigError
        As `output_path` does.
    """
    target = output_path(path, fields)
    if isinstance(target, RemotePath):
        from isl.io.remote_output import spool_path

        return spool_path(target)
    return Path(os.path.realpath(target))


def check_output(path: str | Path, fields: int, overwrite: bool) -> None:
    """Refuse an output that exists, or could not be written, before anything is done for it.

    Raises
    ------
    ConfigError
        As `output_path` does.
    OutputError
        Where it exists and may not, or cannot, be replaced, or is at an address that is only read.
    """
    target = output_path(path, fields)
    if isinstance(target, RemotePath):
        from isl.io.remote_output import check_address

        check_address(target, overwrite)
    else:
        refuse_existing(Path(os.path.realpath(target)), overwrite)
