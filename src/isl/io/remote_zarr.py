"""Metadata of many zarr groups at an address, fetched side by side instead of one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isl.io.remote import prefetch
from isl.io.remote_path import is_address

_LEVEL_0 = "0"  # what nearly all writers call the full resolution


def prefetch_groups(root: Path, places: Sequence[str]) -> None:
    """Fetch what describes the groups at some places below a root; nothing for a local root."""
    if is_address(root):
        name = "zarr.json" if (root / "zarr.json").is_file() else ".zattrs"
        prefetch([str(root / place / name) for place in places])


def prefetch_images(root: Path, places: Sequence[str]) -> None:
    """Fetch what describes images, and the first of their arrays; nothing for a local root."""
    if is_address(root):
        is_v3 = (root / "zarr.json").is_file()
        of_group, of_array = ("zarr.json", "zarr.json") if is_v3 else (".zattrs", ".zarray")
        names = (of_group, f"{_LEVEL_0}/{of_array}")
        prefetch([str(root / place / name) for place in places for name in names])
