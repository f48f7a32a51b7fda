"""Which cells of each kind there are at a time, and what they look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isl.simulate.scenes.cells import CELL_STAINS, Posture, body, outline
from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import CellConfig, NeuronConfig, SceneConfig
from isl.simulate.scenes.items import Item
from isl.simulate.scenes.life import LOOKS, Living, family
from isl.simulate.scenes.neurons import BODY_STAINS, MARGIN_UM
from isl.simulate.scenes.placement import number_of, scatter, scatter_in_groups
from isl.simulate.scenes.relief import Ground, settle
from isl.simulate.scenes.remains import dead_cell, dead_shape

SHRUNKEN = 0.75
"""Radius of a dead cell relative to the round living one."""


@dataclass(frozen=True)
class Founders:
    """Cells of one kind at time 0.

    Attributes
    ----------
    kind, cells
        Class and settings.
    words
        Words of their seed.
    places_um
        (N, 2) where they are.
    margin_um
        How far outside the field they may be; who leaves on one side comes back on the other.
    """

    kind: str
    cells: CellConfig
    words: tuple[int, ...]
    places_um: Floats
    margin_um: float


@dataclass(frozen=True)
class Member:
    """A cell at the asked time."""

    founders: Founders
    number: int
    label: int
    centre_um: tuple[float, float]
    living: Living

    @property
    def kind(self) -> str:
        """Class of the cell."""
        if self.living.dead_h is not None:
            return "dead"
        if self.living.left_h < self.founders.cells.life.mitosis_h:
            return "dividing"
        return self.founders.kind

    def random(self, word: int) -> np.random.Generator:
        """Random numbers of this cell's looks."""
        return np.random.default_rng(
            [*self.founders.words, self.number, self.living.path, LOOKS, word]
        )


def found(kind: str, cells: CellConfig, config: SceneConfig, words: tuple[int, ...]) -> Founders:
    """Put the cells of one kind where they are at time 0."""
    random = np.random.default_rng([*words, 0])
    margin = 1.8 * cells.radius_um
    if isinstance(cells, NeuronConfig):
        margin = MARGIN_UM
    count = number_of(cells.density_per_mm2, config.size_um, margin, random)
    apart = 2 * cells.radius_um * (1 - cells.overlap)
    places = scatter(count, config.size_um, margin, apart, random)
    if isinstance(cells, NeuronConfig):
        grouped = round(cells.clustering * count)
        clusters = scatter_in_groups(
            places[:grouped], cells.cluster_um, cells.cluster_cells, apart, random
        )
        places = np.concatenate([clusters, places[grouped:]])
    return Founders(kind, cells, words, places, margin)


def members(
    founders: Founders, first_label: int, step: int, config: SceneConfig, time_h: float
) -> Iterator[Member]:
    """All cells of one kind at a time.

    Parameters
    ----------
    founders
        The cells at time 0.
    first_label, step
        Label of the first founder, and how far apart the labels of generations are; the founder
        keeps its label, and daughters get labels that no other cell ever has.
    config
        The scene.
    time_h
        The time.
    """
    cells = founders.cells
    low = -founders.margin_um
    extent = np.array(config.size_um) + 2 * founders.margin_um
    for number, place in enumerate(founders.places_um):
        lineage = family(
            (*founders.words, number),
            place,
            cells.life,
            time_h,
            dividing=founders.kind == "dividing",
            apart_um=0.6 * cells.round_radius_um,
        )
        for living in lineage:
            centre = np.array(living.centre_um)
            if cells.life.speed_um_per_h:
                centre = low + np.mod(centre - low, extent)
            label = first_label + number + step * (living.path - 1)
            yx = (float(centre[0]), float(centre[1]))
            yield Member(founders, number, label, yx, living)


def posture(member: Member) -> Posture:
    """What a cell does at its time."""
    life, living = member.founders.cells.life, member.living
    if life.cycle_h is None:
        return Posture()
    spread, mitosis = 1.0, 0.0
    if life.mitosis_h:
        mitosis = float(np.clip(1 - living.left_h / life.mitosis_h, 0, 1))
        spread = float(min(1.0, living.age_h / life.mitosis_h, max(0.0, 1 - mitosis / 0.25)))
    whole = living.age_h + min(living.left_h, life.cycle_h)
    growth = 0.75 + 0.5 * living.age_h / whole if living.path > 1 else 1.0
    return Posture(spread, growth, mitosis, living.axis_rad)


def dress(member: Member, config: SceneConfig, ground: Ground) -> Item:
    """Give a cell its looks and put it on what lies there already.

    Parameters
    ----------
    member
        The cell.
    config
        The scene.
    ground
        What lies there; the cell is added to it.
    """
    cells = member.founders.cells
    if member.living.dead_h is not None:
        radius = SHRUNKEN * cells.round_radius_um
        dead = dead_shape(member.centre_um, radius, cells.clearance_um, member.random(0))
        dead = settle(dead, ground, config.height_um, draping=0.0)
        return dead_cell(member.label, dead, cells.index.dead, 0.8, member.random(1))
    state = posture(member)
    shape = outline(cells, member.centre_um, state, member.random(0))
    shape = settle(shape, ground, config.height_um, draping=shape.spreading)
    stains = BODY_STAINS if isinstance(cells, NeuronConfig) else CELL_STAINS
    return body(member.label, cells, shape, state, member.random(1), stains)
