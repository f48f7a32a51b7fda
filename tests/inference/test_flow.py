from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isl.core.errors import ConfigError
from isl.core.networks import ConvNeXtConfig, NetworkConfig, UNetConfig
from isl.inference.flow import flow, plan_bands
from isl.models.build import build_labeling_network
from isl.models.density import DensityNetwork

NETWORKS: dict[str, DensityNetwork] = {}
CONFIGS = {
    "default": NetworkConfig(widths=(4, 6, 8), blocks=(2, 1, 1)),
    "one level": NetworkConfig(widths=(4,), blocks=(1,), stem_stride=2),
    "unet": UNetConfig(widths=(4, 8)),
    "convnext": ConvNeXtConfig(widths=(4, 8), blocks=(1, 1)),
}
HEIGHT = 256


def network(name: str) -> DensityNetwork:
    if name not in NETWORKS:
        torch.manual_seed(0)
        built = build_labeling_network(CONFIGS[name], ("a",)).eval().requires_grad_(False)
        assert isinstance(built, DensityNetwork)
        NETWORKS[name] = built
    return NETWORKS[name]


def through(net: DensityNetwork, image: torch.Tensor, wanted: tuple[int, int], band_px: int):
    stages = net.stages()
    bands = plan_bands(stages, image.shape[2], wanted, band_px)
    source = (image[:, :, slice(*band.source)] for band in bands if band.reads)
    runs = {stage.name: stage.module for stage in stages}
    return list(flow(stages, runs, image.shape[2], bands, source))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(list(CONFIGS)), st.integers(0, 200), st.integers(1, 256), st.integers(1, 300)
)
def test_bands_are_the_whole_image(name, first, rows, band_px):
    net = network(name)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 13, HEIGHT, 2 * net.stride, generator=generator)
    whole = net.body(image)
    wanted = (first, min(first + rows, HEIGHT))
    found = through(net, image, wanted, band_px)
    assert (found[0][0][0], found[-1][0][1]) == wanted
    joined = torch.cat([raw for _, raw in found], 2)
    torch.testing.assert_close(joined, whole[:, :, slice(*wanted)], rtol=1e-4, atol=1e-4)


def test_bands_of_the_source_overlap_by_no_more_than_the_first_stage_reaches():
    stages = network("default").stages()
    bands = plan_bands(stages, HEIGHT, (64, 200), 32)
    read = [band.source for band in bands if band.reads]
    assert all(above[1] - low <= 2 * stages[0].reach_px for above, (low, _) in pairwise(read))


def test_hardly_anything_is_computed_twice():
    """What a band adds to each stage is about as many rows as it has itself."""
    bands = plan_bands(network("default").stages(), 10_000 * 16, (0, 100 * 512), 512)
    for band in bands[2:-1]:
        assert {high - low for low, high in band.new.values()} == {512}


@pytest.mark.parametrize("band_px", [16, 64, 256])
def test_no_stage_has_many_more_rows_than_a_band_at_once(band_px):
    """What the receptive field adds above the first band comes in bands of its own."""
    bands = plan_bands(network("default").stages(), 4096, (1024, 2048), band_px)
    assert max(high - low for band in bands for low, high in band.new.values()) <= band_px + 16
    assert sum(band.rows[1] - band.rows[0] for band in bands) == 1024


def test_bands_need_rows():
    with pytest.raises(ConfigError, match="hold nothing"):
        plan_bands(network("default").stages(), HEIGHT, (0, 10), 0)
