"""A simulated plate as PNG files with the published kind of names.

Such a name tells well, plane, channel and time (in its date), but no voxel size: a table beside the
images, ``images.csv``, tells that too.  Where wells have several fields, each number of a field has
a folder of its own.  Labels are in ``labels/``, parameters and truth in ``truth.json``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.io.published_names import PublishedName, published_file_name
from isl.io.table import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from isl.simulate.acquisition import MODALITIES, Acquisition
from isl.simulate.plate import PlannedField, PlatePlan, truth_notes

TABLE, LABELS, TRUTH = "images.csv", "labels", "truth.json"
_COLUMNS = (*REQUIRED_COLUMNS, *(c for c in OPTIONAL_COLUMNS if c != "voxel_size"))
_COMPRESSION = 6
_MINUTES_A_DAY = 1440


class PngPlate:
    """Writes a plate field by field.

    Parameters
    ----------
    folder
        Folder to make.
    plan
        What it will hold.
    """

    def __init__(self, folder: Path, plan: PlatePlan) -> None:
        self._folder, self._plan = folder, plan
        self._rows: list[dict[str, object]] = []
        self._notes: dict[str, Any] = {}
        (folder / LABELS).mkdir(parents=True)

    def write(self, field: PlannedField, times: Iterable[Acquisition]) -> None:
        """Write the images of a field at all times."""
        taken = []
        for t, one in enumerate(times):
            taken.append(one)
            for name, pixels in one.channels.items():
                is_source = name == one.config.source_name
                for z, plane in enumerate(pixels):
                    if not (is_source and z in one.missing_planes):
                        depth = None if len(pixels) == 1 and not is_source else z
                        self._write_image(field, one, t, name, depth, plane)
        np.savez_compressed(
            self._folder / LABELS / f"{field.name.replace('/', '-')}.npz",
            cells=np.stack([one.truth.cells for one in taken]),
            nuclei=np.stack([one.truth.nuclei for one in taken]),
        )
        self._notes[field.name] = {"condition": field.condition, **truth_notes(taken)}

    def finish(self) -> None:
        """Write the table, the truth and the parameters."""
        with open(self._folder / TABLE, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, _COLUMNS)
            table.writeheader()
            table.writerows(self._rows)
        truth = {"simulation": self._plan.parameters(), "fields": self._notes}
        (self._folder / TRUTH).write_text(json.dumps(truth), "utf-8")

    def _write_image(
        self,
        field: PlannedField,
        taken: Acquisition,
        t: int,
        channel: str,
        z: int | None,
        plane: NDArray[Any],
    ) -> None:
        import imagecodecs

        minutes = round(taken.time_h * 60)
        name = PublishedName(
            lab="SIMULATED",
            condition=_word(field.condition),
            date=("2000", "1", str(1 + minutes // _MINUTES_A_DAY), str(minutes % _MINUTES_A_DAY)),
            well=field.well.replace("/", ""),
            z=z,
            channel=channel,
        )
        place = f"{field.number}/" if self._plan.fovs > 1 else ""
        path = f"{place}{published_file_name(name)}"
        (self._folder / path).parent.mkdir(exist_ok=True)
        (self._folder / path).write_bytes(imagecodecs.png_encode(plane, level=_COMPRESSION))
        is_source = channel == taken.config.source_name
        modality = MODALITIES[taken.config.light.name] if is_source else "fluorescence"
        row = {"path": path, "fov": field.name, "channel": channel, "z": "" if z is None else z}
        row |= {"t": t, "well": field.well, "condition": field.condition, "modality": modality}
        sizes = zip("zyx", taken.voxel_size, strict=True)
        self._rows.append(row | {f"voxel_size_{axis}": size for axis, size in sizes})


def _word(text: str) -> str:
    """A condition without what separates the parts of a name."""
    return "".join(c if c.isalnum() or c in "_." else "_" for c in text)
