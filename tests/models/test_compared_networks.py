"""The networks that the default one is compared with: one set of properties for both."""

import pytest
import torch

from isl.core.networks import ConvNeXtConfig, UNetConfig
from isl.models.build import build_labeling_network

CONFIGS = [
    UNetConfig(widths=(4, 6, 8), z_slots=5),
    UNetConfig(widths=(4,), z_slots=1),
    ConvNeXtConfig(widths=(4, 6), blocks=(1, 2), z_slots=5),
    ConvNeXtConfig(widths=(4, 4, 4), blocks=(1, 1, 1), stem_stride=1, z_slots=3),
]


def positions(planes):
    return torch.linspace(0, 1, planes)[None]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("planes", [1, 2, 13])
def test_distribution_has_the_size_of_the_input(config, planes):
    network = build_labeling_network(config, ["A", "B"])
    side = 4 * network.stride
    found = network.distribution(torch.randn(1, planes, side, 2 * side), positions(planes))
    assert found.median.shape == (1, 2, side, 2 * side)


@pytest.mark.parametrize("config", CONFIGS)
def test_gradient_reaches_every_parameter(config):
    network = build_labeling_network(config, ["A", "B"])
    network(torch.randn(2, 5, 64, 64), positions(5).expand(2, -1)).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("config", CONFIGS)
def test_receptive_field_is_inside_the_declared_one(config):
    network = build_labeling_network(config, ["A"]).double().eval()
    stride, margin = network.stride, network.margin_px
    side = 2 * margin + 5 * stride
    start = margin + 2 * stride
    source = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    raw = network(source, positions(3).double())
    raw[..., start : start + stride, start : start + stride].sum().backward()
    rows = source.grad[0].abs().sum(0).sum(1).nonzero()[:, 0]
    reach = max(start - int(rows[0]), int(rows[-1]) + 1 - (start + stride))
    assert reach <= margin
    assert margin - reach < 2 * stride


@pytest.mark.parametrize(
    ("config", "millions"), [(UNetConfig(), (7.5, 8.5)), (ConvNeXtConfig(), (28, 34))]
)
def test_default_sizes_are_those_of_the_published_networks(config, millions):
    network = build_labeling_network(config, ["A", "B", "C"])
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert millions[0] < count < millions[1]
