"""Small networks, and a model that a run starts from."""

import torch

from isl.core.networks import Isl2018Config, NetworkConfig
from isl.inference.model import Model
from isl.models.build import build_labeling_network

SMALL = Isl2018Config(base_depth=8, planes=2, classes=4)
DEFAULT = NetworkConfig(widths=(4, 6), blocks=(1, 1), z_slots=3)


class Card:
    def __init__(self, network, targets):
        self.network, self.target_names = network, tuple(targets)


def network(config, targets, seed):
    torch.manual_seed(seed)
    return build_labeling_network(config, targets)


def old(config, targets=("A", "B")):
    return Model(Card(config, targets), network(config, targets, 0))
