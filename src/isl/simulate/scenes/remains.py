"""Dead cells and debris."""

from __future__ import annotations

import numpy as np

from isl.simulate.scenes.config import DebrisConfig
from isl.simulate.scenes.items import Item, Part, random_grain
from isl.simulate.scenes.shapes import Blob, balls

DNA_DENSER = 0.02
"""Refractive index of condensed DNA above that of the dead cell around it."""


def dead_shape(
    centre_um: tuple[float, float],
    radius_um: float,
    clearance_um: float,
    random: np.random.Generator,
) -> Blob:
    """Outer shape of a dead cell: a lumpy ball."""
    waves = np.stack([random.normal(0, 0.04, 5), random.uniform(0, 2 * np.pi, 5)])
    lift = float(random.uniform(0, clearance_um))
    return Blob(
        centre_um,
        radius_um,
        1.8 * radius_um,
        base_um=lift,
        stretch=float(random.uniform(1.0, 1.25)),
        angle_rad=float(random.uniform(0, np.pi)),
        waves=waves,
    )


def dead_cell(
    label: int, shape: Blob, index: float, dna_share: float, random: np.random.Generator
) -> Item:
    """A dead cell; condensed DNA in one to three lumps, or none.

    Parameters
    ----------
    label
        Its label.
    shape
        Outer shape, from `dead_shape`.
    index
        Refractive index above that of the medium.
    dna_share
        Probability that it holds DNA.
    random
        The cell's own random numbers.
    """
    grain = random_grain(0.12, random)
    has_dna, count = random.uniform() < dna_share, int(random.integers(1, 4))
    stains = {"DEAD": 0.5, "CYTOPLASM": 0.3}
    parts = [Part(shape, index, stains, grain=grain)]
    if has_dna:
        radii = shape.radius_um * random.uniform(0.45, 0.6, count) / count ** (1 / 3)
        shifts = random.normal(0, 0.3 * shape.radius_um * (count > 1), (count, 2))
        z = np.full((count, 1), shape.base_um + shape.height_um / 2)
        zyx = np.concatenate([z, np.array(shape.centre_um) + shifts], axis=1)
        dna = {"DEAD": 2.0, "CYTOPLASM": 0.3, "NUCLEI": 4.0}
        lumps = balls(zyx, radii, shape.relief)
        parts.append(Part(lumps, index + DNA_DENSER, dna, inside=0, nucleus=True))
    return Item(label, tuple(parts))


def debris(
    config: DebrisConfig, centre_um: tuple[float, float], random: np.random.Generator
) -> Item:
    """A piece of debris: one to three lumps, without a label."""
    count = int(random.integers(1, 4))
    radius = min(config.radius_um * float(random.lognormal(0, config.size_spread)), 5.0)
    radii = radius * random.uniform(0.5, 1.0, count)
    shifts = random.normal(0, 0.8 * radius, (count, 2))
    shifts[0] = 0.0
    z = radii[:, None] + float(random.uniform(0, config.clearance_um))
    zyx = np.concatenate([z, np.array(centre_um) + shifts], axis=1)
    has_dna = random.uniform() < config.dna_share
    stains = {"DEAD": 1.5, "NUCLEI": 2.0} if has_dna else {"DEAD": 0.1}
    return Item(0, (Part(balls(zyx, radii), config.index, stains),))
