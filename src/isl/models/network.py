"""The default network: a residual U-Net at reduced resolution over a stack sampled in depth.

Small parts first; `build_network` puts them together::

    source (Z planes) -> DepthSampling -> Stem -> encoder -> decoder -> Head -> raw (Y, X)

No operation depends on the extent of the image (batch norm uses stored statistics when predicting,
convolutions are zero padded), so a tile with `Network.margin_px` of real pixels around it gives the
same answer as the whole image.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import NetworkConfig
from isl.models.distribution import PARAMETERS, SplitLogistic
from isl.models.labeling import LabelingNetwork

_BYTES = 4
_LIVE_ACTIVATIONS = 10  # copies of the finest feature maps held at once, measured


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


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input is passed on."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        inner = self.dropout(F.relu(self.first_norm(self.first(x))))
        outer: Tensor = F.relu(x + self.second_norm(self.second(inner)))
        return outer


class Level(nn.Sequential):
    """Residual blocks at one resolution."""

    def __init__(self, channels: int, blocks: int, dropout: float) -> None:
        super().__init__(*(ResidualBlock(channels, dropout) for _ in range(blocks)))


class Stem(nn.Sequential):
    """From full resolution to the finest level: each cell of pixels becomes one pixel."""

    def __init__(self, planes: int, channels: int, stride: int) -> None:
        super().__init__(
            nn.PixelUnshuffle(stride),
            nn.Conv2d(planes * stride**2, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )


class Down(nn.Sequential):
    """To half the resolution."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__(
            nn.Conv2d(fine, coarse, 2, stride=2, bias=False), nn.BatchNorm2d(coarse), nn.ReLU()
        )


class Up(nn.Sequential):
    """To twice the resolution."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__(
            nn.Conv2d(coarse, fine, 1, bias=False),
            nn.BatchNorm2d(fine),
            nn.Upsample(scale_factor=2),
        )


class Head(nn.Sequential):
    """Back to full resolution: the parameters of each pixel of a cell, put in place."""

    def __init__(self, channels: int, parameters: int, stride: int) -> None:
        super().__init__(nn.Conv2d(channels, parameters * stride**2, 1), nn.PixelShuffle(stride))


class DensityNetwork(LabelingNetwork):
    """A network whose output holds the parameters of a split logistic for each pixel and target."""

    def distribution(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> SplitLogistic:
        raw = self(source, z_position).float()
        return SplitLogistic.from_raw(raw, targets=raw.shape[1] // PARAMETERS)


class Network(DensityNetwork):
    """The default network.

    Attributes
    ----------
    config
        Its size.
    stride
        Y and X given to `forward` must be multiples of it.
    margin_px
        A cell of stride x stride output pixels, at multiples of stride, does not depend on source
        pixels further from it than this; a multiple of stride.
    parameters_per_target
        Numbers per pixel and target in the output.

    Examples
    --------
    >>> network = build_network(NetworkConfig(widths=(4, 8), blocks=(1, 1)), targets=2)
    >>> network(torch.zeros(1, 3, 16, 24), torch.linspace(0, 1, 3)[None]).shape
    torch.Size([1, 6, 16, 24])
    """

    parameters_per_target = PARAMETERS

    config: NetworkConfig

    def __init__(self, config: NetworkConfig, targets: int) -> None:
        super().__init__()
        self.config = config
        widths, levels = config.widths, list(zip(config.widths, config.blocks, strict=True))
        self.stride = config.stride
        self.margin_px = margin_px(config)
        self.depth = DepthSampling(config.z_slots)
        self.stem = Stem(config.z_slots, widths[0], config.stem_stride)
        self.encoder = nn.ModuleList(Level(w, n, config.dropout) for w, n in levels)
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(Up(coarse, fine) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(Level(w, n, config.dropout) for w, n in levels[:-1])
        self.head = Head(widths[0], targets * PARAMETERS, config.stem_stride)

    def forward(
        self, source: Float[Tensor, "b z y x"], z_position: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b p y x"]:
        x = self.stem(self.depth(source, z_position))
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):
            skips.append(level(x))
            x = down(skips[-1])
        x = self.encoder[-1](x)
        for level, up, skip in reversed(list(zip(self.decoder, self.up, skips, strict=True))):
            x = level(skip + up(x))
        raw: Tensor = self.head(x)
        return raw

    def bytes_per_pixel(self, planes: int) -> float:
        finest = _LIVE_ACTIVATIONS * self.config.widths[0] / self.config.stem_stride**2
        return _BYTES * (finest + 3.0 * planes)


def margin_px(config: NetworkConfig) -> int:
    """Distance from an output cell beyond which no source pixel matters, a multiple of the stride.

    Follows the longest path from an output cell back to the source: down through the decoder
    (rounding up to whole cells of each coarser level), and up again through the encoder.
    """
    pitches = [config.stem_stride * 2**level for level in range(len(config.widths))]
    reaches = [2 * blocks * pitch for blocks, pitch in zip(config.blocks, pitches, strict=True)]
    distance = 0
    for reach, coarser in zip(reaches, pitches[1:], strict=False):
        distance = round_up(distance + reach, coarser)
    distance += reaches[-1] + sum(reaches[:-1]) + pitches[0]
    return round_up(distance, pitches[-1])


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is not below a value."""
    return -(-value // multiple) * multiple


def build_network(config: NetworkConfig, targets: int) -> Network:
    """Build the network with random weights.

    Parameters
    ----------
    config
        Its size.
    targets
        Number of targets.
    """
    network = Network(config, targets)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
