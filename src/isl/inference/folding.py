"""Fold batch normalisation into the convolution before it: the same numbers, fewer passes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from isl.models.labeling import LabelingNetwork
from isl.models.network import ResidualBlock


def fold_batch_norm(network: LabelingNetwork) -> LabelingNetwork:
    """Copy a network for inference, its batch normalisations folded into its convolutions.

    Parameters
    ----------
    network
        As trained; not changed. Where a normalisation does not follow a convolution, it stays.

    Returns
    -------
    LabelingNetwork
        In evaluation mode, without gradients. Its output differs by rounding only.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for parent, convolution, norm in list(_pairs(folded)):
        fused = fuse_conv_bn_eval(getattr(parent, convolution), getattr(parent, norm))
        setattr(parent, convolution, fused)
        setattr(parent, norm, nn.Identity())
    return folded


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Module, and the names in it of each convolution and the normalisation that follows it."""
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            yield module, "first", "first_norm"
            yield module, "second", "second_norm"
        elif isinstance(module, nn.Sequential):
            for (name, child), (following, norm) in pairwise(module.named_children()):
                if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    yield module, name, following
