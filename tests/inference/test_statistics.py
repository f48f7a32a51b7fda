import pytest
import torch

from isl.core.errors import ConfigError
from isl.inference.model_card import TargetCard
from isl.inference.statistics import channel_names, compute_statistics, parse_statistics
from isl.models.categorical import Categorical
from isl.models.distribution import SplitLogistic

DAPI = TargetCard(name="DAPI", offset=1, scale=1, window=(0, 10))


def one_pixel(median, left, right):
    return SplitLogistic(*(torch.full((1, 1, 1), v) for v in (median, left, right)))


def test_channels_are_all_targets_of_a_statistic_then_of_the_next():
    names = channel_names(("DAPI", "MAP2"), parse_statistics(["median", "q0.05"]))
    assert names == ("DAPI", "MAP2", "DAPI q0.05", "MAP2 q0.05")


def test_values_come_in_the_order_of_the_names():
    values = compute_statistics(
        one_pixel(5.0, 1.0, 3.0),
        parse_statistics(["q0.9", "median", "mode", "mean", "std", "q.1"]),
        [DAPI],
    )
    upper, median, mode, mean, std, lower = values[:, 0, 0].tolist()
    assert median == 5.0
    assert mode == 5.0
    assert mean > median
    assert std > 0
    assert upper - median == pytest.approx(3 * (median - lower), rel=1e-5)


@pytest.mark.parametrize("name", ["average", "q0", "q1.0", "q1.5", "q0.0", "q-0.1", "Q0.5", ""])
def test_unknown_statistic_lists_what_there_is(name):
    with pytest.raises(ConfigError, match=r"there are median, mean, .*entropy, and quantiles"):
        parse_statistics([name])


def test_double_or_no_statistic_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        parse_statistics(["median", "median"])
    with pytest.raises(ConfigError, match="at least one"):
        parse_statistics([])


@pytest.mark.parametrize(("one", "other"), [("q0.05", "q.05"), ("q0.5", "q0.50")])
def test_a_quantile_in_two_spellings_is_a_double(one, other):
    with pytest.raises(ConfigError, match=f"{one} and {other} are the same quantile"):
        parse_statistics(["median", one, other])


def test_window_of_a_deviation_starts_at_zero():
    median, std = parse_statistics(["median", "std"])
    target = TargetCard(name="DAPI", offset=100, scale=10, window=(80, 300))
    assert median.window(target) == (80, 300)
    assert std.window(target) == (0, 20)
    assert median.window(target.model_copy(update={"window": None})) == (90, 140)
    (entropy,) = parse_statistics(["entropy"])
    assert entropy.window(target) == (0, 1)
    assert entropy.channel("DAPI") == "DAPI entropy"


def entropy_and_nonzero(distribution, *targets):
    names = parse_statistics(["entropy", "nonzero"])
    return compute_statistics(distribution, names, targets)[:, 0, 0].tolist()


def test_a_density_is_rounded_to_256_classes_of_the_window():
    d = one_pixel(5.0, 1.0, 3.0)
    edges = (torch.arange(255, dtype=torch.float64) + 0.5) * 10 / 255
    up_to = d.cdf(edges.view(-1, 1, 1)).flatten()
    p = torch.cat([up_to[:1], up_to.diff(), 1 - up_to[-1:]])
    entropy, nonzero = entropy_and_nonzero(d, DAPI)
    expected = -(p * (p + 1e-7).log()).sum().item() / torch.tensor(256.0).log().item()
    assert entropy == pytest.approx(expected, abs=1e-4)
    assert nonzero == pytest.approx(1 - p[0].item(), abs=1e-6)


def test_classes_span_the_display_range_where_there_is_no_window():
    d = one_pixel(5.0, 1.0, 3.0)
    bare = DAPI.model_copy(update={"window": None, "offset": 2, "scale": 2})
    assert entropy_and_nonzero(d, bare) == entropy_and_nonzero(d, DAPI)


def test_a_certain_or_dark_pixel_has_no_entropy():
    assert entropy_and_nonzero(one_pixel(5.01, 1e-4, 1e-4), DAPI) == pytest.approx((0, 1), abs=1e-3)
    assert entropy_and_nonzero(one_pixel(-9.0, 0.1, 0.1), DAPI) == pytest.approx((0, 0), abs=1e-6)


def test_each_target_has_its_own_range():
    parts = (torch.full((2, 1, 1), v) for v in (5.0, 1.0, 1.0))
    names = parse_statistics(["nonzero"])
    brighter = DAPI.model_copy(update={"name": "MAP2", "window": (100, 200)})
    values = compute_statistics(SplitLogistic(*parts), names, [DAPI, brighter])
    assert values[0].item() > 0.9
    assert values[1].item() < 0.1


def test_classes_of_a_distribution_are_its_own():
    p = torch.tensor([0.1, 0.2, 0.2, 0.5]).view(4, 1, 1, 1)
    d = Categorical(p, torch.zeros(1, 1, 1), torch.full((1, 1, 1), 7.0))
    assert entropy_and_nonzero(d, DAPI) == pytest.approx((0.8805, 0.9), abs=1e-4)
