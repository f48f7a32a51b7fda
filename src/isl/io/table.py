"""A CSV or Parquet table of single-channel image files."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from isl.core.axes import VoxelSize
from isl.core.errors import DataError, DuplicateImageError, VoxelSizeError
from isl.io.collect import Candidate
from isl.io.damage import naming_damage
from isl.io.fov import Fov, Modality
from isl.io.plane_fields import PlaneImage, build_field
from isl.io.remote_file import local_copy
from isl.io.remote_path import as_path, is_address

if TYPE_CHECKING:
    import pandas as pd

REQUIRED_COLUMNS = ("path", "fov", "channel")
"""Columns that a table must have."""
OPTIONAL_COLUMNS = (
    *("z", "t", "well", "plate", "condition", "donor", "modality"),
    *("voxel_size", "voxel_size_z", "voxel_size_y", "voxel_size_x"),
)
"""Columns that a table may have; sizes are in micrometres, ``voxel_size`` is that of y and x."""

_FIRST_ROW = 2  # as a spreadsheet counts: row 1 is the header


@dataclass(frozen=True)
class _Row:
    where: str
    image: PlaneImage
    voxel_size: VoxelSize


def table_fields(path: Path) -> list[Candidate]:
    """Read a table of images.

    Parameters
    ----------
    path
        A .csv or .parquet file. Columns `REQUIRED_COLUMNS` and any of `OPTIONAL_COLUMNS`; image
        paths are relative to the table.

    Returns
    -------
    list of Candidate
        One for each value of ``fov``, in the order of the table.

    Raises
    ------
    DataError
        Where a column is missing or unknown, or a row makes no sense.
    """
    table = _load(path)
    _check_columns(path, list(table.columns))
    groups: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for number, values in enumerate(table.to_dict("records"), _FIRST_ROW):
        cells = {str(k): str(v).strip() for k, v in values.items()}
        where = f"{path}, row {number}"
        fov = _required(where, cells, "fov")
        groups.setdefault(fov, []).append((where, cells))
    if not groups:
        raise DataError(f"{path}: the table has no rows; list one image file a row")
    return [Candidate(n, partial(_open_field, path, n, rows)) for n, rows in groups.items()]


def _load(path: Path) -> pd.DataFrame:
    import pandas as pd

    with naming_damage(path, "a table"):
        path = local_copy(path)
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path).astype(object).where(_known, "")
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.notna()


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    allowed = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    for column in columns:
        if column not in allowed:
            near = difflib.get_close_matches(str(column), allowed, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise DataError(
                f"{path}: unknown column '{column}'; {hint}"
                f"the columns that mean something are: {', '.join(allowed)}"
            )
    for column in REQUIRED_COLUMNS:
        if column not in columns:
            raise DataError(
                f"{path}: the column '{column}' is missing, add it; found: {', '.join(columns)}"
            )


def _open_field(path: Path, name: str, cells: Sequence[tuple[str, dict[str, str]]]) -> list[Fov]:
    rows = [_row(path, where, row) for where, row in cells]
    for what, value in _SAME_IN_FIELD.items():
        _check_same(what, rows, value)
    _check_modalities(rows)
    _check_doubles(rows)
    sizes = [r.voxel_size for r in rows]
    voxel_size = VoxelSize(
        *(next((s for s in axis if s), None) for axis in zip(*sizes, strict=True))
    )
    known = any(voxel_size)
    return [build_field(name, path, [r.image for r in rows], voxel_size if known else None)]


_SAME_IN_FIELD: dict[str, Callable[[_Row], object]] = {
    "well": lambda r: r.image.well,
    "plate": lambda r: r.image.plate,
    "condition": lambda r: r.image.condition,
    "donor": lambda r: r.image.donor,
    "voxel_size_z": lambda r: r.voxel_size.z,
    "voxel_size_y": lambda r: r.voxel_size.y,
    "voxel_size_x": lambda r: r.voxel_size.x,
}


def _check_same(what: str, rows: Sequence[_Row], value: Callable[[_Row], object]) -> None:
    """Refuse two different values in one field; empty cells agree with anything."""
    given = [r for r in rows if value(r) is not None]
    for row in given[1:]:
        if value(row) != value(given[0]):
            kind = VoxelSizeError if what.startswith("voxel") else DataError
            raise kind(
                f"{row.where}: field {row.image.fov} has {what} {value(row)} here but "
                f"{value(given[0])} in {given[0].where}; make them agree"
            )


def _check_modalities(rows: Sequence[_Row]) -> None:
    for channel in {r.image.channel for r in rows}:
        of_channel = [r for r in rows if r.image.channel == channel]
        _check_same(f"modality of {channel}", of_channel, lambda r: r.image.modality)


def _check_doubles(rows: Sequence[_Row]) -> None:
    seen: dict[tuple[str, int | None, int | None], _Row] = {}
    for row in rows:
        key = (row.image.channel, row.image.z, row.image.t)
        if key in seen:
            raise DuplicateImageError(
                f"{row.where}: {row.image.path.name} claims the same channel, plane and time as "
                f"{seen[key].image.path.name} in {seen[key].where}; remove one of them"
            )
        seen[key] = row


def _row(table: Path, where: str, cells: dict[str, str]) -> _Row:
    named = _required(where, cells, "path")
    file = as_path(named) if is_address(named) else table.parent / named
    if not file.is_file():
        raise DataError(f"{where}: there is no file {file}; paths are relative to the table")
    lateral = _length(where, cells, "voxel_size")
    size_z, size_y, size_x = (_length(where, cells, f"voxel_size_{axis}") for axis in "zyx")
    for axis, size in (("y", size_y), ("x", size_x)):
        if lateral and size and lateral != size:
            raise VoxelSizeError(
                f"{where}: voxel_size {lateral} contradicts voxel_size_{axis} {size}; give one"
            )
    image = PlaneImage(
        path=file,
        fov=_required(where, cells, "fov"),
        channel=_required(where, cells, "channel"),
        z=_index(where, cells, "z"),
        t=_index(where, cells, "t"),
        well=cells.get("well") or None,
        plate=cells.get("plate") or None,
        condition=cells.get("condition") or None,
        donor=cells.get("donor") or None,
        modality=_modality(where, cells),
    )
    return _Row(where, image, VoxelSize(size_z, size_y or lateral, size_x or lateral))


def _required(where: str, cells: dict[str, str], column: str) -> str:
    if not cells[column]:
        raise DataError(f"{where}: the cell '{column}' is empty; fill it in")
    return cells[column]


def _index(where: str, cells: dict[str, str], column: str) -> int | None:
    text = cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0 or value != int(value):
        raise DataError(f"{where}: {column} is '{text}', but a whole number from 0 is needed")
    return int(value)


def _length(where: str, cells: dict[str, str], column: str) -> float | None:
    text = cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and isfinite(value)):
        raise DataError(f"{where}: {column} is '{text}', but micrometres above 0 are needed")
    return value


def _modality(where: str, cells: dict[str, str]) -> Modality | None:
    text = cells.get("modality", "")
    known = get_args(Modality)
    if text and text not in known:
        raise DataError(f"{where}: modality '{text}' is unknown; use one of {', '.join(known)}")
    return cast("Modality | None", text or None)
