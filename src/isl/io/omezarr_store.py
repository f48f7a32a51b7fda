"""Access to zarr on disk that does not take an emptied file for one that was never written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from zarr.storage import LocalStore

from isl.core.errors import DamagedFileError


class CheckedStore(LocalStore):  # type: ignore[misc]
    """Store that refuses files without content.

    A full disk or a broken copy leaves such files; zarr reads an empty shard as if it were
    absent, which would silently turn the image black.
    """

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file or a part of it; None where there is none."""
        value = await super().get(key, prototype, byte_range)
        if value is not None and len(value) == 0:
            raise DamagedFileError(
                f"{self.root / key} is empty; copy it again or leave this field out"
            )
        return value


def open_checked_array(folder: Path) -> Any:
    """Open a zarr array to be read, with `CheckedStore` below it."""
    return zarr.open_array(store=CheckedStore(folder, read_only=True), mode="r")
