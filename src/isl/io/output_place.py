"""The disk on which an output will lie, looked at before anything is written."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where an output will be written.

    Attributes
    ----------
    folder
        The innermost folder that exists; those below are made.
    is_writable
        Whether files can be made in it.
    free_bytes
        What is free on its disk.
    """

    folder: Path
    is_writable: bool
    free_bytes: int

    @classmethod
    def of(cls, target: Path) -> Place:
        """Place of an output on this machine, given as an absolute path."""
        folder = next(parent for parent in target.parents if parent.exists())
        is_writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        return cls(folder, is_writable, shutil.disk_usage(folder).free)
