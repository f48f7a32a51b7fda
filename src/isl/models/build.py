"""Networks by their configuration."""

from collections.abc import Sequence

import torch

from isl.core.networks import AnyNetwork, ConvNeXtConfig, Isl2018Config, UNetConfig
from isl.models.convnext import ConvNeXtUNet
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.models.network import build_network
from isl.models.unet import UNet


def build_labeling_network(config: AnyNetwork, targets: Sequence[str]) -> LabelingNetwork:
    """Build the network that a configuration describes, with random weights.

    Parameters
    ----------
    config
        Its kind and size.
    targets
        Names of the targets.
    """
    if isinstance(config, Isl2018Config):
        return Isl2018Labeling(config, targets)
    if isinstance(config, UNetConfig):
        return _channels_last(UNet(config, len(targets)))
    if isinstance(config, ConvNeXtConfig):
        return _channels_last(ConvNeXtUNet(config, len(targets)))
    return build_network(config, len(targets))


def _channels_last(network: LabelingNetwork) -> LabelingNetwork:
    """The order of memory in which convolutions are fastest here."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
