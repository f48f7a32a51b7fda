"""Everything in a scene at time 0: where it is and what number it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isl.simulate.scenes.bacteria import Link, chain
from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import BacteriaConfig, SceneConfig
from isl.simulate.scenes.items import Item
from isl.simulate.scenes.life import LOOKS, family
from isl.simulate.scenes.placement import number_of, scatter
from isl.simulate.scenes.population import Founders, found
from isl.simulate.scenes.relief import Ground, settle
from isl.simulate.scenes.remains import dead_cell, dead_shape, debris

CELL_KINDS = {"adherent": 1, "dividing": 2, "neurons": 3, "suspension": 4}
"""Kinds with a nucleus, and a word of their seed each."""
BACTERIA_KINDS = {"rods": 8, "cocci": 9}
CLASSES = {"neurons": "neuron", "rods": "rod", "cocci": "coccus"}
"""Classes that differ from the name of their kind."""
DEAD, DEBRIS, ARBORS = 5, 6, 7
NEAR_UM = 10.0
"""Small things stand up to this far outside the field."""


@dataclass(frozen=True)
class Chains:
    """Bacteria of one kind at time 0.

    Attributes
    ----------
    kind, bacteria
        Name of the kind and settings.
    words
        Words of their seed.
    places_um
        (N, 2) middles of the chains.
    sizes
        (N,) bacteria of each chain.
    """

    kind: str
    bacteria: BacteriaConfig
    words: tuple[int, ...]
    places_um: Floats
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Cast:
    """Everything at time 0.

    Attributes
    ----------
    founders
        Cells with a nucleus, kind by kind.
    dead_um, debris_um
        (N, 2) places of dead cells and debris.
    chains
        Bacteria, kind by kind.
    """

    founders: tuple[Founders, ...]
    dead_um: Floats
    debris_um: Floats
    chains: tuple[Chains, ...]

    @property
    def labels(self) -> int:
        """How many labels are given at time 0; that of a daughter is larger."""
        bacteria = sum(sum(chains.sizes) for chains in self.chains)
        return sum(len(f.places_um) for f in self.founders) + len(self.dead_um) + bacteria


def assemble(config: SceneConfig, seed: int) -> Cast:
    """Decide what there is at time 0, and where."""
    cells = [
        found(kind, given, config, (seed, word))
        for kind, word in CELL_KINDS.items()
        if (given := getattr(config, kind)) is not None
    ]
    bacteria = [
        _chains(kind, given, config, (seed, word))
        for kind, word in BACTERIA_KINDS.items()
        if (given := getattr(config, kind)) is not None
    ]
    dead = config.dead.density_per_mm2 if config.dead else 0.0
    pieces = config.debris.density_per_mm2 if config.debris else 0.0
    return Cast(
        tuple(cells),
        _places(dead, config, (seed, DEAD)),
        _places(pieces, config, (seed, DEBRIS)),
        tuple(bacteria),
    )


def _places(density_per_mm2: float, config: SceneConfig, words: tuple[int, ...]) -> Floats:
    """Places (N, 2) that may be as near as they like."""
    random = np.random.default_rng([*words, 0])
    count = number_of(density_per_mm2, config.size_um, NEAR_UM, random)
    return scatter(count, config.size_um, NEAR_UM, 0.0, random)


def _chains(
    kind: str, bacteria: BacteriaConfig, config: SceneConfig, words: tuple[int, ...]
) -> Chains:
    """Put chains of bacteria apart from each other."""
    random = np.random.default_rng([*words, 0])
    count = number_of(bacteria.density_per_mm2 / bacteria.chain, config.size_um, NEAR_UM, random)
    apart = max(bacteria.length_um, 2 * bacteria.width_um)
    places = scatter(count, config.size_um, NEAR_UM, apart, random)
    sizes = tuple(int(n) for n in 1 + random.poisson(bacteria.chain - 1, count))
    return Chains(kind, bacteria, words, places, sizes)


def dead_cells(
    cast: Cast, config: SceneConfig, seed: int, first_label: int, ground: Ground
) -> Iterator[tuple[Item, str]]:
    """Dead cells and their class, put on what lies there already."""
    dead = config.dead
    if dead is None:
        return
    for number, (y, x) in enumerate(cast.dead_um):
        random = np.random.default_rng([seed, DEAD, 1 + number])
        radius = dead.radius_um * float(random.lognormal(0, dead.size_spread))
        shape = dead_shape((float(y), float(x)), radius, dead.clearance_um, random)
        shape = settle(shape, ground, config.height_um, draping=0.0)
        item = dead_cell(first_label + number, shape, dead.index.dead, dead.dna_share, random)
        yield item, "dead"


def pieces_of_debris(cast: Cast, config: SceneConfig, seed: int) -> Iterator[Item]:
    """Debris, which has no label."""
    if config.debris is None:
        return
    for number, (y, x) in enumerate(cast.debris_um):
        random = np.random.default_rng([seed, DEBRIS, 1 + number])
        yield debris(config.debris, (float(y), float(x)), random)


def bacteria_of(
    chains: Chains, config: SceneConfig, first_label: int, step: int, time_h: float
) -> Iterator[tuple[Item, str]]:
    """Bacteria of one kind at a time, and their classes.

    Bacteria of a chain and their descendants move together and stand in line.
    """
    given, label = chains.bacteria, first_label
    for number, (place, size) in enumerate(zip(chains.places_um, chains.sizes, strict=True)):
        words = (*chains.words, 1 + number)
        still = given.life.model_copy(update={"cycle_h": None, "death_per_h": 0.0})
        [leader] = family(words, place, still, time_h)
        links, classes = [], []
        for link in range(size):
            for living in family((*words, 1 + link), place, given.life, time_h):
                dead = living.dead_h is not None
                until_h = living.age_h - (living.dead_h or 0.0)
                share = living.age_h / (living.age_h + living.left_h)
                if dead and given.life.cycle_h is not None:
                    share = min(1.0, until_h / given.life.cycle_h)
                links.append(Link(label + link + step * (living.path - 1), 1.0 + share, dead))
                classes.append("dead" if dead else CLASSES[chains.kind])
        label += size
        centre = np.array(leader.centre_um)
        if given.life.speed_um_per_h:
            centre = np.mod(centre + NEAR_UM, np.array(config.size_um) + 2 * NEAR_UM) - NEAR_UM
        middle = (float(centre[0]), float(centre[1]))
        random = np.random.default_rng([*words, LOOKS])
        yield from zip(chain(given, middle, links, random), classes, strict=True)
