"""Scenes: made from settings, a seed and a time; drawn on any grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ConfigError
from isl.simulate.scenes.cast import (
    ARBORS,
    BACTERIA_KINDS,
    CELL_KINDS,
    CLASSES,
    Cast,
    assemble,
    bacteria_of,
    dead_cells,
    pieces_of_debris,
)
from isl.simulate.scenes.columns import Grid
from isl.simulate.scenes.config import SceneConfig
from isl.simulate.scenes.items import Item
from isl.simulate.scenes.life import check_time
from isl.simulate.scenes.neurons import grow_arbors, lay
from isl.simulate.scenes.population import dress, members
from isl.simulate.scenes.raster import Canvas, draw
from isl.simulate.scenes.relief import Ground
from isl.simulate.volume import Line, Truth, Volume

__all__ = ["Scene", "SceneConfig", "channels_of", "make_scene"]

MARGIN_UM = 30.0
"""The surface on which things are put is known this far around the field."""
MOST_VOXELS = 2**31


@dataclass(frozen=True)
class Scene:
    """What is in the dish at one time.

    Attributes
    ----------
    config, seed, time_h
        What it was made from.
    items
        The things in it, in the order in which they take room.
    classes
        Class of each cell by its label.
    lines
        Centre lines of neurites.
    """

    config: SceneConfig
    seed: int
    time_h: float
    items: tuple[Item, ...] = field(repr=False)
    classes: Mapping[int, str] = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)

    @property
    def channels(self) -> tuple[str, ...]:
        """What fluorophores stain."""
        return channels_of(self.config)

    def rasterize(self, voxel_um: tuple[float, float, float]) -> Volume:
        """Draw the scene on a grid.

        Parameters
        ----------
        voxel_um
            Sides of a voxel along z, y and x in micrometres.

        Returns
        -------
        Volume
            As many whole voxels as come closest to the scene's extent, at least one each way.
            Each voxel holds the mean over what is in it (exactly along z, nearly sideways).

        Raises
        ------
        ConfigError
            Where the voxel makes no sense or is too small for the field.
        """
        grid, planes = _grid(self.config, voxel_um)
        canvas = Canvas.blank(grid, planes, float(voxel_um[0]), self.channels)
        draw(self.items, canvas)
        shape = (planes, *grid.shape_yx)
        labels = canvas.labels.reshape(grid.shape_yx)
        seen = {*np.unique(labels).tolist(), *(line.cell for line in self.lines)} - {0}
        truth = Truth(
            cells=labels,
            nuclei=canvas.nuclei.reshape(grid.shape_yx),
            classes={label: self.classes[label] for label in sorted(seen)},
            lines=self.lines,
        )
        return Volume(
            index=canvas.index.reshape(shape),
            fluorophores={name: _stain(s, shape) for name, s in canvas.stains.items()},
            voxel_um=(float(voxel_um[0]), float(voxel_um[1]), float(voxel_um[2])),
            medium_index=self.config.medium_index,
            truth=truth,
        )


def _stain(flat: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Concentration (Z, Y, X), at least 0."""
    return np.maximum(flat, 0.0, out=flat).reshape(shape)


def _grid(config: SceneConfig, voxel_um: tuple[float, float, float]) -> tuple[Grid, int]:
    """Pixels and number of planes of a scene."""
    voxel = np.asarray(voxel_um, dtype=np.float64)
    if voxel.shape != (3,) or not np.isfinite(voxel).all() or voxel.min() <= 0:
        raise ConfigError(
            f"voxel_um is {voxel_um} but must be three positive lengths: z, y and x in micrometres"
        )
    extent = np.array([config.height_um, *config.size_um])
    counts = np.maximum(np.round(extent / voxel), 1)
    if counts.prod() > MOST_VOXELS:
        raise ConfigError(
            f"a scene of {config.size_um[0]} x {config.size_um[1]} um with voxels of {voxel_um} um "
            f"has {counts.prod():.0f} voxels, more than {MOST_VOXELS}; use larger voxels or a "
            "smaller field"
        )
    planes, rows, cols = (int(c) for c in counts)
    return Grid((rows, cols), (float(voxel[1]), float(voxel[2]))), planes


