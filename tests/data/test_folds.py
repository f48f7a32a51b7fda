from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.data.folds import folds, leave_one_out, strips, usual_group
from isl.data.splits import split_fovs
from isl.io.arrays import fov_from_arrays


def field(name, well=None, shape=(8, 10), **labels):
    fov = fov_from_arrays({"phase": np.zeros(shape)}, name=name, well=well)
    return replace(fov, **labels)


def held_out(fovs, rule):
    return [n for n, part in split_fovs(fovs, rule, 0).fields.items() if part.heldout]


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(2, 5), st.randoms())
def test_each_field_is_held_out_once_and_folds_are_even(heights, count, random):
    fovs = [field(f"f{i}", shape=(height, 10)) for i, height in enumerate(heights)]
    count = min(count, len(fovs))
    rules = folds(fovs, count, "field")
    kept = [held_out(fovs, rule) for rule in rules]
    assert sorted(name for names in kept for name in names) == sorted(f.name for f in fovs)
    sizes = [sum(f.size_y for f in fovs if f.name in names) for names in kept]
    assert max(sizes) - min(sizes) <= max(heights)
    random.shuffle(fovs)
    assert folds(fovs, count, "field") == rules


@pytest.mark.parametrize("by", ["well", "plate", "condition", "donor", "dataset"])
def test_what_belongs_together_stays_together(by):
    fovs = [field(f"{name}{i}", **{by: name}) for name in "abcde" for i in range(3)]
    kept = [held_out(fovs, rule) for rule in folds(fovs, 2, by)]
    assert sorted(map(len, kept)) == [6, 9]
    assert all(len(names) == 3 * len({name[0] for name in names}) for names in kept)
    assert leave_one_out(fovs, by) == tuple(f"{by}s:{name}" for name in "abcde")


def test_one_field_at_a_time_in_several_data_sets():
    fovs = [field(f"{d}:A4", dataset=d) for d in ("x", "y")]
    rules = leave_one_out(fovs, "field")
    assert [held_out(fovs, rule) for rule in rules] == [["x:A4"], ["y:A4"]]


def test_impossible_folds_are_refused():
    fovs = [field(name, well=name) for name in "ab"]
    with pytest.raises(ConfigError, match=r"3 folds need as many wells, .* only 2 wells \(a, b\)"):
        folds(fovs, 3, "well")
    with pytest.raises(ConfigError, match="at least 2 folds"):
        folds(fovs, 1, "well")
    with pytest.raises(ConfigError, match="field a cannot be dealt out by donor: its donor is not"):
        folds(fovs, 2, "donor")
    with pytest.raises(ConfigError, match=r"leaving out one well needs .* only a; divide by"):
        leave_one_out(fovs[:1], "well")


@given(st.integers(2, 200), st.integers(2, 7))
def test_strips_cover_all_columns_once(width, count):
    fovs = [field("wide", shape=(4, width)), field("narrow", shape=(4, 1))]
    if count > width:
        with pytest.raises(ConfigError, match="cannot be divided"):
            strips(fovs, count)
        return
    found = [split_fovs(fovs[:1], rule, 0).fields["wide"] for rule in strips(fovs, count)]
    boxes = [box for part in found for box in part.heldout]
    assert [box.x0 for box in boxes] == [0, *(box.x1 for box in boxes[:-1])]
    assert boxes[-1].x1 == width
    assert max(b.size for b in boxes) - min(b.size for b in boxes) <= 4


def test_wells_are_dealt_out_where_there_are_enough():
    wells = [field(f"{w}{i}", well=w) for w in "abc" for i in range(2)]
    assert usual_group(wells, 3) == "well"
    assert usual_group(wells, 5) == "field"
    assert usual_group([*wells, field("x")], 3) == "field"
    assert usual_group(wells, 7) is None
