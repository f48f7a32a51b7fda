"""One of two processes that share a batch; says what it computed.  Run by test_distributed.py."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist

from isl.core.config import TrainConfig
from isl.core.networks import Isl2018Config, NetworkConfig
from isl.data.patches import Batch
from isl.models.build import build_labeling_network
from isl.training.loss import batch_loss
from isl.training.processes.distributed import from_first, largest, own_share, total
from isl.training.processes.sync_batch_norm import share_batch_norm, unshare_batch_norm

NETWORKS = {
    "default": (NetworkConfig(widths=(8, 8), blocks=(1, 1), dropout=0.0, z_slots=3), 32),
    "isl2018": (Isl2018Config(base_depth=8, planes=3, classes=4), 250),
}
CONFIG = TrainConfig(difficulty_power=1.5)
WEIGHTS = (1.0, 3.0, 2.0)


def shared_batch(side):
    """Four patches; target A is partly there, B in the first half alone, C nowhere."""
    generator = torch.Generator().manual_seed(5)
    source = torch.randn(4, 3, side, side, generator=generator)
    target = torch.rand(4, 3, side, side, generator=generator)
    presence = torch.rand(4, 3, side, side, generator=generator) > 0.4
    presence[2:, 1] = False
    presence[:, 2] = False
    return Batch(source, torch.linspace(0, 1, 3).expand(4, 3), target, presence)


def computed(name, share):
    """Loss, gradients and state of a network after one look at a share of the batch."""
    network_config, side = NETWORKS[name]
    torch.manual_seed(0)
    network = build_labeling_network(network_config, ["A", "B", "C"]).train()
    for parameter in network.parameters():
        parameter.data += 0.01
    share_batch_norm(network)
    part = Batch(*(values[share] for values in shared_batch(side)))
    loss = batch_loss(network, part, CONFIG, WEIGHTS)
    loss.backward()
    gradients = {n: p.grad for n, p in network.named_parameters()}
    unshare_batch_norm(network)
    return loss.detach(), gradients, network.state_dict()


def main():
    rank, store, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    device = torch.device("cpu")
    said = {
        "total": total(torch.tensor([1.0, rank])),
        "from_first": from_first(3.5 + rank, device),
        "largest": largest(2 + rank, device),
        "share": own_share(4),
    }
    for name in NETWORKS:
        loss, gradients, state = computed(name, own_share(4))
        mean = {n: total(g) / 2 for n, g in gradients.items()}
        said[name] = (total(loss) / 2, mean, state)
    torch.save(said, result)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
