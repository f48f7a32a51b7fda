import pytest
import torch

from isl.core.networks import Isl2018Config, NetworkConfig
from isl.data.patches import Batch
from isl.models.build import build_labeling_network
from isl.training.batch_norm import refresh_batch_norm


def batches(side, count=3):
    generator = torch.Generator().manual_seed(0)
    z = torch.tensor([[0.0, 1.0]])
    for _ in range(count):
        source = torch.rand(1, 2, side, side, generator=generator)
        yield Batch(source, z, source[:, :1], source[:, :1] > 0)


@pytest.mark.parametrize(
    ("config", "side", "first"),
    [
        (NetworkConfig(widths=(4,), blocks=(1,), z_slots=2), 32, lambda n: (n.stem[1], n.stem[2])),
        (
            Isl2018Config(base_depth=8, planes=2, classes=4),
            250,
            lambda n: (n.module.core.projection, n.module.core.towers[4][0].expand.norm),
        ),
    ],
)
def test_statistics_are_the_mean_over_the_batches(config, side, first):
    torch.manual_seed(0)
    network = build_labeling_network(config, ["A"]).train()
    layer, norm = first(network)
    momentum = norm.momentum
    norm.running_mean += 100.0
    seen = []
    handle = layer.register_forward_hook(lambda _, __, out: seen.append(out.mean((0, 2, 3))))
    refresh_batch_norm(network, batches(side))
    handle.remove()
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0), rtol=1e-4, atol=1e-5)
    assert norm.momentum == momentum
    assert network.training
    refresh_batch_norm(network.eval(), batches(side))
    assert not network.training
    assert not norm.training


def test_dropout_stays_off():
    torch.manual_seed(0)
    network = build_labeling_network(NetworkConfig(widths=(4,), blocks=(1,), dropout=0.9), ["A"])
    found = []
    for _ in range(2):
        refresh_batch_norm(network, batches(32))
        found.append(network.encoder[0][0].second_norm.running_var.clone())
    assert torch.equal(*found)
