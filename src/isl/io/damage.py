"""Turn the many errors of decoders into one that names the file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isl.core.errors import DamagedFileError, DataError, IslError, MissingExtraError

_REASON_CHARACTERS = 120


@contextmanager
def naming_damage(path: Path, what: str) -> Iterator[None]:
    """Context in which any failure is reported as damage to a file.

    Parameters
    ----------
    path
        The file that is read.
    what
        What it should be, for the message: ``"a PNG image"``.

    Raises
    ------
    DataError
        Where the file does not exist or may not be read.
    DamagedFileError
        Where anything else fails: decoders raise dozens of types on a truncated file.
    """
    try:
        yield
    except (IslError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; check the path") from error
    except PermissionError as error:
        raise DataError(
            f"{path}: no permission to read this file; change its permissions or copy it"
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: reading {what} needs a missing package: {error}"
        ) from error
    except Exception as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", _REASON_CHARACTERS)
        raise DamagedFileError(
            f"{path}: cannot be read as {what}: it is truncated, damaged or of another format "
            f"({reason}); copy it again from its source or leave it out"
        ) from error
