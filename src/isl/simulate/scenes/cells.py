"""Bodies of cells: membrane, cytoplasm, nucleus, nucleoli, droplets, chromosomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import CellConfig
from isl.simulate.scenes.items import Item, Part, random_grain
from isl.simulate.scenes.shapes import Blob, balls

CELL_STAINS: Mapping[str, float] = {"CYTOPLASM": 1.0}
MEMBRANE_STAIN_UM = 0.5
"""Concentration times thickness of the membrane's stain."""


@dataclass(frozen=True)
class Posture:
    """What a cell does at the moment.

    Attributes
    ----------
    spreading
        1 as spread as it gets, 0 round.
    growth
        Size relative to a mature cell, in volume.
    mitosis
        0 for a cell that does not divide, else how much of its division has passed, up to 1.
    axis_rad
        Direction along which it divides.
    """

    spreading: float = 1.0
    growth: float = 1.0
    mitosis: float = 0.0
    axis_rad: float = 0.0


def outline(
    config: CellConfig,
    centre_um: tuple[float, float],
    posture: Posture,
    random: np.random.Generator,
) -> Blob:
    """Outer shape of a cell on the bare glass.

    Parameters
    ----------
    config
        Sizes.
    centre_um
        y and x.
    posture
        What it does.
    random
        The cell's own random numbers; always as many are drawn.
    """
    size = float(random.lognormal(0, config.size_spread)) * posture.growth ** (1 / 3)
    waves = np.stack([random.normal(0, 1, 5), random.uniform(0, 2 * np.pi, 5)])
    stretch = 1 + (config.elongation - 1) * float(random.uniform(0.3, 1.7))
    angle, lift = float(random.uniform(0, np.pi)), float(random.uniform(0, config.clearance_um))
    spread = posture.spreading
    waves[0] = np.clip(waves[0], -1.5, 1.5) * config.irregularity * spread / np.arange(1.5, 6)
    round_um = config.round_radius_um
    anaphase = max(0.0, posture.mitosis - 0.75) / 0.25
    stretch = 1 + (stretch - 1) * spread + 0.7 * anaphase
    return Blob(
        centre_um,
        size * (spread * config.radius_um + (1 - spread) * round_um),
        size * (spread * config.height_um + (1 - spread) * 2 * round_um) * (1 - 0.15 * anaphase),
        base_um=lift,
        spreading=config.spreading * spread,
        stretch=stretch,
        angle_rad=posture.axis_rad if spread < 0.5 else angle,
        waves=waves,
    )


def body(
    label: int,
    config: CellConfig,
    shape: Blob,
    posture: Posture,
    random: np.random.Generator,
    stains: Mapping[str, float] = CELL_STAINS,
) -> Item:
    """A cell of a given outer shape.

    Parameters
    ----------
    label
        Its label.
    config
        Sizes and refractive index of the compartments.
    shape
        Outer shape, from `outline`.
    posture
        What it does.
    random
        The cell's own random numbers.
    stains
        Concentrations in the cytoplasm; the nucleus holds a quarter of them.
    """
    brightness = float(random.lognormal(0, 0.15))
    grain = random_grain(config.granularity, random)
    cytoplasm_stains = {name: brightness * value for name, value in stains.items()}
    membrane_stain = brightness * MEMBRANE_STAIN_UM / config.membrane_um
    parts = [
        Part(shape, config.index.membrane, {"MEMBRANE": membrane_stain}),
        Part(
            shape.shrunk(config.membrane_um),
            config.index.cytoplasm,
            cytoplasm_stains,
            inside=0,
            grain=grain,
        ),
    ]
    if posture.mitosis > 0.3:
        parts += _chromosomes(config, shape, posture, cytoplasm_stains)
    else:
        parts += _nucleus(config, shape, posture, cytoplasm_stains, random)
    parts += _droplets(config, shape, cytoplasm_stains, random)
    return Item(label, tuple(parts))


