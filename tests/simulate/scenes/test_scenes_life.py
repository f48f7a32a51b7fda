"""Movement, division and death."""

import numpy as np
import pytest

from isl.core.errors import ConfigError
from isl.simulate.scenes.config import LifeConfig
from isl.simulate.scenes.life import check_time, family

PLACE = np.array([10.0, 20.0])
LIFE = LifeConfig(cycle_h=10.0, death_per_h=0.0)


def test_the_founder_stands_at_its_place_at_the_start():
    [founder] = family((1, 2), PLACE, LIFE, 0.0)
    assert founder.path == 1
    assert founder.centre_um == (10.0, 20.0)
    assert founder.dead_h is None


def test_a_walk_is_continuous_and_as_fast_as_asked():
    life = LifeConfig(cycle_h=None, death_per_h=0.0, speed_um_per_h=12.0, persistence_h=5.0)
    moved = []
    for founder in range(200):
        [before] = family((founder,), PLACE, life, 3.0)
        [after] = family((founder,), PLACE, life, 3.1)
        moved.append(np.subtract(after.centre_um, before.centre_um) / 0.1)
    speed = np.sqrt((np.array(moved) ** 2).sum(axis=1).mean())
    assert speed == pytest.approx(12.0, rel=0.15)


def test_division_gives_two_daughters_at_the_mothers_place():
    times = np.arange(0, 12, 0.1)
    counts = [len(family((5,), PLACE, LIFE, t, apart_um=3.0)) for t in times]
    divided = int(np.argmax(np.array(counts) == 2))
    assert counts[0] == 1
    assert counts[divided] == 2
    [mother] = family((5,), PLACE, LIFE, times[divided - 1], apart_um=3.0)
    left, right = family((5,), PLACE, LIFE, times[divided], apart_um=3.0)
    middle = np.add(left.centre_um, right.centre_um) / 2
    assert np.hypot(*(middle - mother.centre_um)) < 3.0
    assert np.hypot(*np.subtract(left.centre_um, right.centre_um)) == pytest.approx(6.0, abs=3.0)
    assert {mother.path, left.path, right.path} == {1, 2, 3}


def test_a_family_doubles_once_per_cycle():
    late = [len(family((f,), PLACE, LIFE, 30.0)) for f in range(40)]
    assert 2**2 < np.mean(late) < 2**3.5
    paths = [cell.path for cell in family((1,), PLACE, LIFE, 30.0)]
    assert len(set(paths)) == len(paths)


def test_deaths_come_at_the_asked_rate_and_stop_movement():
    life = LifeConfig(cycle_h=None, death_per_h=0.1)
    dead = [family((f,), PLACE, life, 5.0)[0] for f in range(400)]
    assert np.mean([c.dead_h is not None for c in dead]) == pytest.approx(
        1 - np.exp(-0.5), abs=0.07
    )
    number = next(f for f, c in enumerate(dead) if c.dead_h is not None)
    [later] = family((number,), PLACE, life, 50.0)
    assert later.centre_um == dead[number].centre_um


def test_founders_that_are_dividing_divide_soon():
    for founder in range(20):
        [now] = family((founder,), PLACE, LIFE, 0.0, dividing=True)
        assert 0 < now.left_h < LIFE.mitosis_h
        assert len(family((founder,), PLACE, LIFE, LIFE.mitosis_h, dividing=True)) == 2
        [other] = family((founder,), PLACE, LIFE, 0.0)
        assert other.left_h >= LIFE.mitosis_h


@pytest.mark.parametrize("time_h", [-1.0, float("nan"), float("inf"), 101.0])
def test_impossible_times_are_refused(time_h):
    with pytest.raises(ConfigError, match="time_h is"):
        check_time(time_h, LIFE)
