"""A simulated plate as OME-Zarr 0.5, with labels below each image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isl.io.display import display_window
from isl.io.omezarr_groups import write_plate_groups
from isl.io.output_fields import OutputChannel, OutputField
from isl.io.output_stack import StackWriter
from isl.simulate.acquisition import Acquisition
from isl.simulate.plate import PlannedField, PlatePlan, truth_notes


class ZarrPlate:
    """Writes a plate field by field.

    Parameters
    ----------
    folder
        Folder to make.
    name
        Of the plate.
    plan
        What it will hold.
    """

    def __init__(self, folder: Path, name: str, plan: PlatePlan) -> None:
        self._folder, self._name, self._plan = folder, name, plan
        self._images: dict[str, list[str]] = {}

    def write(self, field: PlannedField, times: Iterable[Acquisition]) -> None:
        """Write a field, each time as it comes."""
        writer: StackWriter | None = None
        notes: list[Acquisition] = []
        classes: dict[int, str] = {}
        for t, taken in enumerate(times):
            if writer is None:
                writer = self._begin(field, taken)
            for index, pixels in enumerate(taken.channels.values()):
                writer.write(t, index, pixels)
            writer.write_labels(t, "cells", taken.truth.cells)
            writer.write_labels(t, "nuclei", taken.truth.nuclei)
            classes |= taken.truth.classes
            notes.append(_without_pixels(taken))
        if writer is not None:
            known = [{"label-value": k, "class": name} for k, name in sorted(classes.items())]
            writer.finish(
                {"simulation": truth_notes(notes)},
                {"cells": known, "nuclei": known},
                field.condition,
            )
            self._images.setdefault(field.well, []).append(str(field.number))

    def finish(self) -> None:
        """Write the metadata that joins the fields, with all parameters."""
        own = {"isl": {"simulation": self._plan.parameters()}}
        write_plate_groups(self._folder, self._name, self._images, own)

    def _begin(self, field: PlannedField, first: Acquisition) -> StackWriter:
        size_y, size_x = first.source.shape[1:]
        described = OutputField(
            name=field.name,
            channels=tuple(_channel(name, pixels) for name, pixels in first.channels.items()),
            size_t=len(self._plan.times_h),
            size_y=size_y,
            size_x=size_x,
            voxel_size=first.voxel_size,
            well=field.well,
            plate=self._name,
        )
        dtype = np.result_type(*(pixels.dtype for pixels in first.channels.values()))
        return StackWriter(self._folder / field.name, described, len(first.source), dtype)


def _channel(name: str, pixels: Any) -> OutputChannel:
    """A channel that is shown from its darkest to its brightest structures."""
    start, end, _, _ = display_window(pixels)
    return OutputChannel(name, window=(start, end))


def _without_pixels(taken: Acquisition) -> Acquisition:
    """What stays of an acquisition in memory once it is written."""
    nothing = np.zeros((0, 0), np.int32)
    truth = replace(taken.truth, cells=nothing, nuclei=nothing)
    return replace(taken, source=taken.source[:0], targets={}, truth=truth)
