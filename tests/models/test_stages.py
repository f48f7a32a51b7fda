from __future__ import annotations

import pytest
import torch

from isl.core.networks import AnyNetwork, ConvNeXtConfig, NetworkConfig, UNetConfig
from isl.models.build import build_labeling_network
from isl.models.density import DensityNetwork
from isl.models.stages import SOURCE, run_stages

CONFIGS: list[AnyNetwork] = [
    NetworkConfig(widths=(8, 12, 16), blocks=(2, 1, 1), stem_stride=4),
    NetworkConfig(widths=(8,), blocks=(1,), stem_stride=2),
    UNetConfig(widths=(4, 8)),
    ConvNeXtConfig(widths=(8, 12), blocks=(1, 1)),
]
IDS = ["default", "one-level", "unet", "convnext"]


@pytest.fixture(params=CONFIGS, ids=IDS)
def network(request: pytest.FixtureRequest) -> DensityNetwork:
    torch.manual_seed(0)
    built = build_labeling_network(request.param, ("a", "b")).eval().requires_grad_(False)
    assert isinstance(built, DensityNetwork)
    return built


def test_stages_are_the_network(network: DensityNetwork) -> None:
    sampled = torch.randn(1, 13, 4 * network.stride, 6 * network.stride)
    positions = torch.linspace(0, 1, 13)[None]
    whole = network(sampled, positions)
    assert torch.equal(run_stages(network.stages(), sampled), whole)


def test_stages_name_what_they_need_before_they_need_it(network: DensityNetwork) -> None:
    known = {SOURCE}
    for stage in network.stages():
        assert known.issuperset(stage.inputs)
        assert stage.name not in known
        known.add(stage.name)
    assert network.stages()[-1].pitch_px == 1


def test_stages_reach_no_further_than_they_say(network: DensityNetwork) -> None:
    """Rows of a stage are the same when its inputs are cut at its reach."""
    torch.manual_seed(1)
    sampled = torch.randn(1, 13, 12 * network.margin_px, 2 * network.stride)
    found = {SOURCE: sampled}
    pitches = {SOURCE: 1}
    for stage in network.stages():
        inputs = [found[name] for name in stage.inputs]
        whole = stage.module(*inputs)
        start, stop = 4 * network.margin_px, 5 * network.margin_px
        low = (start - stage.reach_px) // stage.align_px * stage.align_px
        high = -(-(stop + stage.reach_px) // stage.align_px) * stage.align_px
        cut = [
            found[name][:, :, low // pitches[name] : high // pitches[name]] for name in stage.inputs
        ]
        pitch = stage.pitch_px
        part = stage.module(*cut)[:, :, (start - low) // pitch : (stop - low) // pitch]
        torch.testing.assert_close(part, whole[:, :, start // pitch : stop // pitch])
        found[stage.name], pitches[stage.name] = whole, pitch


def test_medians_only_gives_the_medians_alone(network: DensityNetwork) -> None:
    source = torch.randn(1, 13, 2 * network.stride, 2 * network.stride)
    positions = torch.linspace(0, 1, 13)[None]
    median = network.distribution(source, positions).median
    torch.testing.assert_close(network.medians_only()(source, positions), median)
    assert network(source, positions).shape[1] == 6


def test_stages_predict_as_their_network_does(network: DensityNetwork) -> None:
    assert not any(part.training for stage in network.stages() for part in stage.module.modules())
