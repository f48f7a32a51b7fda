"""What this package notes in its outputs, and reads from them again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isl.core.axes import Box
from isl.core.errors import IslError
from isl.io.fov import Fov

_TIFF_SUFFIXES = (".tif", ".tiff")
_MOST_LEVELS = 5  # plate, row, column, field: the root of a plate is three levels above an image


def read_provenance(fov: Fov) -> dict[str, Any]:
    """Read what `isl.io.output.resumable_output` stored with a field as ``attributes``.

    Parameters
    ----------
    fov
        A field of an OME-Zarr or OME-TIFF file.

    Returns
    -------
    dict
        Empty where the file was not written by this package.

    Examples
    --------
    >>> read_provenance(isl.open_fovs("predictions.zarr")[0])["statistics"]    # doctest: +SKIP
    ['median']
    """
    try:
        if fov.path.is_dir():
            return _zarr_notes(fov.path)
        return _tiff_notes(fov.path) if fov.path.suffix.lower() in _TIFF_SUFFIXES else {}
    except IslError:
        return {}


def is_prediction(path: Path) -> bool:
    """Whether an OME-Zarr folder or an OME-TIFF file is a prediction written by this package."""
    try:
        notes = _zarr_notes(path) if path.is_dir() else _tiff_notes(path)
    except IslError:
        return False
    return "model" in notes


def written_field(notes: Mapping[str, Any]) -> dict[str, str]:
    """Name, well and plate of the source, as far as an output notes them."""
    field = notes.get("field")
    entries = field.items() if isinstance(field, dict) else ()
    return {key: value for key, value in entries if isinstance(value, str)}


def written_part(fov: Fov) -> Box:
    """Part of a prediction that was predicted, as far as it notes this; else all of it.

    Examples
    --------
    >>> written_part(isl.open_fovs("predictions.zarr")[0])    # doctest: +SKIP
    Box(y0=121, y1=889, x0=121, x1=633)
    """
    notes = read_provenance(fov)
    parts = notes.get("predicted")
    name = written_field(notes).get("name", fov.name)
    part = parts.get(name) if isinstance(parts, dict) else None
    if not (isinstance(part, list) and len(part) == 4 and all(type(n) is int for n in part)):
        return fov.box
    return Box(*part).intersect(fov.box)


def _tiff_notes(path: Path) -> dict[str, Any]:
    from isl.io.tiff_metadata import own_notes
    from isl.io.tiff_pages import tiff_contents

    return own_notes(tiff_contents(path))


def _zarr_notes(folder: Path) -> dict[str, Any]:
    """Notes of the group that has them: the image, or the plate or collection above it."""
    from isl.io.omezarr_metadata import METADATA_FILES, read_attributes

    found: dict[str, Any] = {}
    for group in (folder.absolute(), *folder.absolute().parents)[:_MOST_LEVELS]:
        if not any((group / name).is_file() for name in METADATA_FILES):
            break
        own = read_attributes(group).get("isl")
        found = {**(own if isinstance(own, dict) else {}), **found}
    return found
