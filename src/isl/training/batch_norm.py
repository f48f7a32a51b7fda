"""Statistics of batch norm, measured anew for the weights as they are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from isl.data.patches import Batch
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork


def refresh_batch_norm(network: LabelingNetwork, batches: Iterable[Batch]) -> None:
    """Replace running statistics by the mean over some batches.

    Running statistics are those of weights of many steps ago.  In a deep network whose weights
    still change fast the differences add up, and it predicts nonsense although it has learned.

    Parameters
    ----------
    network
        Changed in place, but for norms that are frozen; in the mode it was in afterwards.
    batches
        Batches of training patches.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if all(p.requires_grad for p in norm.parameters())]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches that follow
    was_training = network.training
    network.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        for batch in batches:
            _look_at(network, batch)
    network.train(was_training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _look_at(network: LabelingNetwork, batch: Batch) -> None:
    """Run the network as in training."""
    module: nn.Module = network.module if isinstance(network, Isl2018Labeling) else network
    if isinstance(network, Isl2018Labeling):
        module(network.features(batch.source, batch.z_position))
    else:
        module(batch.source, batch.z_position)
