"""Movement, division and death, known for every time from the seed alone.

Every cell has its own random numbers, drawn from the seed, its founder and its path in the
founder's family, so that what happens to it depends on no other cell and on no other time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isl.core.errors import ConfigError
from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import LifeConfig

MOST_GENERATIONS = 10
WALK, FATE, LOOKS = 1, 2, 3
"""Last word of the seeds of the three kinds of random numbers of a cell."""


@dataclass(frozen=True)
class Living:
    """A cell at one time.

    Attributes
    ----------
    path
        Place in the founder's family: 1 for the founder, 2 p and 2 p + 1 for the daughters of p.
    centre_um
        y and x.
    age_h, left_h
        Time since it was born and until it divides; the latter is infinite where it never does.
    dead_h
        Time since it died; None for the living.
    axis_rad
        Direction along which it divides.
    """

    path: int
    centre_um: tuple[float, float]
    age_h: float
    left_h: float
    dead_h: float | None
    axis_rad: float


def check_time(time_h: float, life: LifeConfig) -> None:
    """Refuse times that make no sense or in which too many cells would be born.

    Raises
    ------
    ConfigError
        Where the time is negative, not finite, or longer than ten mean cell cycles.
    """
    if not 0 <= time_h < np.inf:
        raise ConfigError(f"time_h is {time_h} but must be a number of hours from 0 on")
    if life.cycle_h is not None and time_h > MOST_GENERATIONS * life.cycle_h:
        raise ConfigError(
            f"time_h is {time_h}, more than {MOST_GENERATIONS} cycles of life.cycle_h "
            f"{life.cycle_h}: too many cells; ask for an earlier time or a longer cycle"
        )


def family(
    words: tuple[int, ...],
    place_um: Floats,
    life: LifeConfig,
    time_h: float,
    *,
    dividing: bool = False,
    apart_um: float = 0.0,
) -> list[Living]:
    """The descendants of a founder at a time, or the founder itself.

    Parameters
    ----------
    words
        Words of the founder's seed.
    place_um
        (2,) where the founder is at time 0.
    life
        Movement, division and death.
    time_h
        The time.
    dividing
        Whether the founder is dividing at time 0; otherwise it is not.
    apart_um
        Distance of newborn daughters from the place of their mother, to either side.

    Returns
    -------
    list of Living
        In the order in which they stand along the axis of their mothers.
    """
    founder = np.random.default_rng([*words, 0, FATE]).uniform()
    if life.cycle_h is None:
        return _descend(words, 1, place_um, (-life.mitosis_h, np.inf), life, time_h, apart_um)
    if dividing:
        division_h = (0.02 + 0.96 * founder) * life.mitosis_h
    else:
        division_h = life.mitosis_h + founder * life.cycle_h
    born_h = min(-life.mitosis_h, division_h - life.cycle_h - life.mitosis_h)
    return _descend(words, 1, place_um, (born_h, division_h), life, time_h, apart_um)


def _descend(
    words: tuple[int, ...],
    path: int,
    place_um: Floats,
    cycle: tuple[float, float],
    life: LifeConfig,
    time_h: float,
    apart_um: float,
) -> list[Living]:
    """A cell, or its descendants where it has divided."""
    born_h, division_h = cycle
    fate = np.random.default_rng([*words, path, FATE])
    start_h = max(born_h, 0.0)
    lasting_h = fate.exponential() / life.death_per_h if life.death_per_h else np.inf
    axis_rad, spacing = fate.uniform(0, np.pi), np.clip(fate.lognormal(0, 0.12, 2), 0.7, 1.4)
    death_h = start_h + lasting_h
    end_h = min(division_h, death_h, time_h)
    walked = _walk((*words, path, WALK), end_h - start_h, life)
    now_um = place_um + walked
    if time_h < division_h or death_h <= division_h:
        dead_h = time_h - death_h if time_h >= death_h else None
        centre = (float(now_um[0]), float(now_um[1]))
        left_h = division_h - time_h if dead_h is None else np.inf
        return [Living(path, centre, time_h - born_h, left_h, dead_h, axis_rad)]
    aside = apart_um * np.array([np.sin(axis_rad), np.cos(axis_rad)])
    mean_h = life.cycle_h or np.inf
    daughters = zip(
        (2 * path, 2 * path + 1), (now_um + aside, now_um - aside), spacing, strict=True
    )
    return [
        cell
        for daughter, place, share in daughters
        for cell in _descend(
            words,
            daughter,
            place,
            (division_h, division_h + mean_h * float(share)),
            life,
            time_h,
            apart_um,
        )
    ]


def _walk(seed: tuple[int, ...], lasting_h: float, life: LifeConfig) -> Floats:
    """How far a cell has come (2,) in a persistent random walk; longer walks begin alike."""
    if not life.speed_um_per_h or lasting_h <= 0:
        return np.zeros(2)
    step_h = float(np.clip(life.persistence_h / 4, 0.05, 1.0))
    whole, part = divmod(lasting_h / step_h, 1.0)
    steps = np.random.default_rng(seed).standard_normal((int(whole) + 1, 2))
    memory = np.exp(-step_h / life.persistence_h)
    velocity = steps[0]
    walked = np.zeros(2)
    for number in range(int(whole) + 1):
        if number:
            velocity = memory * velocity + np.sqrt(1 - memory**2) * steps[number]
        walked = walked + velocity * (1.0 if number < int(whole) else part)
    moved: Floats = walked * step_h * life.speed_um_per_h / np.sqrt(2)
    return moved
