import numpy as np
import pytest

from isl.core.axes import Box
from isl.core.errors import ChannelError
from isl.io.arrays import fov_from_arrays
from isl.io.derived import with_mean_channel, with_one_name


def field(**channels):
    rng = np.random.default_rng(0)
    images = {n: rng.integers(0, 65535, (z, 6, 7)).astype(np.uint16) for n, z in channels.items()}
    return fov_from_arrays(images, name="a"), images


def test_mean_is_read_like_any_channel():
    fov, images = field(DIC=3, A=1, B=1)
    derived = with_mean_channel(fov, "AB", ["A", "B"])
    assert derived.channel_names == ("DIC", "A", "B", "AB")
    found = derived.read("AB", box=Box(1, 5, 2, 7))
    expected = (images["A"].astype(float) + images["B"]) / 2
    assert found.dtype == np.uint16
    assert np.abs(found - expected[:, 1:5, 2:7]).max() <= 0.5
    np.testing.assert_array_equal(derived.read("DIC"), images["DIC"])
    twice = with_mean_channel(derived, "AAB", ["A", "AB"])
    assert np.abs(twice.read("AAB") - (images["A"] / 2 + expected / 2)).max() <= 1


def test_mean_is_absent_where_a_part_is():
    fov, _ = field(DIC=3, A=1)
    assert with_mean_channel(fov, "AB", ["A", "B"]) is fov


def test_mean_that_cannot_be_is_refused():
    fov, _ = field(A=1, B=3)
    with pytest.raises(ChannelError, match="A 1, B 3"):
        with_mean_channel(fov, "AB", ["A", "B"])
    with pytest.raises(ChannelError, match="already"):
        with_mean_channel(field(A=1, B=1)[0], "A", ["A", "B"])


def test_sources_get_one_name():
    fov, images = field(PHASE=3, A=1)
    named = with_one_name(fov, ["DIC", "PHASE"], "TRANSMISSION")
    assert named.channel_names == ("TRANSMISSION", "A")
    np.testing.assert_array_equal(named.read("TRANSMISSION"), images["PHASE"])


@pytest.mark.parametrize("channels", [{"A": 1}, {"DIC": 3, "PHASE": 3}])
def test_each_field_has_exactly_one_source(channels):
    with pytest.raises(ChannelError, match="exactly one source"):
        with_one_name(field(**channels)[0], ["DIC", "PHASE"], "TRANSMISSION")
