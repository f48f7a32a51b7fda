"""How to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.config import Border, Stitching


@dataclass(frozen=True)
class PredictSettings:
    """How to predict fields of view.

    Attributes
    ----------
    source
        Channel to predict from. By default the one that has the name of the model's source, else
        the only plausible one.
    statistics
        As for `isl.inference.model.Model.predict`.
    stitching
        How the published network of 2018 covers an image, see `Model.stitched`.
    border
        ``"reflect"``, or ``"valid"`` for NaN (0 in integer outputs) where the published program
        lost the border, see `isl.inference.tiles.Grid.of`.
    orientations
        How many orientations of an image are predicted and averaged, see `Model.oriented`.
    tile_px
        Side of a tile in pixels of the model; by default what the memory allows.
    dtype
        NumPy dtype of the output.
    resample
        Whether images whose voxel size differs from the model's by more than 2 % are resampled, and
        the predictions brought back to their pixels; else they are refused above 20 %.
    ignore_voxel_size
        Take any voxel size for that of the model.
    backend
        What runs the network, see `isl.inference.model.Model.on`; by default what the model says,
        which is ``"auto"`` for one that was loaded from a file.
    threads
        Threads of the processor; by default what the model says, else all of them.
    memory
        Memory that the process may take, ``"2GB"`` or a number of bytes; half of what is free by
        default.
    """

    source: str | None = None
    statistics: Sequence[str] = ("median",)
    stitching: Stitching | None = None
    border: Border = "reflect"
    orientations: int = 1
    tile_px: int | None = None
    dtype: str = "float32"
    resample: bool = True
    ignore_voxel_size: bool = False
    backend: str | None = None
    threads: int | None = None
    memory: str | float | None = None
