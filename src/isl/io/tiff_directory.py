"""Check that a TIFF file holds everything its directories point to.

tifffile reads what is left of a truncated file without an error: planes and names would go missing
in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isl.core.errors import DamagedFileError

_BYTES_BY_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES_BY_TYPE |= {16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class _Form:
    """Layout of directories: classic TIFF or BigTIFF, in either byte order."""

    first: int  # position of the offset of the first directory
    count: struct.Struct  # number of tags
    tag: struct.Struct  # code, type, number of values
    offset: struct.Struct


_CLASSIC, _BIG = 42, 43


def check_directories(path: Path) -> None:
    """Follow the chain of directories to its end.

    Parameters
    ----------
    path
        A TIFF file.

    Raises
    ------
    DamagedFileError
        Where a directory, or a value that one points to, lies beyond the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for end in _ends(file, _form(path, file.read(4))):
            if end > size:
                raise DamagedFileError(
                    f"{path}: truncated: its directory points to byte {end} of {size}; "
                    "copy it again from its source or leave it out"
                )


def _form(path: Path, head: bytes) -> _Form:
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) == 4 else 0
    if version == _CLASSIC:
        return _Form(4, *(struct.Struct(order + f) for f in ("H", "HHI", "I")))
    if version == _BIG:
        return _Form(8, *(struct.Struct(order + f) for f in ("Q", "HHQ", "Q")))
    raise DamagedFileError(
        f"{path}: not a TIFF file, or damaged at its beginning; "
        "copy it again from its source or leave it out"
    )


def _ends(file: BinaryIO, form: _Form) -> Iterator[int]:
    """Position after everything that the directories point to; the chain may be a loop."""
    seen: set[int] = set()
    yield form.first + form.offset.size
    directory = _read(file, form.first, form.offset)[0]
    while directory and directory not in seen:
        seen.add(directory)
        yield directory + form.count.size
        tags = _read(file, directory, form.count)[0]
        entry = form.tag.size + form.offset.size
        first = directory + form.count.size
        following = first + tags * entry
        yield following + form.offset.size
        file.seek(first)
        block = file.read(following - first + form.offset.size)
        for position in range(0, tags * entry, entry):
            _, kind, number = form.tag.unpack_from(block, position)
            length = _BYTES_BY_TYPE.get(kind, 0) * number
            if length > form.offset.size:
                yield form.offset.unpack_from(block, position + form.tag.size)[0] + length
        directory = form.offset.unpack_from(block, tags * entry)[0]


def _read(file: BinaryIO, position: int, form: struct.Struct) -> tuple[int, ...]:
    file.seek(position)
    return form.unpack(file.read(form.size))
