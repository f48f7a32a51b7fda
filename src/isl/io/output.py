"""Writing of predictions: OME-Zarr or OME-TIFF by the ending, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError, OutputError
from isl.io.output_fields import (
    OUTPUT_DTYPES,
    OutputChannel,
    OutputField,
    as_json,
    check_fields,
)
from isl.io.staging import scratch_folder, staged

__all__ = ["FieldWriter", "Output", "OutputChannel", "OutputField", "create_output", "output_path"]

TIFF_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")


class FieldWriter(Protocol):
    """Receives the pixels of one field."""

    @property
    def chunk_yx(self) -> tuple[int, int]:
        """Rows and columns of a chunk; blocks start and end at multiples of it, or at the edge."""
        ...

    def write(self, t: int, box: Box, cyx: NDArray[Any]) -> None:
        """Write all channels, (C, Y, X), of a region at one time point; each pixel once."""
        ...


class _Format(Protocol):
    """What a file format provides."""

    def open_field(self, field: OutputField) -> FieldWriter:
        """Begin a field."""
        ...

    def discard_field(self, field: OutputField) -> None:
        """Remove what was written of a field."""
        ...

    def finish(self, fields: Sequence[OutputField]) -> None:
        """Check that the fields are complete and join them."""
        ...


class Output:
    """An output that is being written; `create_output` makes it.

    Attributes
    ----------
    path
        Where the finished output will be.
    """

    def __init__(self, path: Path, fields: Sequence[OutputField], written_as: _Format) -> None:
        self.path = path
        self._format = written_as
        self._fields = {field.name: field for field in fields}
        self._writers: dict[str, FieldWriter] = {}

    def field(self, name: str) -> FieldWriter:
        """Writer of the field called ``name``; the same one each time.

        Raises
        ------
        ConfigError
            Where the output has no such field, or it was dropped.
        """
        field = self._known(name)
        if name not in self._writers:
            self._writers[name] = self._format.open_field(field)
        return self._writers[name]

    def drop(self, name: str) -> None:
        """Leave a field out of the result, whatever was written of it.

        Raises
        ------
        ConfigError
            Where the output has no such field, or it was dropped before.
        """
        self._format.discard_field(self._known(name))
        self._writers.pop(name, None)
        del self._fields[name]

    def finish(self) -> None:
        """Check that every field is complete and write what joins them.

        Raises
        ------
        OutputError
            Where no field is left, or one of them lacks pixels.
        """
        if not self._fields:
            raise OutputError(f"{self.path}: no field is left to write; see the errors before")
        for name in self._fields:
            if name not in self._writers:
                raise OutputError(f"{self.path}: field {name} was not written; drop it or write it")
        self._format.finish(list(self._fields.values()))

    def _known(self, name: str) -> OutputField:
        if name not in self._fields:
            raise ConfigError(
                f"{self.path} has no field '{name}'; it has: {', '.join(self._fields) or 'none'}"
            )
        return self._fields[name]


@contextmanager
def create_output(
    path: str | Path,
    fields: Sequence[OutputField],
    *,
    dtype: str = "float32",
    overwrite: bool = False,
    attributes: Mapping[str, object] | None = None,
) -> Iterator[Output]:
    """Write fields of view, block by block, to a file or folder that appears once it is complete.

    Parameters
    ----------
    path
        ``.zarr`` for OME-Zarr 0.5, as a plate where the fields have wells and a plate, an image
        where there is one field, else a group of images; ``.ome.tif``, ``.ome.tiff``, ``.tif`` or
        ``.tiff`` for OME-TIFF, where several fields go to a folder of that name without ending.
    fields
        All fields that will be written.
    dtype
        ``"float32"``, ``"uint16"`` or ``"uint8"``; for integers values are rounded and clipped.
    overwrite
        Whether an existing output may be replaced.
    attributes
        Provenance that is stored with the output.

    Yields
    ------
    Output
        ``output.field(name).write(t, box, cyx)`` writes; ``output.drop(name)`` leaves a field out.

    Raises
    ------
    ConfigError
        Where ending, dtype or fields make no sense.
    OutputError
        Where the output exists, cannot be written or is not complete, or the disk is full.

    Examples
    --------
    >>> with create_output("predicted.zarr", fields) as output:          # doctest: +SKIP
    ...     output.field("B/03/0").write(0, Box(0, 512, 0, 512), cyx)
    """
    if dtype not in OUTPUT_DTYPES:
        raise ConfigError(f"dtype '{dtype}' cannot be written; use {', '.join(OUTPUT_DTYPES)}")
    check_fields(fields)
    target = output_path(path, len(fields))
    stored = as_json(attributes)
    number = np.dtype(dtype)
    with staged(target, overwrite=overwrite) as partial:
        if target.suffix.lower() == ".zarr":
            from isl.io.output_zarr import ZarrOutput

            output = Output(target, fields, ZarrOutput(partial, fields, number, stored))
            yield output
            output.finish()
        else:
            from isl.io.output_tiff import TiffOutput

            with scratch_folder(target) as scratch:
                tiff = TiffOutput(partial, scratch, fields, number, stored)
                output = Output(target, fields, tiff)
                yield output
                output.finish()


def output_path(path: str | Path, fields: int) -> Path:
    """Where an output appears: the path itself, or a folder for several OME-TIFF files.

    Raises
    ------
    ConfigError
        Where the ending is neither that of OME-Zarr nor of OME-TIFF.
    """
    target = Path(path)
    name = target.name.lower()
    nameless = name in (".zarr", ".ome.zarr", *TIFF_ENDINGS)
    if name.endswith(".zarr") and not nameless:
        return target
    for ending in TIFF_ENDINGS:
        if name.endswith(ending) and not nameless:
            return target if fields == 1 else target.with_name(target.name[: -len(ending)])
    raise ConfigError(
        f"{target}: the ending says no format to write; use .zarr for OME-Zarr or .ome.tif for "
        "OME-TIFF"
    )
