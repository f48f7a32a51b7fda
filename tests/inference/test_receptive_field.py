"""The margin that the network declares, against the one measured."""

import pytest
import torch
from inference_scene import make_network

from isl.core.networks import NetworkConfig


def measured_margin_px(network):
    """Largest distance from a cell of output pixels to a source pixel that its gradient reaches."""
    stride, side = network.stride, 2 * network.margin_px + 3 * network.stride
    side = -(-side // stride) * stride
    start = side // 2 // stride * stride
    source = torch.rand(1, 2, side, side, dtype=torch.float64, requires_grad=True)
    z_position = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    cell = network.double()(source, z_position)[..., start : start + stride, start : start + stride]
    cell.square().sum().backward()
    reached = source.grad.abs().sum((0, 1)) > 0
    rows = reached.any(1).nonzero().ravel()
    columns = reached.any(0).nonzero().ravel()
    assert rows[0] > 0
    assert rows[-1] < side - 1
    lowest, highest = min(rows[0], columns[0]), max(rows[-1], columns[-1])
    return int(max(start - lowest, highest - (start + stride - 1)))


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(widths=(2,), blocks=(1,), stem_stride=1, z_slots=2),
        NetworkConfig(widths=(2, 2), blocks=(1, 1), stem_stride=2, z_slots=2),
        NetworkConfig(widths=(2, 2), blocks=(3, 1), stem_stride=8, z_slots=2),
        NetworkConfig(widths=(2, 2, 2), blocks=(1, 2, 1), stem_stride=1, z_slots=2),
        NetworkConfig(widths=(2, 2, 2), z_slots=2),
    ],
)
def test_declared_margin_covers_the_measured_one_and_little_more(config):
    network = make_network(config, targets=1)
    for parameter in network.parameters():
        parameter.data.abs_()  # so that every rectifier lets the gradient through
    measured = measured_margin_px(network)
    assert measured <= network.margin_px <= measured + 2 * network.stride
