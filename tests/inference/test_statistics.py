import pytest
import torch

from isl.core.errors import ConfigError
from isl.inference.model_card import TargetCard
from isl.inference.statistics import channel_names, compute_statistics, parse_statistics
from isl.models.distribution import SplitLogistic


def one_pixel(median, left, right):
    return SplitLogistic(*(torch.full((1, 1, 1), v) for v in (median, left, right)))


def test_channels_are_all_targets_of_a_statistic_then_of_the_next():
    names = channel_names(("DAPI", "MAP2"), parse_statistics(["median", "q0.05"]))
    assert names == ("DAPI", "MAP2", "DAPI q0.05", "MAP2 q0.05")


def test_values_come_in_the_order_of_the_names():
    values = compute_statistics(
        one_pixel(5.0, 1.0, 3.0), parse_statistics(["q0.9", "median", "mode", "mean", "std", "q.1"])
    )
    upper, median, mode, mean, std, lower = values[:, 0, 0].tolist()
    assert median == 5.0
    assert mode == 5.0
    assert mean > median
    assert std > 0
    assert upper - median == pytest.approx(3 * (median - lower), rel=1e-5)


@pytest.mark.parametrize("name", ["average", "q0", "q1.0", "q1.5", "q0.0", "q-0.1", "Q0.5", ""])
def test_unknown_statistic_lists_what_there_is(name):
    with pytest.raises(ConfigError, match="there are median, mean, mode, std, and quantiles"):
        parse_statistics([name])


def test_double_or_no_statistic_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        parse_statistics(["median", "median"])
    with pytest.raises(ConfigError, match="at least one"):
        parse_statistics([])


def test_window_of_a_deviation_starts_at_zero():
    median, std = parse_statistics(["median", "std"])
    target = TargetCard(name="DAPI", offset=100, scale=10, window=(80, 300))
    assert median.window(target) == (80, 300)
    assert std.window(target) == (0, 20)
    assert median.window(target.model_copy(update={"window": None})) == (90, 140)
