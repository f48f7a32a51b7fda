import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.data.splits import split_fovs
from isl.io.arrays import fov_from_arrays


def field(name="a", well=None, shape=(40, 100)):
    return fov_from_arrays({"phase": np.zeros(shape)}, name=name, well=well)


def covered(boxes, shape):
    mask = np.zeros(shape, int)
    for box in boxes:
        mask[box.slices] += 1
    return mask


@given(
    st.integers(0, 99), st.integers(0, 99), st.integers(0, 20), st.sampled_from(["columns", "rows"])
)
def test_region_parts_are_disjoint_and_a_margin_apart(a, b, margin, axis):
    shape = (100, 40) if axis == "rows" else (40, 100)
    first, last = sorted((a, b))
    if first <= margin and last + margin >= 99:
        with pytest.raises(ConfigError, match="leaves nothing"):
            split_fovs([field(shape=shape)], f"{axis}:{first}-{last}", margin)
        return
    split = split_fovs([field(shape=shape)], f"{axis}:{first}-{last}", margin)
    part = split.fields["a"]
    train, heldout = covered(part.train, shape), covered(part.heldout, shape)
    assert train.max() <= 1
    assert not (train & heldout).any()
    along = 0 if axis == "rows" else 1
    train_at = np.flatnonzero(train.any(1 - along))
    assert np.array_equal(np.flatnonzero(heldout.any(1 - along)), np.arange(first, last + 1))
    assert min(abs(train_at - first).min(), abs(train_at - last).min()) == margin + 1


def test_single_field_keeps_its_last_quarter_back():
    split = split_fovs([field()], None, 8)
    assert split.holdout == "columns:75-99"
    assert split.fields["a"].train[0].x1 == 67


def test_wells_go_before_fields():
    fovs = [field(f"{w}/{i}", well=w) for w in ("A/1", "A/2", "A/3") for i in range(2)]
    split = split_fovs(fovs, None, 0)
    assert split.holdout == "wells:A/3"
    assert [n for n, part in split.fields.items() if part.heldout] == ["A/3/0", "A/3/1"]
    assert not split.fields["A/3/0"].train


def test_one_field_in_five():
    split = split_fovs([field(str(i)) for i in range(7)], None, 0)
    assert split.holdout == "fovs:6,1"


def test_the_stored_rule_makes_the_same_split():
    for fovs in ([field()], [field(str(i)) for i in range(3)]):
        split = split_fovs(fovs, None, 4)
        assert split_fovs(fovs, split.holdout, 4).fields == split.fields


def test_none_holds_nothing_back():
    part = split_fovs([field()], "none", 8).fields["a"]
    assert part.heldout == ()
    assert part.train[0].shape == (40, 100)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("wells:Z/9", "cannot hold out wells Z/9; there are"),
        ("fovs:", "none named"),
        ("columns:0-99", "leaves nothing to train on"),
        ("columns:500-600", "no field reaches that far"),
        ("half of it", "wells:NAME,NAME, fovs:NAME,NAME or none"),
        ("columns:a", "cannot read the region"),
    ],
)
def test_impossible_rules_are_refused(rule, message):
    with pytest.raises(ConfigError, match=message):
        split_fovs([field()], rule, 8)


def test_a_single_narrow_field_is_not_divided():
    with pytest.raises(ConfigError, match="3 columns cannot be divided"):
        split_fovs([field(shape=(40, 3))], None, 8)
