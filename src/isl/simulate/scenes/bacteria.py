"""Rods and cocci, alone or in chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import BacteriaConfig
from isl.simulate.scenes.items import Item, Part
from isl.simulate.scenes.shapes import Strand

WALL_UM = 0.05
WALL_STAIN_UM = 0.15
"""Thickness of the wall, and concentration times thickness of its stain."""


@dataclass(frozen=True)
class Link:
    """One bacterium of a chain.

    Attributes
    ----------
    label
        Its label.
    growth
        Length relative to a newborn one, from 1 to 2.
    dead
        Whether it is dead.
    """

    label: int
    growth: float
    dead: bool


def chain(
    config: BacteriaConfig,
    centre_um: tuple[float, float],
    links: Sequence[Link],
    random: np.random.Generator,
) -> list[Item]:
    """A chain of bacteria, end to end around its middle.

    Parameters
    ----------
    config
        Sizes and refractive index.
    centre_um
        y and x of the middle.
    links
        The bacteria, in order.
    random
        The chain's own random numbers; what is drawn does not depend on the number of links.
    """
    size = float(random.lognormal(0, config.size_spread))
    heading, lift = random.uniform(0, 2 * np.pi), random.uniform(0, config.clearance_um)
    bend = float(np.clip(random.normal(0, config.bend_rad), -1.5, 1.5))
    width = config.width_um * min(size, 1.5)
    newborn = config.length_um * size / (1.5 if config.life.cycle_h is not None else 1.0)
    lengths = np.array([max(newborn * link.growth, width) for link in links])
    ends = np.concatenate([[0.0], np.cumsum(lengths)]) - lengths.sum() / 2
    turn_per_um = bend / (1.5 * newborn)
    items = []
    for number, link in enumerate(links):
        along = np.linspace(ends[number] + width / 2, ends[number + 1] - width / 2, 5)
        yx = np.array(centre_um) + _arc(along, float(heading), turn_per_um)
        z = np.full((len(yx), 1), lift + width / 2)
        items.append(_bacterium(config, link, np.concatenate([z, yx], axis=1), width))
    return items


def _arc(along_um: Floats, heading: float, turn_per_um: float) -> Floats:
    """Points (N, 2) along an arc through 0; never tighter than a circle of 60 % of a turn."""
    reach = max(float(np.abs(along_um).max()), 1e-6)
    turn = float(np.clip(turn_per_um, -1.8 / reach, 1.8 / reach))
    if abs(turn) < 1e-6:
        forward, aside = along_um, np.zeros_like(along_um)
    else:
        forward, aside = np.sin(turn * along_um) / turn, (1 - np.cos(turn * along_um)) / turn
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([sin * forward + cos * aside, cos * forward - sin * aside], axis=1)


def _bacterium(config: BacteriaConfig, link: Link, zyx: Floats, width: float) -> Item:
    """One bacterium along an axis: wall, cytoplasm and nucleoid."""
    radii = np.full(len(zyx) - 1, width / 2)
    shape = Strand(zyx[:-1], zyx[1:], radii, radii)
    middle = zyx.mean(axis=0) + 0.8 * (zyx - zyx.mean(axis=0))
    thin = 0.55 * radii
    nucleoid = Strand(middle[:-1], middle[1:], thin, thin)
    stains = {"CYTOPLASM": 1.0, **({"DEAD": 1.5} if link.dead else {})}
    inner = {**stains, "CYTOPLASM": 0.6, "NUCLEI": 2.0}
    wall = {"MEMBRANE": WALL_STAIN_UM / WALL_UM}
    return Item(
        link.label,
        (
            Part(shape, config.index, wall),
            Part(shape.shrunk(WALL_UM), config.index, stains, inside=0),
            Part(nucleoid, config.index, inner, inside=1, nucleus=True),
        ),
    )
