from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.data.splits import split_datasets, split_fovs
from isl.io.arrays import fov_from_arrays


def field(name="a", well=None, shape=(40, 100), **labels):
    fov = fov_from_arrays({"phase": np.zeros(shape)}, name=name, well=well)
    return replace(fov, **labels)


def held_out(split):
    return [name for name, part in split.fields.items() if part.heldout]


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
        ("half of it", "wells:NAME,NAME, fovs:NAME,NAME, .* or none"),
        ("share:2", "between 0 and 1"),
        ("share:0.0", "between 0 and 1"),
        ("conditions:drug", "field a cannot be held out by conditions: .* a column 'condition'"),
        ("none[", "cannot hold out 'none\\['"),
        ("x[none]; x[rows:0-1]", "two rules for x"),
        ("x[none]", "a rule for what is held out of x, but no such data set"),
        ("columns:a", "cannot read the region"),
    ],
)
def test_impossible_rules_are_refused(rule, message):
    with pytest.raises(ConfigError, match=message):
        split_fovs([field(well="A/1")], rule, 8)


def test_a_single_narrow_field_is_not_divided():
    with pytest.raises(ConfigError, match="3 columns cannot be divided"):
        split_fovs([field(shape=(40, 3))], None, 8)


@pytest.mark.parametrize("kind", ["plate", "condition", "donor", "dataset"])
def test_fields_are_held_out_by_what_is_known_of_them(kind):
    fovs = [field(str(i), **{kind: value}) for i, value in enumerate("xyzx")]
    assert held_out(split_fovs(fovs, f"{kind}s:x", 0)) == ["0", "3"]
    assert held_out(split_fovs(fovs, f"{kind}s:y,z", 0)) == ["1", "2"]
    with pytest.raises(ConfigError, match=f"cannot hold out {kind}s w; there are: x, y, z"):
        split_fovs(fovs, f"{kind}s:w", 0)


def test_a_field_of_unknown_condition_is_named():
    fovs = [field("known", condition="drug"), field("lost")]
    with pytest.raises(ConfigError, match="field lost cannot be held out by conditions"):
        split_fovs(fovs, "conditions:drug", 0)


def test_names_may_hold_commas():
    fovs = [field("a", condition="drug, low"), field("b", condition="drug"), field("c, d")]
    fovs[2] = replace(fovs[2], condition="none")
    assert held_out(split_fovs(fovs, "conditions:drug, low", 0)) == ["a"]
    assert held_out(split_fovs(fovs, "conditions:drug,drug, low", 0)) == ["a", "b"]
    assert held_out(split_fovs(fovs, "fovs:c, d,a", 0)) == ["a", "c, d"]


@given(st.integers(2, 30), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_share_is_neither_nothing_nor_all(count, share, seed):
    split = split_fovs([field(str(i)) for i in range(count)], f"share:{share:.2f}:{seed}", 0)
    assert 1 <= len(held_out(split)) < count


def test_a_share_stays_as_it_was_when_fields_are_added():
    few, more = ([field(f"f{i}") for i in range(n)] for n in (40, 60))
    before = held_out(split_fovs(few, "share:0.3", 0))
    after = held_out(split_fovs(more, "share:0.3", 0))
    assert [name for name in after if name in {f.name for f in few}] == before
    assert 6 <= len(before) <= 18
    assert held_out(split_fovs(few, "share:0.3:1", 0)) != before


def test_a_share_is_of_wells_where_there_are_any():
    fovs = [field(f"{well}/{i}", well=well) for well in "ABCDEFGH" for i in range(3)]
    split = split_fovs(fovs, "share:0.4", 0)
    kept_back = {name.partition("/")[0] for name in held_out(split)}
    assert len(held_out(split)) == 3 * len(kept_back)
    assert 0 < len(kept_back) < 8


def several():
    """Two data sets and a field of neither."""
    neurons = [field("neurons:A4", dataset="neurons")]
    flow = [field(f"flow:{w}", well=w, dataset="flow") for w in ("B/03", "B/04")]
    return [*neurons, *flow, field("alone")]


def test_each_data_set_is_divided_by_itself():
    split = split_datasets(several(), None, {"neurons": "rows:0-9"}, 4)
    assert split.holdout == "neurons[rows:0-9]; flow[wells:B/04]; [columns:75-99]"
    assert held_out(split) == ["neurons:A4", "flow:B/04", "alone"]
    assert split.fields["neurons:A4"].heldout[0].shape == (10, 100)
    assert list(split.fields) == [fov.name for fov in several()]


def test_rules_of_several_data_sets_make_the_same_split_again():
    for holdout, own in (
        (None, {}),
        ("columns:80-99", {"flow": "fovs:B/03"}),
        ("flow[share:0.5]", {"neurons": "none", "flow": "wells:B/03"}),
    ):
        split = split_datasets(several(), holdout, own, 4)
        again = split_fovs(several(), split.holdout, 4)
        assert again.fields == split.fields
        assert again.holdout == split.holdout


def test_one_rule_for_all_is_a_plain_one():
    assert split_datasets(several(), "columns:80-99", {}, 4).holdout == "columns:80-99"
    fovs = [replace(fov, dataset="flow") for fov in several()]
    assert split_datasets(fovs, None, {"flow": "rows:0-3"}, 0).holdout == "rows:0-3"


def test_a_data_set_is_held_out_as_a_whole_whatever_its_own_rule():
    fovs = several()[:3]
    split = split_datasets(fovs, "datasets:flow", {"neurons": "rows:0-3"}, 0)
    assert split.holdout == "datasets:flow"
    assert held_out(split) == ["flow:B/03", "flow:B/04"]


def test_errors_name_the_data_set():
    with pytest.raises(ConfigError, match="data set flow: cannot hold out wells Z/9"):
        split_datasets(several(), None, {"flow": "wells:Z/9"}, 0)
    with pytest.raises(ConfigError, match=r"held out of fow, but no such data set; .*flow"):
        split_datasets(several(), None, {"fow": "none"}, 0)
