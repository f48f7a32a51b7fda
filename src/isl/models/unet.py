"""A plain 2D U-Net, the usual network of label-free prediction, to compare with.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation",
MICCAI 2015; here padded, with batch normalisation, the planes of a stack as channels, and the head
of the default network::

    source (Z planes) -> DepthSampling -> encoder -> decoder -> raw (Y, X)
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import UNetConfig
from isl.models.density import DensityNetwork, DepthSampling
from isl.models.distribution import PARAMETERS
from isl.models.network import round_up

_BYTES = 4
_LIVE_ACTIVATIONS = 15  # copies of the finest feature maps held at once, measured


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each normalised."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        )


class UNet(DensityNetwork):
    """A plain 2D U-Net.

    Attributes
    ----------
    config
        Its size.
    stride, margin_px
        As `LabelingNetwork` says.

    Examples
    --------
    >>> network = UNet(UNetConfig(widths=(4, 8)), targets=2)
    >>> network(torch.zeros(1, 3, 16, 24), torch.linspace(0, 1, 3)[None]).shape
    torch.Size([1, 6, 16, 24])
    """

    config: UNetConfig

    def __init__(self, config: UNetConfig, targets: int) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stride = config.stride
        self.margin_px = margin_px(len(widths))
        self.depth = DepthSampling(config.z_slots)
        before = (config.z_slots, *widths)
        self.encoder = nn.ModuleList(DoubleConvolution(a, b) for a, b in pairwise(before))
        self.down = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.decoder = nn.ModuleList(DoubleConvolution(2 * w, w) for w in widths[:-1])
        self.head = nn.Conv2d(widths[0], targets * PARAMETERS, 1)

    def body(self, sampled: Float[Tensor, "b s y x"]) -> Float[Tensor, "b p y x"]:
        x = self.encoder[0](sampled)
        skips = []
        for level in self.encoder[1:]:
            skips.append(x)
            x = level(self.down(x))
        for level, up, skip in reversed(list(zip(self.decoder, self.up, skips, strict=True))):
            x = level(torch.cat([skip, up(x)], 1))
        raw: Tensor = self.head(x)
        return raw

    def bytes_per_pixel(self, planes: int) -> float:
        return _BYTES * (_LIVE_ACTIVATIONS * self.config.widths[0] + 4.0 * planes)


def margin_px(levels: int) -> int:
    """Distance beyond which no source pixel matters, a multiple of the stride.

    Each level has two convolutions on the way down and two on the way up, each reaching as many
    pixels as its pitch; up and down sampling see whole cells of the next level.
    """
    pitches = [2**level for level in range(levels)]
    distance = 0
    for pitch in pitches[:-1]:
        distance = round_up(distance + 2 * pitch, 2 * pitch)
    distance += sum(2 * pitch for pitch in pitches)
    return round_up(distance, pitches[-1])
