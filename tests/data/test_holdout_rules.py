import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.data.holdout_rules import (
    GroupRule,
    draw_share,
    join_groups,
    names_in,
    parse_groups,
    parse_share,
)

NAMES = st.text("abc 1_-", min_size=1).map(str.strip).filter(bool)
RULES = st.sampled_from(["none", "wells:B/03,B/04", "columns:576-767", "fovs:a [1], b;c"])


@given(st.lists(NAMES, unique=True, min_size=1, max_size=5), st.data())
def test_rules_of_data_sets_survive_a_round_trip(names, data):
    groups = tuple(GroupRule((name,), data.draw(RULES)) for name in names)
    assert parse_groups(join_groups(groups)) == groups
    together = (GroupRule(tuple(names), data.draw(RULES)),)
    assert parse_groups(join_groups(together)) == together


@pytest.mark.parametrize("text", ["none", "columns:1-2", "fovs:a[1]", "share:0.2:7", "fovs:a,b"])
def test_a_single_rule_is_not_one_of_several_data_sets(text):
    assert parse_groups(text) == ()


def test_the_longest_name_that_is_there_is_taken():
    assert names_in("a, b,b,a", {"a", "b", "a, b"}) == ("a, b", "b", "a")
    assert names_in("x, ,y", {"a"}) == ("x", "y")


@pytest.mark.parametrize("text", ["", "0", "1", "1.5", "-0.2", "20%", "0.2:x", "0.00"])
def test_a_share_is_a_fraction(text):
    with pytest.raises(ConfigError, match=r"such as share:0\.2"):
        parse_share(text)


def test_a_share_may_have_a_seed():
    assert parse_share("0.25") == (0.25, 0)
    assert parse_share(".25:7") == (0.25, 7)


@given(st.sets(NAMES, min_size=1), st.floats(0.01, 0.99))
def test_a_draw_is_never_empty_and_the_same_in_any_order(names, share):
    drawn = draw_share(names, share, 0)
    assert drawn <= names
    assert drawn == draw_share(sorted(names, reverse=True), share, 0)
    assert len(drawn) >= 1
