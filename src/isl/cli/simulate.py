"""``isl simulate``: a plate of simulated fields whose truth is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from isl.cli.console import progress_bar, say
from isl.cli.flags import Names, Output, Overwrite, split_names
from isl.cli.settings import read_yaml
from isl.core.errors import ConfigError

if TYPE_CHECKING:
    from isl.simulate.settings import SimulationConfig

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:[x,](\d+(?:\.\d+)?))?")


def simulate(
    *,
    output: Output,
    preset: Names | None = None,
    seed: int = 0,
    wells: int = 1,
    fovs: int = 1,
    times: int = 1,
    hours_between: float = 1.0,
    size_um: str | None = None,
    size_px: str | None = None,
    planes: int | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    config: Path | None = None,
    format_: Annotated[Literal["zarr", "png"] | None, Parameter(name="--format")] = None,
    device: str = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Simulate a plate: transmitted light, fluorescence, and the truth about both.

    Parameters
    ----------
    output
        NAME.zarr for an OME-Zarr plate; any other name for a folder of PNG files with the
        published kind of names.
    preset
        What is in the dish and how it is imaged: adherent (the default), neurons, dead, dividing,
        suspension, bacteria, mixed. Several, separated by commas, are conditions that the wells
        take in turn.
    seed
        The same seed and settings give the same files.
    wells
        Number of wells.
    fovs
        Fields of view in each well.
    times
        Time points, between which cells move, divide and die.
    hours_between
        Hours from one time point to the next.
    size_um
        Side of a field in micrometres, such as 150 or 150x100 (height x width).
    size_px
        Side of a field in pixels, such as 512 or 512x384.
    planes
        Planes of the transmitted-light stack.
    set_
        Any parameter, such as scene.neurons.density_per_mm2=400, light.name=dic or
        stains.NUCLEI.camera.bits=8; may be repeated.
    config
        YAML file with parameters; flags win over it. The written plate holds all parameters.
    format_
        Zarr or png, where the ending of the output should not decide.
    device
        Where light is computed: auto (a GPU where there is one), cpu, cuda.
    """
    from isl.simulate.plate import PlatePlan, format_of, simulate_plate
    from isl.simulate.presets import preset as preset_of

    changes: dict[str, Any] = {} if config is None else read_yaml(config)
    names = split_names(preset) or ("adherent",)
    plan = PlatePlan(
        conditions={
            name: _changed(preset_of(name), changes, size_um, size_px, planes, set_ or [])
            for name in names
        },
        wells=wells,
        fovs=fovs,
        times_h=_times(times, hours_between),
        seed=seed,
    )
    written_as = format_of(output, format_)
    with progress_bar() as progress:
        fields = simulate_plate(
            plan,
            output,
            written_as=written_as,
            overwrite=overwrite,
            device=device,
            progress=progress,
        )
    rows, columns = fields[0].config.size_yx
    count = f"{len(fields)} field{'s' * (len(fields) > 1)}"
    say(f"wrote {output}: {count} of {rows} x {columns} pixels, {times} time point(s)")
    table = "" if written_as == "zarr" else "/images.csv"
    say(f"next: isl info {output}{table}")


def _changed(
    config: SimulationConfig,
    changes: Mapping[str, Any],
    size_um: str | None,
    size_px: str | None,
    planes: int | None,
    words: list[str],
) -> SimulationConfig:
    """A preset with what the file and the flags say."""
    from isl.simulate.settings import with_changes

    if size_um is not None and size_px is not None:
        raise ConfigError("--size-um and --size-px both say how large a field is; give one")
    changed = with_changes(config, changes)
    for word in words:
        changed = with_changes(changed, _setting(word))
    if planes is not None:
        changed = with_changes(changed, {"grid": {"planes": planes}})
    if size_um is not None:
        changed = with_changes(changed, {"scene": {"size_um": _size(size_um, "--size-um")}})
    if size_px is not None:
        rows, columns = _size(size_px, "--size-px")
        changed = changed.resized((round(rows), round(columns)))
    return changed


def _setting(word: str) -> dict[str, Any]:
    """``grid.planes=5`` as nested dictionaries."""
    import yaml

    name, equals, text = word.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {word} is not of the form NAME=VALUE, such as grid.planes=5")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {word}: the value is not YAML: {error}") from error
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def _size(text: str, flag: str) -> tuple[float, float]:
    """Height and width from ``150`` or ``150x100``."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0 or float(match[2] or 1) == 0:
        raise ConfigError(f"{flag} is '{text}'; give one length or two, such as 150 or 150x100")
    return float(match[1]), float(match[2] or match[1])


def _times(count: int, hours_between: float) -> tuple[float, ...]:
    if count < 1 or (count > 1 and hours_between <= 0):
        raise ConfigError(
            f"--times {count} --hours-between {hours_between}: give at least one time point, and "
            "more than 0 hours between two"
        )
    return tuple(round(i * hours_between, 6) for i in range(count))
