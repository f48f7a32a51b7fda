"""Plates of simulated fields: which wells, fields and times there are, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isl.core.errors import ConfigError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.simulate.acquisition import Acquisition, acquire
from isl.simulate.settings import SimulationConfig

Format = Literal["zarr", "png"]
COLUMNS, MOST_ROWS = 12, 26
"""Wells are filled row by row as on a plate of 96."""
_DECIMALS = 3


@dataclass(frozen=True)
class PlannedField:
    """One field of view of a plate.

    Attributes
    ----------
    well, number
        ``"A/1"``, and the number of the field in it from 0.
    condition, config
        What the well was treated with, and what this means.
    seed
        `isl.simulate.acquisition.acquire` makes the same field from it alone.
    """

    well: str
    number: int
    condition: str
    config: SimulationConfig
    seed: int

    @property
    def name(self) -> str:
        """``"A/1/0"``."""
        return f"{self.well}/{self.number}"


@dataclass(frozen=True)
class PlatePlan:
    """What a plate will hold.

    Attributes
    ----------
    conditions
        Settings by the name of the condition; wells take them in turn.
    wells, fovs
        Number of wells, and of fields in each.
    times_h
        Hours at which each field is imaged.
    seed
        The same plan and seed give the same files.
    """

    conditions: Mapping[str, SimulationConfig]
    wells: int = 1
    fovs: int = 1
    times_h: tuple[float, ...] = (0.0,)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises
        ------
        ConfigError
            Where there is nothing to simulate, or more wells than a plate has.
        """
        most = COLUMNS * MOST_ROWS
        if not 1 <= self.wells <= most or self.fovs < 1 or not self.conditions or self.seed < 0:
            raise ConfigError(
                f"cannot simulate {self.wells} wells of {self.fovs} fields under "
                f"{len(self.conditions)} conditions from seed {self.seed}; ask for 1 to {most} "
                "wells, at least 1 field and 1 condition, and a seed of 0 or more"
            )
        rising = all(a < b for a, b in zip(self.times_h, self.times_h[1:], strict=False))
        if not self.times_h or self.times_h[0] < 0 or not rising:
            raise ConfigError(
                f"the times are {', '.join(map(str, self.times_h)) or 'none'} h; give at least "
                "one, from 0 on and rising"
            )
        if len({config.size_yx for config in self.conditions.values()}) > 1:
            raise ConfigError(
                "the conditions have fields of different sizes; give them the same scene.size_um "
                "and grid.pixel_um, or --size-px"
            )

    def fields(self) -> list[PlannedField]:
        """All fields, well by well."""
        names = list(self.conditions)
        planned = []
        for well in range(self.wells):
            condition = names[well % len(names)]
            row, column = divmod(well, COLUMNS)
            for fov in range(self.fovs):
                words = np.random.SeedSequence([self.seed, well, fov])
                planned.append(
                    PlannedField(
                        well=f"{chr(ord('A') + row)}/{column + 1}",
                        number=fov,
                        condition=condition,
                        config=self.conditions[condition],
                        seed=int(words.generate_state(1)[0]),
                    )
                )
        return planned

    def parameters(self) -> dict[str, Any]:
        """Everything that the plate was made from, as JSON can hold it."""
        from isl import __version__

        return {
            "version": __version__,
            "seed": self.seed,
            "times_h": list(self.times_h),
            "conditions": {
                name: config.model_dump(mode="json") for name, config in self.conditions.items()
            },
        }


def simulate_plate(
    plan: PlatePlan,
    output: Path | str,
    *,
    written_as: Format | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> list[PlannedField]:
    """Simulate a plate and write it.

    Parameters
    ----------
    plan
        Wells, fields, times and their settings.
    output
        Folder to write: ``NAME.zarr`` for OME-Zarr 0.5, else PNG files with published names.
    written_as
        ``"zarr"`` or ``"png"``, whatever the ending.
    overwrite
        Replace an existing output.
    device
        Torch device for transmitted light; ``"auto"`` takes a GPU where there is one.
    progress
        Told after each part of each field.

    Returns
    -------
    list of PlannedField
        What was written.

    Raises
    ------
    ConfigError
        Where settings do not go together.
    OutputError
        Where the output exists or cannot be written.

    Examples
    --------
    >>> from isl.simulate.presets import preset
    >>> plan = PlatePlan({"untreated": preset("neurons")}, wells=2, fovs=4)
    >>> [field.name for field in plan.fields()][:2]
    ['A/1/0', 'A/1/1']
    >>> simulate_plate(plan, "plate.zarr")    # doctest: +SKIP
    """
    from isl.io.staging import staged

    output = Path(output)
    chosen = format_of(output, written_as)
    with staged(output, overwrite=overwrite) as folder:
        name = output.name.removesuffix(".zarr").removesuffix(".ome")
        if chosen == "zarr":
            from isl.simulate.plate_zarr import ZarrPlate

            writer: Any = ZarrPlate(folder, name, plan)
        else:
            from isl.simulate.plate_png import PngPlate

            writer = PngPlate(folder, plan)
        planned = plan.fields()
        for number, field in enumerate(planned):
            told = _counted(progress, number, planned, len(plan.times_h))
            writer.write(field, _acquired(field, plan.times_h, device, told))
        writer.finish()
    progress(Progress(len(planned), len(planned), "field", "done"))
    return planned


def format_of(output: Path, written_as: Format | None = None) -> Format:
    """How a plate is written: as asked for, else by the ending.

    Raises
    ------
    ConfigError
        Where the two contradict each other, or the ending is that of another format.
    """
    ending = output.suffix.lower()
    if written_as == "zarr" and ending != ".zarr":
        raise ConfigError(f"{output}: a plate in OME-Zarr ends in .zarr; name it {output}.zarr")
    if written_as == "png" and ending == ".zarr":
        raise ConfigError(f"{output} ends in .zarr but PNG was asked for; leave out one of the two")
    if ending in (".png", ".tif", ".tiff", ".csv"):
        raise ConfigError(
            f"{output} is the name of a file, but a plate is a folder; name it "
            f"{output.stem}.zarr, or {output.stem} for PNG files"
        )
    return "zarr" if ending == ".zarr" else "png"


def truth_notes(taken: Sequence[Acquisition]) -> dict[str, Any]:
    """Seed, classes and centre lines of a field as JSON can hold them, for each time."""
    return {
        "seed": taken[0].seed,
        "missing_planes": list(taken[0].missing_planes),
        "times": [
            {
                "time_h": one.time_h,
                "classes": {str(label): name for label, name in one.truth.classes.items()},
                "lines": [
                    {
                        "kind": line.kind,
                        "cell": int(line.cell),
                        "zyx_um": np.round(line.zyx_um.astype(float), _DECIMALS).tolist(),
                    }
                    for line in one.truth.lines
                ],
            }
            for one in taken
        ],
    }


def _acquired(
    field: PlannedField, times_h: Sequence[float], device: str, progress: ProgressCallback
) -> Iterator[Acquisition]:
    """The field at each time, made when it is asked for."""
    for index, time_h in enumerate(times_h):

        def tell(part: Progress, before: int = index) -> None:
            progress(Progress(before + part.done, None, part.unit, part.message))

        yield acquire(field.config, field.seed, time_h=time_h, device=device, progress=tell)


def _counted(
    progress: ProgressCallback, number: int, planned: Sequence[PlannedField], times: int
) -> ProgressCallback:
    """Progress of one field as progress of the plate."""

    def tell(part: Progress) -> None:
        done = number + part.done / times
        message = f"{planned[number].name}: {part.message}"
        progress(Progress(done, len(planned), "field", message))

    return tell
