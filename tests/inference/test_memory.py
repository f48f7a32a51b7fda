from __future__ import annotations

import pytest
import torch

from isl.core.errors import ConfigError
from isl.core.networks import ConvNeXtConfig, NetworkConfig
from isl.inference import memory
from isl.inference.memory import MOST_BAND_PX, Sides, available_bytes, parse_bytes, sides_for
from isl.models.build import build_labeling_network
from isl.models.network import build_network

NETWORK = build_network(NetworkConfig(), targets=3)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("2 gb", 2_000_000_000),
        ("1.5G", 1_500_000_000),
        ("500MB", 500_000_000),
        ("1GiB", 1 << 30),
        ("1000", 1000),
        (1e9, 1_000_000_000),
    ],
)
def test_amounts_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "2XB", "GB"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ConfigError, match="2GB"):
        parse_bytes(text)


def test_a_container_has_what_its_limit_leaves(monkeypatch, tmp_path):
    (tmp_path / "max").write_text("3000000")
    (tmp_path / "current").write_text("1000000")
    monkeypatch.setattr(
        memory, "_CGROUP_FILES", ((str(tmp_path / "max"), str(tmp_path / "current")),)
    )
    assert available_bytes() == 2_000_000
    (tmp_path / "max").write_text("max")
    assert available_bytes() > 2_000_000


def test_a_gpu_has_a_memory_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123_000, 456_000))
    assert available_bytes(torch.device("cuda")) == 123_000
    assert available_bytes(torch.device("cpu")) > 123_000


@pytest.mark.parametrize("in_bands", [True, False])
def test_less_memory_makes_smaller_tiles(in_bands):
    areas = []
    for nbytes in (8e9, 2e9, 1e9, 0.6e9):
        sides = sides_for(NETWORK, 13, int(nbytes), in_bands)
        areas.append((sides.band_px, sides.side_yx[1]))
        assert sides.band_px * NETWORK.bytes_per_pixel(13) <= nbytes
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[-1]


def test_bands_do_not_grow_without_end():
    assert sides_for(NETWORK, 13, 10**12, in_bands=True).band_px == MOST_BAND_PX


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(ConfigError, match=r"510 MB .* not enough .* needs 5\d\d MB"):
        sides_for(NETWORK, 200, 510_000_000, in_bands=True)


def test_halving_ends_at_the_stride():
    sides = Sides(1 << 20, (4096, 4096))
    for _ in range(8):
        sides = sides.half(16)
    assert sides.band_px == 1 << 12
    with pytest.raises(MemoryError, match="smallest tile"):
        Sides(256, (16, 16)).half(16)


def test_a_strip_leaves_room_for_new_rows():
    """Else each band would only repeat what the last one computed."""
    sides = sides_for(NETWORK, 13, 700_000_000, in_bands=True)
    columns = sides.side_yx[1] + 2 * NETWORK.margin_px
    assert sides.band_px / columns > 8 * NETWORK.reach_px


def test_torch_refusing_memory_is_recognised():
    from isl.inference.runner import is_out_of_memory

    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60)
    assert is_out_of_memory(refused.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("sizes do not match"))


def test_a_network_that_sees_very_far_is_given_tiles():
    """Strips and bands would be all margin."""
    far = build_labeling_network(ConvNeXtConfig(), ("a",))
    sides = sides_for(far, 13, 10_000_000_000, in_bands=True)
    rows, columns = sides.side_yx
    assert rows == columns >= 256
    assert (columns + 2 * far.margin_px) ** 2 <= sides.band_px
