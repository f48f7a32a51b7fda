"""Settings of a whole simulation: scene, microscopes, cameras, stage, pixels and planes."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from isl.core.errors import ConfigError
from isl.core.settings import Config, NonNegative, Positive
from isl.simulate.imaging.camera import Camera
from isl.simulate.imaging.microscope import Microscope, WideField
from isl.simulate.imaging.stage import Stage
from isl.simulate.optics.light import BrightField, Dic, PhaseContrast
from isl.simulate.scenes.config import SceneConfig

Length = Annotated[float, Field(gt=0)]
SOURCE_NAMES = {
    "bright-field": "BRIGHTFIELD",
    "phase-contrast": "PHASE_CONTRAST",
    "dic": "DIC",
}
"""Name of the transmitted-light channel by kind of microscope."""


_KINDS = ("name", "kind")
"""Parameters that choose among microscopes."""


class Grid(Config):
    """Pixels and planes."""

    pixel_um: Length = 0.5
    """Side of a pixel in the object."""
    planes: Positive = 13
    """Planes of the transmitted-light stack."""
    plane_um: Length = 1.5
    """Distance of the planes."""
    focus_um: float = 4.0
    """Height of the middle plane above the glass."""
    slice_um: Length = 1.0
    """Thickness of the slices that light is sent through."""
    oversampling: Annotated[int, Field(ge=1, le=8)] = 1
    """Points of the optics per side of a pixel; a pixel is their mean."""
    margin_um: NonNegative = 6.0
    """What is simulated around the field and cut off: the optics' edges are periodic."""

    @property
    def focus_heights_um(self) -> tuple[float, ...]:
        """Height of each plane above the glass."""
        middle = (self.planes - 1) / 2
        return tuple(self.focus_um + self.plane_um * (i - middle) for i in range(self.planes))


class Stain(Config):
    """One fluorescence channel."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    """Name of the channel."""
    dyes: dict[str, NonNegative]
    """What it stains (NUCLEI, CYTOPLASM, MEMBRANE, DENDRITES, AXONS, LIPID, DEAD), and how
    strongly; what a scene does not have stays dark."""
    microscope: Microscope = WideField()
    """How it is imaged."""
    projection: Literal["max", "none"] = "max"
    """Whether one image is made of the planes, the brightest value of each pixel, or all stay."""
    background: NonNegative = 0.05
    """Even light of the medium and of other fluorescence, in the unit of the image: concentration
    times thickness in micrometres."""
    camera: Camera = Camera(photons_per_unit=200.0)
    """What records it."""


class SimulationConfig(Config):
    """Everything that decides what a simulated field looks like."""

    scene: SceneConfig
    """What is in the dish, and the size of the field."""
    light: Annotated[BrightField | PhaseContrast | Dic, Field(discriminator="name")] = BrightField()
    """The transmitted-light microscope."""
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")] | None = None
    """Name of the transmitted-light channel; that of the microscope by default."""
    camera: Camera = Camera(photons_per_unit=6000.0)
    """What records transmitted light; the empty field has an intensity of 1."""
    stains: tuple[Stain, ...] = ()
    """Fluorescence channels."""
    bleed_through: dict[str, dict[str, NonNegative]] = Field(default_factory=dict)
    """Share of one channel's light that is seen in another: {"SEEN_IN": {"OF": 0.1}}."""
    stage: Stage = Stage()
    """Imperfections of stage, illumination and acquisition."""
    grid: Grid = Grid()
    """Pixels and planes."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [stain.name for stain in self.stains]
        if len({*names, self.source_name}) <= len(names):
            raise ValueError(
                f"the channels are {self.source_name}, {', '.join(names)}; "
                "give each stain a name of its own"
            )
        mixed = {*self.bleed_through, *(n for row in self.bleed_through.values() for n in row)}
        for what, used in (
            ("bleed_through", mixed),
            ("stage.missing_channels", set(self.stage.missing_channels)),
        ):
            if used - set(names):
                raise ValueError(
                    f"{what} names {', '.join(sorted(used - set(names)))}, but the stains are "
                    f"{', '.join(names) or 'none'}"
                )
        return self

    @property
    def source_name(self) -> str:
        """Name of the transmitted-light channel."""
        return self.source or SOURCE_NAMES[self.light.name]

    @property
    def size_yx(self) -> tuple[int, int]:
        """Rows and columns of a field."""
        rows, columns = (max(1, round(s / self.grid.pixel_um)) for s in self.scene.size_um)
        return rows, columns

    def resized(self, size_yx: tuple[int, int]) -> SimulationConfig:
        """The same, with fields of so many rows and columns."""
        size_um = [n * self.grid.pixel_um for n in size_yx]
        return with_changes(self, {"scene": {"size_um": size_um}})


def with_changes(config: SimulationConfig, changes: Mapping[str, Any]) -> SimulationConfig:
    """Change some parameters.

    Parameters
    ----------
    config
        What to start from.
    changes
        Nested as the parameters are: ``{"grid": {"planes": 5}}``. Dictionaries are merged, what
        else there is replaces the old. Stains are found by their name, and None removes one. A
        kind of cells that was absent begins with its defaults, and so does a microscope of another
        ``light.name`` or ``microscope.kind``.

    Returns
    -------
    SimulationConfig
        Checked.

    Raises
    ------
    ConfigError
        Where a parameter is unknown or makes no sense; the message names it.

    Examples
    --------
    >>> from isl.simulate.presets import preset
    >>> changed = with_changes(preset("adherent"), {"stains": {"NUCLEI": {"background": 0.5}}})
    >>> changed.stains[0].background
    0.5
    """
    merged = _merged(config.model_dump(mode="json"), changes)
    try:
        return SimulationConfig.model_validate(merged)
    except ValidationError as error:
        lines = [_explained(dict(problem), merged) for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries in one, where those of ``above`` win."""
    if any(above.get(word, below.get(word)) != below.get(word) for word in _KINDS):
        return dict(above)
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if isinstance(value, Mapping) and name == "stains" and isinstance(old, list):
            merged[name] = _merged_stains(old, value)
        elif isinstance(value, Mapping) and isinstance(old, Mapping) and name != "bleed_through":
            merged[name] = _merged(old, value)
        else:
            merged[name] = value
    return merged


def _merged_stains(stains: list[Any], changes: Mapping[str, Any]) -> list[Any]:
    """Stains changed, added and removed by name."""
    by_name = {stain["name"]: stain for stain in stains}
    for name, change in changes.items():
        if isinstance(change, Mapping):
            by_name[name] = {"name": name, **_merged(by_name.get(name, {}), change)}
        else:
            by_name[name] = change
    return [stain for stain in by_name.values() if stain is not None]


def _explained(problem: Mapping[str, Any], given: Any) -> str:
    """One message that names the parameter, and others where there is none of this name."""
    names: list[str] = []
    siblings: Any = given
    for part in problem["loc"]:
        siblings = given if isinstance(given, Mapping) else siblings
        if isinstance(given, list) and isinstance(part, int):
            given = given[part]
            names.append(str(given.get("name", part)) if isinstance(given, Mapping) else str(part))
        elif not (isinstance(given, Mapping) and part in [given.get(word) for word in _KINDS]):
            names.append(str(part))
            given = given.get(part) if isinstance(given, Mapping) else None
    where = ".".join(names) or "the parameters"
    if problem["type"] == "extra_forbidden":
        known = [str(name) for name in siblings if name != names[-1]]
        near = get_close_matches(names[-1], known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        return f"{where} is no parameter; {hint}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    shown = f", not {problem['input']!r}" if not isinstance(problem["input"], dict) else ""
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}"
