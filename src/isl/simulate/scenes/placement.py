"""Where things are put."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isl.simulate.scenes.columns import Floats


def number_of(
    density_per_mm2: float,
    size_um: tuple[float, float],
    margin_um: float,
    random: np.random.Generator,
) -> int:
    """How many things a field and its margin hold: the expected number, rounded at random."""
    area_mm2 = (size_um[0] + 2 * margin_um) * (size_um[1] + 2 * margin_um) * 1e-6
    return int(np.floor(density_per_mm2 * area_mm2 + random.uniform()))


def scatter(
    count: int,
    size_um: tuple[float, float],
    margin_um: float,
    distance_um: float,
    random: np.random.Generator,
) -> Floats:
    """Places (N, 2), y and x, evenly over a field and the margin around it.

    Parameters
    ----------
    count
        Exactly so many.
    size_um, margin_um
        The field reaches from 0 to its size; the margin is around it.
    distance_um
        Smallest distance of two places, as long as there is room: it becomes a tenth smaller
        whenever fifty draws in a row have failed.
    random
        Source of the places.
    """
    low, high = -margin_um, np.array(size_um) + margin_um
    return _apart(count, lambda n: random.uniform(low, high, (n, 2)), distance_um)


def scatter_in_groups(
    places: Floats,
    spread_um: float,
    group_cells: float,
    distance_um: float,
    random: np.random.Generator,
) -> Floats:
    """Places (N, 2) drawn together into groups around some of them.

    Parameters
    ----------
    places
        (N, 2) places; the first of each ``group_cells`` becomes the middle of a group.
    spread_um
        Standard deviation of the cells of a group around its middle.
    group_cells
        Mean number of places of a group.
    distance_um
        Smallest distance of two places, as in `scatter`.
    random
        Source of the places.
    """
    if not len(places):
        return places
    middles = places[: max(1, round(len(places) / group_cells))]

    def draw(count: int) -> Floats:
        chosen = middles[random.integers(len(middles), size=count)]
        drawn: Floats = chosen + random.normal(0, spread_um, (count, 2))
        return drawn

    return _apart(len(places), draw, distance_um)


def _apart(count: int, draw: Callable[[int], Floats], distance_um: float) -> Floats:
    """Draw places one by one until enough are far enough from each other."""
    places = np.empty((count, 2))
    done = failures = 0
    while done < count:
        place = draw(1)[0]
        far = np.hypot(*(places[:done] - place).T)
        if not done or far.min() >= distance_um:
            places[done] = place
            done, failures = done + 1, 0
        else:
            failures += 1
            distance_um *= 0.9 if failures % 50 == 0 else 1.0
    return places