def _nucleus(
    config: CellConfig,
    shape: Blob,
    posture: Posture,
    stains: Mapping[str, float],
    random: np.random.Generator,
) -> list[Part]:
    """Nucleus near the middle, and the nucleoli in it."""
    radius = config.nucleus_radius_um * float(random.lognormal(0, 0.5 * config.size_spread))
    radius = min(radius * posture.growth ** (1 / 3), 0.75 * shape.radius_um)
    shift = random.normal(0, 0.05, 2) * (shape.radius_um - radius)
    height = min(1.7 * radius, 0.72 * shape.height_um)
    condensed = 1.0 + 0.6 * (posture.mitosis > 0)
    middle = (shape.centre_um[0] + float(shift[0]), shape.centre_um[1] + float(shift[1]))
    nucleus = Blob(
        middle,
        radius,
        height,
        base_um=shape.base_um + 0.47 * (shape.height_um - height),
        stretch=1 + 0.5 * (shape.stretch - 1) * float(random.uniform(0.5, 1.5)),
        angle_rad=shape.angle_rad,
        waves=np.stack([random.normal(0, 0.02, 5), random.uniform(0, 2 * np.pi, 5)]),
        relief=shape.relief,
    )
    inner = {name: 0.25 * value for name, value in stains.items()}
    dna = condensed * float(random.lognormal(0, 0.15))
    grain = random_grain(config.granularity, random)
    parts = [
        Part(
            nucleus,
            config.index.nucleus,
            {**inner, "NUCLEI": dna},
            inside=1,
            nucleus=True,
            grain=grain,
        )
    ]
    if config.nucleoli:
        count = int(random.integers(1, config.nucleoli + 1))
        radii = config.nucleolus_radius_um * random.lognormal(0, 0.2, count)
        zyx = _around(middle, nucleus.base_um + height / 2, 0.5 * radius, count, random)
        spots = balls(zyx, radii, shape.relief)
        parts.append(Part(spots, config.index.nucleolus, {**inner, "NUCLEI": 0.35 * dna}, inside=2))
    return parts


def _chromosomes(
    config: CellConfig, shape: Blob, posture: Posture, stains: Mapping[str, float]
) -> list[Part]:
    """Metaphase plate, or the two sets of anaphase."""
    across = 0.75 * config.nucleus_radius_um
    apart = 1.1 * across * max(0.0, posture.mitosis - 0.75) / 0.25
    stretch = 0.35
    toward = apart * np.array([np.sin(posture.axis_rad), np.cos(posture.axis_rad)])
    height = min(1.6 * across, 0.7 * shape.height_um)
    places = [toward, -toward] if apart > 0.5 else [np.zeros(2)]
    return [
        Part(
            Blob(
                (shape.centre_um[0] + float(p[0]), shape.centre_um[1] + float(p[1])),
                across * float(np.sqrt(stretch)),
                height,
                base_um=shape.base_um + (shape.height_um - height) / 2,
                stretch=stretch,
                angle_rad=posture.axis_rad,
                relief=shape.relief,
            ),
            config.index.chromosomes,
            {**stains, "NUCLEI": 5.0 / len(places)},
            inside=1,
            nucleus=True,
        )
        for p in places
    ]


def _droplets(
    config: CellConfig, shape: Blob, stains: Mapping[str, float], random: np.random.Generator
) -> list[Part]:
    """Lipid droplets in the cytoplasm around the nucleus."""
    count = int(random.poisson(config.droplets))
    if not count:
        return []
    radii = config.droplet_radius_um * random.lognormal(0, 0.3, count)
    nearest = min(config.nucleus_radius_um + 2 * config.droplet_radius_um, 0.8 * shape.radius_um)
    far = nearest + (0.85 * shape.radius_um - nearest) * random.uniform(0, 1, count) ** 1.5
    turn = random.uniform(0, 2 * np.pi, count)
    yx = np.array(shape.centre_um) + far[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    relative = np.clip(far / shape.radius_um, 0, 1)
    flat, dome = shape.spreading, 1 - relative**2
    thick = shape.height_um * (flat * 0.5 * dome + (1 - flat))
    height = shape.base_um + thick * (0.5 + 0.25 * random.uniform(-1, 1, count) * (1 - flat))
    zyx = np.concatenate([height[:, None], yx], axis=1)
    spots = balls(zyx, radii, shape.relief)
    lipid = {name: 0.1 * value for name, value in stains.items()}
    return [Part(spots, config.index.lipid, {**lipid, "LIPID": 1.0}, inside=1)]


def _around(
    middle: tuple[float, float],
    z_um: float,
    spread_um: float,
    count: int,
    random: np.random.Generator,
) -> Floats:
    """Random places (N, 3) z, y, x at one height, within ``1.2 * spread_um`` of a middle."""
    far, turn = spread_um * random.uniform(0.2, 1.2, count), random.uniform(0, 2 * np.pi, count)
    y, x = middle[0] + far * np.sin(turn), middle[1] + far * np.cos(turn)
    return np.stack([np.full(count, z_um), y, x], axis=1)
