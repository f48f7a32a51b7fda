"""Networks by their configuration."""

from collections.abc import Sequence

from isl.core.config import Isl2018Config, NetworkConfig
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.models.network import build_network


def build_labeling_network(
    config: NetworkConfig | Isl2018Config, targets: Sequence[str]
) -> LabelingNetwork:
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
    return build_network(config, len(targets))
