"""What inference and training ask of a network."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import AnyNetwork
from isl.models.distribution import Distribution


class LabelingNetwork(nn.Module, ABC):
    """A network from stacks to distributions.

    Attributes
    ----------
    config
        Its size, from which it can be built again.
    stride
        Y and X of its output are multiples of it.
    margin_px
        A cell of stride x stride output pixels, at multiples of stride, does not depend on source
        pixels further from it than this; a multiple of stride.
    lost_px
        Pixels by which its output is smaller than its input, before (top, left) and after.
    """

    config: AnyNetwork
    stride: int
    margin_px: int
    lost_px: tuple[int, int] = (0, 0)

    @abstractmethod
    def distribution(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Distribution:
        """Predict the targets, in normalised units.

        Parameters
        ----------
        source
            (B, Z, Y, X) float32, normalised; Y and X multiples of the stride, plus what is lost.
        z_position
            (B, Z) from 0, the first plane, to 1, the last; 0.5 for a single plane.

        Returns
        -------
        Distribution
            Of (B, C, Y, X) pixels, without those that are lost.
        """

    @abstractmethod
    def bytes_per_pixel(self, planes: int) -> float:
        """Memory that inference needs for each pixel of the output, estimated."""


def even_depths(planes: int) -> Float[Tensor, " z"]:
    """Positions of evenly spaced planes, from 0 to 1; 0.5 for a single one."""
    return torch.linspace(0.0, 1.0, planes) if planes > 1 else torch.tensor([0.5])