def channels_of(config: SceneConfig) -> tuple[str, ...]:
    """Fluorophore channels of scenes of a configuration, whatever the seed.

    Examples
    --------
    >>> from isl.simulate.scenes.config import DeadConfig
    >>> channels_of(SceneConfig(dead=DeadConfig()))
    ('NUCLEI', 'CYTOPLASM', 'DEAD')
    """
    found_in: dict[str, None] = {}
    cells = [getattr(config, kind) for kind in CELL_KINDS]
    bacteria = [getattr(config, kind) for kind in BACTERIA_KINDS]
    lives = [c.life for c in (*cells, *bacteria) if c is not None]
    remains = config.dead or config.debris or any(life.death_per_h for life in lives)
    if lives or remains:
        found_in["NUCLEI"] = None
    if lives or config.dead:
        found_in["CYTOPLASM"] = None
    if lives:
        found_in["MEMBRANE"] = None
    if config.neurons:
        found_in |= {"DENDRITES": None, "AXONS": None}
    if any(c is not None and c.droplets for c in cells):
        found_in["LIPID"] = None
    if remains:
        found_in["DEAD"] = None
    return tuple(found_in)


def make_scene(config: SceneConfig, seed: int, *, time_h: float = 0.0) -> Scene:
    """Make the scene of a seed at a time.

    Parameters
    ----------
    config
        What may be in it.
    seed
        From 0 on; the same seed gives the same scene, and the same cells at every time.
    time_h
        Hours since time 0; cells have moved, divided and died, whatever other times are asked for.

    Returns
    -------
    Scene
        Independent of any grid.

    Raises
    ------
    ConfigError
        Where the seed or the time make no sense.

    Examples
    --------
    >>> from isl.simulate.scenes.config import SuspensionConfig
    >>> config = SceneConfig(size_um=(40, 30), suspension=SuspensionConfig())
    >>> make_scene(config, seed=1).rasterize((1.0, 0.5, 0.5)).index.shape
    (20, 80, 60)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed is {seed!r} but must be a whole number from 0 on")
    for kind in (*CELL_KINDS, *BACTERIA_KINDS):
        if (given := getattr(config, kind)) is not None:
            check_time(time_h, given.life)
    cast = assemble(config, int(seed))
    ground = Ground.flat(config.size_um, MARGIN_UM, 1.0)
    labelled = [*_cells(cast, config, time_h, ground)]
    first = 1 + sum(len(f.places_um) for f in cast.founders)
    labelled += dead_cells(cast, config, int(seed), first, ground)
    first += len(cast.dead_um)
    for chains in cast.chains:
        labelled += bacteria_of(chains, config, first, cast.labels, time_h)
        first += sum(chains.sizes)
    classes = {item.label: name for item, name in labelled}
    processes, lines = _processes(cast, config, int(seed), classes)
    return Scene(
        config=config,
        seed=int(seed),
        time_h=float(time_h),
        items=(
            *processes,
            *(item for item, _ in labelled),
            *pieces_of_debris(cast, config, int(seed)),
        ),
        classes=classes,
        lines=tuple(lines),
    )


def _cells(
    cast: Cast, config: SceneConfig, time_h: float, ground: Ground
) -> Iterator[tuple[Item, str]]:
    """Cells with a nucleus and their classes."""
    first = 1
    for founders in cast.founders:
        for member in members(founders, first, cast.labels, config, time_h):
            yield dress(member, config, ground), CLASSES.get(member.kind, member.kind)
        first += len(founders.places_um)


def _processes(
    cast: Cast, config: SceneConfig, seed: int, classes: Mapping[int, str]
) -> tuple[list[Item], list[Line]]:
    """Neurites of the neurons that live, and their centre lines."""
    first = 1
    for founders in cast.founders:
        if config.neurons is not None and founders.kind == "neurons":
            places = [(float(y), float(x)) for y, x in founders.places_um]
            cells = list(enumerate(places, start=first))
            arbors = grow_arbors(config.neurons, cells, config.size_um, (seed, ARBORS))
            alive = [arbor for arbor in arbors if classes[arbor.cell] == "neuron"]
            return lay(alive, config.neurons, config.size_um)
        first += len(founders.places_um)
    return [], []
