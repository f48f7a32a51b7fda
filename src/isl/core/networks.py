"""Kinds and sizes of networks.

Each field's docstring is its help on the command line and its description in YAML.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from isl.core.settings import Config, Fraction, Positive

PUBLISHED_INPUT_PX = 250
"""Side of the patches that the network of 2018 was published with."""
PUBLISHED_OUTPUT_PX = 8
"""Side of what it predicts of such a patch."""


class NetworkConfig(Config):
    """Size of the default network."""

    name: Literal["default"] = "default"
    """Which network to build."""
    widths: tuple[Positive, ...] = (96, 160, 256)
    """Channels of each level, the finest first; each further level halves the resolution."""
    blocks: tuple[Positive, ...] = (2, 2, 2)
    """Residual blocks of each level (in the encoder, and again in the decoder)."""
    stem_stride: Literal[1, 2, 4, 8] = 4
    """Pixels of the image per pixel of the finest level, in y and in x."""
    z_slots: Positive = 13
    """Depths at which every stack is sampled by linear interpolation before the first layer;
    training lowers it to the number of planes of the deepest stack."""
    dropout: Fraction = 0.1
    """Share of feature maps left out at random while training."""

    @property
    def stride(self) -> int:
        """Sides of what it sees are multiples of this many pixels."""
        return int(self.stem_stride * 2 ** (len(self.widths) - 1))

    @model_validator(mode="after")
    def _one_block_count_per_level(self) -> Self:
        _check_levels(self.widths, self.blocks)
        return self


class Isl2018Config(Config):
    """Size of the published network of 2018."""

    name: Literal["isl2018"] = "isl2018"
    """Which network to build."""
    base_depth: Positive = 400
    """Number that all depths follow from."""
    planes: Positive = 26
    """Planes that the network sees; the nearest plane of a stack is taken for each."""
    classes: Annotated[int, Field(ge=2)] = 256
    """Grey levels that a head tells apart."""
    projection: Annotated[int, Field(ge=0)] = 16
    """Channels of the initial projection: 16 in the released program, 0 (none) in the paper."""
    reconstruction: bool = True
    """Whether further heads learn to reconstruct the source planes; half of the loss is theirs."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.001
    """Share by which each step moves the running statistics; more for runs of few steps."""


class UNetConfig(Config):
    """Size of a plain 2D U-Net, the usual network of label-free prediction (8 M parameters)."""

    name: Literal["unet"] = "unet"
    """Which network to build."""
    widths: tuple[Positive, ...] = (32, 64, 128, 256, 512)
    """Channels of each level, the finest first; each further level halves the resolution."""
    z_slots: Positive = 13
    """Depths at which every stack is sampled before the first layer, as in the default network."""

    @property
    def stride(self) -> int:
        """Sides of what it sees are multiples of this many pixels."""
        return int(2 ** (len(self.widths) - 1))


class ConvNeXtConfig(Config):
    """Size of a U-Net with a ConvNeXt encoder (Liu et al., CVPR 2022; 31 M parameters)."""

    name: Literal["convnext"] = "convnext"
    """Which network to build."""
    widths: tuple[Positive, ...] = (96, 192, 384, 768)
    """Channels of each level, the finest first; each further level halves the resolution."""
    blocks: tuple[Positive, ...] = (3, 3, 9, 3)
    """Blocks of each level of the encoder; the decoder has two on each."""
    stem_stride: Literal[1, 2, 4, 8] = 4
    """Pixels of the image per pixel of the finest level, in y and in x."""
    z_slots: Positive = 13
    """Depths at which every stack is sampled before the first layer, as in the default network."""

    @model_validator(mode="after")
    def _one_block_count_per_level(self) -> Self:
        _check_levels(self.widths, self.blocks)
        return self

    @property
    def stride(self) -> int:
        """Sides of what it sees are multiples of this many pixels."""
        return int(self.stem_stride * 2 ** (len(self.widths) - 1))


AnyNetwork = NetworkConfig | Isl2018Config | UNetConfig | ConvNeXtConfig
"""Any of the networks; the field ``name`` tells which."""


def _check_levels(widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    if len(widths) != len(blocks) or not widths:
        raise ValueError(
            f"widths has {len(widths)} levels and blocks has {len(blocks)}: "
            "give both one number per level"
        )
