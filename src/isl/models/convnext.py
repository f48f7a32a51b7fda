"""A U-Net with a ConvNeXt encoder, to compare with.

Liu et al., "A ConvNet for the 2020s", CVPR 2022.  Its layer norm acts on the channels of each
pixel, so that the receptive field stays finite (version 2 pools over the whole image)::

    source (Z planes) -> DepthSampling -> patches -> encoder -> decoder -> Head -> raw (Y, X)
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import ConvNeXtConfig
from isl.models.density import DensityNetwork, DepthSampling, Head
from isl.models.distribution import PARAMETERS
from isl.models.network import round_up

_BYTES = 4
_LIVE_ACTIVATIONS = 33  # copies of the finest feature maps held at once, measured
_EXPANSION = 4
_DECODER_BLOCKS = 2
_KERNEL_PX = 7
_LAYER_SCALE = 1e-2


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A 7x7 convolution of each channel, then two layers that act on each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(
            channels, channels, _KERNEL_PX, padding=_KERNEL_PX // 2, groups=channels
        )
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, _EXPANSION * channels)
        self.contract = nn.Linear(_EXPANSION * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _LAYER_SCALE))

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        inner = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        inner = self.scale * self.contract(F.gelu(self.expand(inner)))
        outer: Tensor = x + inner.permute(0, 3, 1, 2)
        return outer


class ConvNeXtUNet(DensityNetwork):
    """A U-Net with a ConvNeXt encoder.

    Attributes
    ----------
    config
        Its size.
    stride, margin_px
        As `LabelingNetwork` says.

    Examples
    --------
    >>> network = ConvNeXtUNet(ConvNeXtConfig(widths=(4, 8), blocks=(1, 1)), targets=2)
    >>> network(torch.zeros(1, 3, 16, 24), torch.linspace(0, 1, 3)[None]).shape
    torch.Size([1, 6, 16, 24])
    """

    config: ConvNeXtConfig

    def __init__(self, config: ConvNeXtConfig, targets: int) -> None:
        super().__init__()
        self.config = config
        widths, stem = config.widths, config.stem_stride
        self.stride = config.stride
        self.margin_px = margin_px(config)
        self.depth = DepthSampling(config.z_slots)
        self.stem = nn.Sequential(
            nn.Conv2d(config.z_slots, widths[0], stem, stride=stem), ChannelNorm(widths[0])
        )
        self.encoder = nn.ModuleList(
            _blocks(w, n) for w, n in zip(widths, config.blocks, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Sequential(ChannelNorm(fine), nn.Conv2d(fine, coarse, 2, stride=2))
            for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.decoder = nn.ModuleList(_blocks(w, _DECODER_BLOCKS) for w in widths[:-1])
        self.head = Head(widths[0], targets * PARAMETERS, stem)

    def body(self, sampled: Float[Tensor, "b s y x"]) -> Float[Tensor, "b p y x"]:
        x = self.encoder[0](self.stem(sampled))
        skips = []
        for level, down in zip(self.encoder[1:], self.down, strict=True):
            skips.append(x)
            x = level(down(x))
        ways_up = zip(self.decoder, self.merge, self.up, skips, strict=True)
        for level, merge, up, skip in reversed(list(ways_up)):
            x = level(merge(torch.cat([skip, up(x)], 1)))
        raw: Tensor = self.head(x)
        return raw

    def bytes_per_pixel(self, planes: int) -> float:
        finest = _LIVE_ACTIVATIONS * self.config.widths[0] / self.config.stem_stride**2
        return _BYTES * (finest + 4.0 * planes)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ConvNeXtBlock(channels) for _ in range(count)))


def margin_px(config: ConvNeXtConfig) -> int:
    """Distance beyond which no source pixel matters, a multiple of the stride."""
    reach = _KERNEL_PX // 2
    pitches = [config.stem_stride * 2**level for level in range(len(config.widths))]
    distance = 0
    for pitch in pitches[:-1]:
        distance = round_up(distance + _DECODER_BLOCKS * reach * pitch, 2 * pitch)
    distance += sum(n * reach * p for n, p in zip(config.blocks, pitches, strict=True))
    return round_up(distance, pitches[-1])
