"""The default network: a residual U-Net at reduced resolution over a stack sampled in depth.

Small parts first; `build_network` puts them together::

    source (Z planes) -> DepthSampling -> Stem -> encoder -> decoder -> Head -> raw (Y, X)

No operation depends on the extent of the image (batch norm uses stored statistics when predicting,
convolutions are zero padded), so a tile with `Network.margin_px` of real pixels around it gives the
same answer as the whole image.
"""

from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isl.core.networks import NetworkConfig
from isl.models.density import DensityNetwork, DepthSampling, Head
from isl.models.distribution import PARAMETERS
from isl.models.stages import SOURCE, Stage

_BYTES = 4
_LIVE_ACTIVATIONS = 12  # copies of the finest feature maps held at once, measured


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


class Join(nn.Module):
    """One step up: what comes from the coarser level is added to the finer one."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.up = up

    def forward(
        self, skip: Float[Tensor, "b c y x"], coarse: Float[Tensor, "b d v u"]
    ) -> Float[Tensor, "b c y x"]:
        found: Tensor = skip + self.up(coarse)
        return found


class With(nn.Module):
    """A module of one or more inputs, and another after it."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, *inputs: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        found: Tensor = self.second(self.first(*inputs))
        return found


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

    def body(self, sampled: Float[Tensor, "b s y x"]) -> Float[Tensor, "b p y x"]:
        x = self.stem(sampled)
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):
            skips.append(level(x))
            x = down(skips[-1])
        x = self.encoder[-1](x)
        for level, up, skip in reversed(list(zip(self.decoder, self.up, skips, strict=True))):
            x = level(skip + up(x))
        raw: Tensor = self.head(x)
        return raw

    def stages(self) -> tuple[Stage, ...]:
        """One stage for each residual block, with what leads to it; the last has the head too."""
        pitches = level_pitches(self.config)
        found = _blocks("down0", self.stem, self.encoder[0], (SOURCE,), pitches[0], pitches[0])
        found[0] = replace(found[0], reach_px=found[0].reach_px + pitches[0])  # of the stem
        skips = []
        for level, pitch in enumerate(pitches[1:], start=1):
            skips.append(found[-1].name)
            down, blocks = self.down[level - 1], self.encoder[level]
            found += _blocks(f"down{level}", down, blocks, (skips[-1],), pitch, pitch)
        for level in reversed(range(len(skips))):
            join, blocks = Join(self.up[level]), self.decoder[level]
            inputs, coarser = (skips[level], found[-1].name), pitches[level + 1]
            found += _blocks(f"up{level}", join, blocks, inputs, pitches[level], coarser)
        last = found.pop()
        found.append(replace(last, module=With(last.module, self.head), pitch_px=1))
        for stage in found:
            stage.module.train(self.training)  # what holds the parts is new, and would be training
        return tuple(found)

    @property
    def reach_px(self) -> float:
        blocks = [*self.config.blocks, *self.config.blocks[:-1]]
        pitches = level_pitches(self.config)
        reaches = [2.0 * n * pitch for n, pitch in zip(blocks, pitches + pitches[:-1], strict=True)]
        return sum(reaches) / sum(blocks)

    def bytes_per_pixel(self, planes: int) -> float:
        finest = _LIVE_ACTIVATIONS * self.config.widths[0] / self.config.stem_stride**2
        return _BYTES * (finest + 4.0 * planes)


def _blocks(
    name: str,
    enter: nn.Module,
    level: nn.Module,
    inputs: tuple[str, ...],
    pitch_px: int,
    align_px: int,
) -> list[Stage]:
    """Stages of one level: the first has what leads to the level before its block."""
    found: list[Stage] = []
    for number, block in enumerate(level.children()):
        module = block if found else With(enter, block)
        found.append(Stage(f"{name}.{number}", module, inputs, pitch_px, 2 * pitch_px, align_px))
        inputs, align_px = (found[-1].name,), pitch_px
    return found


def level_pitches(config: NetworkConfig) -> list[int]:
    """Pixels of the image per pixel of each level, from the finest."""
    return [config.stem_stride * 2**level for level in range(len(config.widths))]


def margin_px(config: NetworkConfig) -> int:
    """Distance from an output cell beyond which no source pixel matters, a multiple of the stride.

    Follows the longest path from an output cell back to the source: down through the decoder
    (rounding up to whole cells of each coarser level), and up again through the encoder.
    """
    pitches = level_pitches(config)
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
