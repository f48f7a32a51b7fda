"""Neurites seen from above: branching persistent random walks that may follow each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import NeuriteConfig

STEP_UM = 1.5
SENSE_UM, SENSE_RAD, TURN_RAD = 6.0, 0.45, 0.18
"""How far ahead and to the side a growing tip feels others, and by how much it turns to them."""
MOST_BRANCHES = 60


@dataclass(frozen=True)
class Path:
    """A neurite or one branch of it.

    Attributes
    ----------
    yx_um
        (N, 2) points, `STEP_UM` apart.
    radii_um
        (N,) radii there.
    """

    yx_um: Floats
    radii_um: Floats


@dataclass(frozen=True)
class Trails:
    """Where neurites have grown, on a coarse grid; tips turn towards them.

    Attributes
    ----------
    origin_um
        Smallest y and x.
    step_um
        Side of a cell of the grid.
    density
        (Y, X) how much has grown there; changed by `add`.
    """

    origin_um: float
    step_um: float
    density: NDArray[np.float32]

    @classmethod
    def none(cls, size_um: tuple[float, float], margin_um: float, step_um: float = 2.0) -> Trails:
        """No neurites yet over a field and a margin around it."""
        rows, cols = (int(np.ceil((s + 2 * margin_um) / step_um)) + 2 for s in size_um)
        return cls(-margin_um - step_um, step_um, np.zeros((rows, cols), dtype=np.float32))

    def add(self, yx_um: Floats) -> None:
        """Leave a trail along points (N, 2)."""
        rows, cols = ((yx_um - self.origin_um) / self.step_um).astype(int).T
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                y, x = rows + dy, cols + dx
                valid = (y >= 0) & (y < self.density.shape[0])
                valid &= (x >= 0) & (x < self.density.shape[1])
                weight = 0.25 if dy or dx else 1.0
                np.add.at(self.density, (y[valid], x[valid]), np.float32(weight))

    def at(self, y_um: float, x_um: float) -> float:
        """Density at a place; 0 outside."""
        row = int((y_um - self.origin_um) / self.step_um)
        col = int((x_um - self.origin_um) / self.step_um)
        if 0 <= row < self.density.shape[0] and 0 <= col < self.density.shape[1]:
            return min(float(self.density[row, col]), 6.0)
        return 0.0


def grow(
    config: NeuriteConfig,
    centre_um: tuple[float, float],
    body_radius_um: float,
    trails: Trails,
    random: np.random.Generator,
) -> list[Path]:
    """All neurites of one kind of a cell.

    Parameters
    ----------
    config
        Lengths, radii and habits.
    centre_um, body_radius_um
        The cell; neurites begin within it.
    trails
        What has grown before.
    random
        The cell's own random numbers.

    Returns
    -------
    list of Path
        A path for each neurite and each branch; branches begin on the path that they leave.
    """
    if not config.number:
        return []
    count = 1 + int(random.binomial(2 * (config.number - 1), 0.5)) if config.number > 1 else 1
    first = random.uniform(0, 2 * pi)
    headings = first + 2 * pi * (np.arange(count) + random.uniform(-0.3, 0.3, count)) / count
    paths: list[Path] = []
    for heading in headings:
        y = centre_um[0] + 0.8 * body_radius_um * sin(heading)
        x = centre_um[1] + 0.8 * body_radius_um * cos(heading)
        length = config.length_um * float(np.clip(random.lognormal(0, 0.3), 0.4, 2.0))
        paths += _tree(config, (y, x, float(heading), 0.0), length, trails, random)
    return paths


def _tree(
    config: NeuriteConfig,
    root: tuple[float, float, float, float],
    length_um: float,
    trails: Trails,
    random: np.random.Generator,
) -> list[Path]:
    """One neurite with its branches, each grown from y, x, heading and the length before it."""
    waiting = [root]
    paths: list[Path] = []
    while waiting and len(paths) < MOST_BRANCHES:
        y, x, heading, before = waiting.pop(0)
        steps = int((length_um - before) / STEP_UM)
        if steps < 2:
            continue
        noise = random.standard_normal(steps)
        points, headings = _walk((y, x), heading, noise, config, trails)
        along = np.minimum(before + STEP_UM * np.arange(steps + 1), length_um)
        radii = config.radius_um + (config.tip_radius_um - config.radius_um) * along / length_um
        paths.append(Path(points, radii))
        forks = np.flatnonzero(random.uniform(size=steps) < config.branches_per_mm * STEP_UM / 1e3)
        for fork in forks:
            side = float(random.choice([-1.0, 1.0]) * random.uniform(0.4, 1.1))
            place = (float(points[fork, 0]), float(points[fork, 1]))
            rest = float(along[fork]) + float(random.uniform(0, 0.4)) * length_um
            waiting.append((*place, headings[fork] + side, rest))
    return paths


def _walk(
    start: tuple[float, float],
    heading: float,
    noise: Floats,
    config: NeuriteConfig,
    trails: Trails,
) -> tuple[Floats, list[float]]:
    """Points of a persistent random walk, and the heading at each."""
    y, x = start
    spread = sqrt(2 * STEP_UM / config.persistence_um)
    points, headings = [(y, x)], [heading]
    steer = _steering(trails) if config.bundling else None
    for number in noise.tolist():
        heading += spread * number
        if steer is not None:
            heading += config.bundling * TURN_RAD * steer(y, x, heading)
        y, x = y + STEP_UM * sin(heading), x + STEP_UM * cos(heading)
        points.append((y, x))
        headings.append(heading)
    return np.array(points), headings


def _steering(trails: Trails) -> Callable[[float, float, float], float]:
    """Function that says to which side, -1 to 1, the stronger trail is."""

    def steer(y: float, x: float, heading: float) -> float:
        left, right = (
            trails.at(y + SENSE_UM * sin(heading + turn), x + SENSE_UM * cos(heading + turn))
            for turn in (-SENSE_RAD, SENSE_RAD)
        )
        return (right - left) / (right + left + 0.5)

    return steer
