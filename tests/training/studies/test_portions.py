"""Parts of the training data, with the held-out part as it is."""

from dataclasses import replace

import numpy as np
import pytest
from training_scene import field

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.data.splits import split_datasets
from isl.io.roles import Roles
from isl.training.studies.portions import choose_amounts, heldout_fields, make_portion, train_fields

ROLES = Roles("phase", ("DAPI", "MAP2"), "as asked")


def split_of(fovs, rule, margin=8):
    return split_datasets(fovs, rule, {}, margin)


@pytest.mark.parametrize("share", [0.125, 0.5, 1.0])
def test_a_share_of_a_field_is_a_strip_and_the_held_out_part_stays(share):
    fov = field()
    split = split_of([fov], "columns:64-95")
    portion = make_portion([fov], split, ROLES, share, seed=0)
    (part,) = portion.fovs
    seen = np.isfinite(part.read("DAPI")[0]).all(0)
    width = round(56 * share)
    assert seen[:width].all()
    assert not seen[width:56].any()
    assert seen[64:].all()
    assert portion.pixels == 48 * width
    assert np.array_equal(part.read("phase"), fov.read("phase"))
    box = Box(3, 40, width - 2, 90)
    assert np.array_equal(
        part.read("DAPI", box=box), part.read("DAPI")[(..., *box.slices)], equal_nan=True
    )
    assert split_of(portion.fovs, portion.holdout).fields == split.fields


def test_where_rows_are_held_out_the_strip_has_rows():
    fov = field()
    split = split_of([fov], "rows:40-47", margin=4)
    (part,) = make_portion([fov], split, ROLES, 0.5, seed=0).fovs
    assert (
        np.isfinite(part.read("DAPI")[0]).all(1).tolist() == [True] * 18 + [False] * 22 + [True] * 8
    )


def test_a_strip_goes_on_beyond_the_held_out_part():
    fov = field()
    split = split_of([fov], "columns:20-39", margin=4)
    portion = make_portion([fov], split, ROLES, 0.75, seed=0)
    seen = np.isfinite(portion.fovs[0].read("MAP2")[0]).all(0)
    assert seen[:16].all()
    assert seen[20:40].all()
    assert seen[44:79].all()
    assert not seen[79:].any()


def test_larger_amounts_hold_smaller_ones_and_all_keep_the_same_back():
    fovs = [field("a" * (i + 1), well=f"B/{i // 2:02}") for i in range(8)]
    fovs[0] = field("a", without=("MAP2",), well="B/00")
    split = split_of(fovs, "wells:B/01")
    held_out = {fov.name for fov in heldout_fields(fovs, split)}
    before: set[str] = set()
    for amount in (1, 2, 6):
        portion = make_portion(fovs, split, ROLES, amount, seed=3)
        again = split_of(portion.fovs, portion.holdout)
        trained = {fov.name for fov in train_fields(portion.fovs, again)}
        assert {fov.name for fov in heldout_fields(portion.fovs, again)} == held_out
        assert len(trained) == amount
        assert before <= trained
        before = trained
        assert portion.pixels == amount * 48 * 96
    (first,) = train_fields(
        (one := make_portion(fovs, split, ROLES, 1, seed=3)).fovs, split_of(one.fovs, one.holdout)
    )
    assert first.name != "a"  # the one that lacks a target


def test_fields_that_are_not_chosen_still_give_their_held_out_columns():
    fovs = [field("a"), field("bb")]
    split = split_of(fovs, "columns:64-95")
    portion = make_portion(fovs, split, ROLES, 1, seed=0)
    shown = [np.isfinite(fov.read("DAPI")[0]).all(0) for fov in portion.fovs]
    assert sorted(int(seen[:56].sum()) for seen in shown) == [0, 56]
    assert all(seen[64:].all() for seen in shown)


def test_each_data_set_keeps_its_own_rule():
    fovs = [replace(field("n:a"), dataset="n")]
    fovs += [replace(field(f"f:{'b' * i}"), dataset="f") for i in range(1, 4)]
    split = split_datasets(fovs, None, {"n": "columns:64-95", "f": "fovs:b"}, 8)
    portion = make_portion(fovs, split, ROLES, 2, seed=0)
    again = split_of(portion.fovs, portion.holdout)
    assert {f.dataset for f in train_fields(portion.fovs, again)} == {"n", "f"}
    assert {f.name for f in heldout_fields(portion.fovs, again)} == {"n:a", "f:b"}


def test_amounts_that_are_chosen_by_default():
    assert choose_amounts(1, None, None) == (0.125, 0.25, 0.5, 1.0)
    assert choose_amounts(6, None, None) == (1, 2, 4, 6)
    assert choose_amounts(8, None, None) == (1, 2, 4, 8)
    assert choose_amounts(6, [4, 2, 4], None) == (2, 4)
    assert choose_amounts(6, None, [0.01, 0.5, 1]) == (1, 3, 6)


@pytest.mark.parametrize(
    ("fields", "amounts", "fractions", "message"),
    [
        (3, [1], [0.5], "not both"),
        (1, [1], None, "only one field"),
        (3, [0, 4], None, "amounts 0, 4: there are 3"),
        (3, None, [1.5], "fractions 1.5: there are 1"),
    ],
)
def test_amounts_out_of_reach_are_refused(fields, amounts, fractions, message):
    with pytest.raises(ConfigError, match=message):
        choose_amounts(fields, amounts, fractions)
