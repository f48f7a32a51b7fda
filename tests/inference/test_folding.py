import pytest
import torch
from inference_scene import TINY, make_network
from torch import nn

from isl.core.networks import NetworkConfig
from isl.inference.folding import fold_batch_norm


@pytest.mark.parametrize(
    "config", [TINY, NetworkConfig(widths=(3, 4, 5), blocks=(2, 1, 1), stem_stride=4, z_slots=3)]
)
def test_folding_changes_nothing_and_leaves_no_batch_norm(config):
    network = make_network(config, targets=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold_batch_norm(network)
    source = torch.randn(1, 4, 32, 48)
    z_position = torch.linspace(0, 1, 4)[None]
    with torch.inference_mode():
        expected = network(source, z_position)
        torch.testing.assert_close(
            folded(source, z_position), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
        )
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
