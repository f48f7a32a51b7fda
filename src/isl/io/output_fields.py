"""What an output will hold, said before the first pixel is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError

OUTPUT_DTYPES = ("float32", "uint16", "uint8")


@dataclass(frozen=True)
class OutputChannel:
    """A channel of an output.

    Attributes
    ----------
    name
        Shown by viewers.
    color
        Display colour, six hexadecimal digits; None for that of the dye or target of that name.
    window
        Intensities shown as black and white; None for the range of the pixels.
    """

    name: str
    color: str | None = None
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class OutputField:
    """A field of view of an output: T, C, Z = 1, Y, X.

    Attributes
    ----------
    name
        As in the source: ``"B/03/0"`` in a plate.
    channels
        In the order in which they are written.
    size_t, size_y, size_x
        Time points, rows and columns.
    voxel_size
        Of the source, in micrometres.
    well, plate
        As in the source: ``"B/03"`` and the plate's name, or None.
    """

    name: str
    channels: tuple[OutputChannel, ...]
    size_t: int
    size_y: int
    size_x: int
    voxel_size: VoxelSize
    well: str | None = None
    plate: str | None = None

    @property
    def origin(self) -> dict[str, str]:
        """Name, well and plate as far as known, which the output keeps for its reader."""
        known = {"name": self.name, "well": self.well, "plate": self.plate}
        return {key: value for key, value in known.items() if value is not None}


def output_dtype(name: str) -> np.dtype[Any]:
    """NumPy dtype of an output.

    Raises
    ------
    ConfigError
        Where outputs cannot have it.
    """
    if name not in OUTPUT_DTYPES:
        raise ConfigError(f"dtype '{name}' cannot be written; use {', '.join(OUTPUT_DTYPES)}")
    return np.dtype(name)


def check_fields(fields: Sequence[OutputField]) -> None:
    """Refuse a plan that cannot be written.

    Raises
    ------
    ConfigError
        Where there is no field, a name is double or empty, or a field has no pixels or channels.
    """
    if not fields:
        raise ConfigError("there is no field to write; pass at least one")
    uses = Counter(field.name for field in fields)
    for field in fields:
        if not field.name.strip("/") or uses[field.name] > 1:
            raise ConfigError(
                f"field name '{field.name}' is empty or used {uses[field.name]} times; "
                "give each field a name of its own"
            )
        if not field.channels or min(field.size_t, field.size_y, field.size_x) < 1:
            raise ConfigError(
                f"field {field.name} has {len(field.channels)} channels, {field.size_t} time "
                f"points, {field.size_y} rows and {field.size_x} columns; each has to be 1 or more"
            )


def as_json(attributes: Mapping[str, object] | None) -> dict[str, Any]:
    """Attributes as JSON can hold them; other objects become text."""
    stored: dict[str, Any] = json.loads(json.dumps(dict(attributes or {}), default=str))
    return stored
