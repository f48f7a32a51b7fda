"""Networks whose output is a density for each pixel: what they share.

A stack is sampled in depth first (`DepthSampling`), the body works on images, and the head gives
the parameters of a split logistic for each pixel and target.
"""

import copy
from abc import abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isl.models.distribution import PARAMETERS, SplitLogistic
from isl.models.labeling import LabelingNetwork
from isl.models.stages import SOURCE, Stage


class DepthSampling(nn.Module):
    """Sample a stack at evenly spaced depths by linear interpolation between its planes.

    A stack of any number of planes, at any spacing, becomes one of ``slots`` planes; a stack that
    already has them is passed on unchanged.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots

    def weights(self, z_position: Float[Tensor, "b z"]) -> Float[Tensor, "b s z"]:
        """Share of each plane in each slot; rows add up to one."""
        planes = z_position.shape[1]
        if planes == 1:
            return z_position.new_ones(z_position.shape[0], self.slots, 1)
        depth = torch.linspace(0, 1, self.slots, device=z_position.device)
        depth = depth.expand(z_position.shape[0], -1).contiguous()
        right = torch.searchsorted(z_position.contiguous(), depth).clamp(1, planes - 1)
        z_left, z_right = z_position.gather(1, right - 1), z_position.gather(1, right)
        share = ((depth - z_left) / (z_right - z_left)).clamp(0, 1)[..., None]
        return F.one_hot(right - 1, planes) * (1 - share) + F.one_hot(right, planes) * share

    def forward(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b s y x"]:
        return torch.einsum("bsz,bzyx->bsyx", self.weights(z_position), source)


class Head(nn.Sequential):
    """Back to full resolution: the parameters of each pixel of a cell, put in place."""

    def __init__(self, channels: int, parameters: int, stride: int) -> None:
        super().__init__(nn.Conv2d(channels, parameters * stride**2, 1), nn.PixelShuffle(stride))
        self.cell = stride**2


class DensityNetwork(LabelingNetwork):
    """A network whose output holds the parameters of a split logistic for each pixel and target.

    Attributes
    ----------
    depth
        Samples a stack in depth; the rest of the network sees what it gives.
    head
        The last layer, a convolution of one pixel or a `Head`.
    """

    depth: DepthSampling
    head: nn.Module

    @abstractmethod
    def body(self, sampled: Float[Tensor, "b s y x"]) -> Float[Tensor, "b p y x"]:
        """From a stack sampled in depth to the parameters; Y and X are multiples of the stride."""

    def forward(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b p y x"]:
        return self.body(self.depth(source, z_position))

    def distribution(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> SplitLogistic:
        raw = self(source, z_position).float()
        return SplitLogistic.from_raw(raw, targets=raw.shape[1] // PARAMETERS)

    def stages(self) -> tuple[Stage, ...]:
        """Cut all that comes after `depth` into stages; here they are a single one."""
        body = Body(self).train(self.training)
        return (Stage("body", body, (SOURCE,), 1, self.margin_px, self.stride),)

    @property
    def reach_px(self) -> float:
        """How far a stage sees, on average: twice as many rows are computed twice for a band."""
        return float(self.margin_px)

    def medians_only(self) -> Self:
        """Copy whose output is (B, C, Y, X), the medians alone; weights are shared otherwise."""
        reduced = copy.copy(self)
        reduced._modules = dict(self._modules)
        reduced.head = _medians_of(self.head)
        return reduced


class Body(nn.Module):
    """All of a network but its sampling in depth."""

    def __init__(self, network: DensityNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, sampled: Float[Tensor, "b s y x"]) -> Float[Tensor, "b p y x"]:
        return self.network.body(sampled)


def _medians_of(head: nn.Module) -> nn.Module:
    """Copy of a last layer that gives the first of each target's parameters alone."""
    reduced = copy.deepcopy(head)
    convolution = reduced[0] if isinstance(reduced, Head) else reduced
    if not isinstance(convolution, nn.Conv2d) or convolution.bias is None:
        raise TypeError(f"a head ends in a convolution with a bias, not in {convolution}")
    cell = head.cell if isinstance(head, Head) else 1
    weight, bias = (
        whole.detach().view(-1, PARAMETERS, cell, *whole.shape[1:])[:, 0].flatten(0, 1)
        for whole in (convolution.weight, convolution.bias)
    )
    convolution.weight, convolution.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    convolution.out_channels = len(bias)
    return reduced
