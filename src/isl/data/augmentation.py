"""Augmentation of whole batches, on the device that they are on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.patches import Batch

_KNOT_PX = 32
_SPREADS = 4


class Augmentation:
    """Random changes that leave the task the same.

    Geometry (flips, rotations, magnification) changes source, targets and presence alike; gain,
    offset, noise and blur change the source alone.  Same seed and step, same changes.

    Parameters
    ----------
    config
        Which changes, and how large.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config

    @property
    def draws(self) -> int:
        """Pieces to draw for a batch."""
        return self._config.batch_size

    @property
    def read_px(self) -> int:
        """Side of the patches to draw so that ``patch_px`` remain without empty corners."""
        c = self._config
        angle = math.radians(min(c.free_rotation_degrees, 45.0))
        widest = (math.cos(angle) + math.sin(angle)) * (1.0 + c.scaling)
        return 2 * math.ceil(c.patch_px * widest / 2 + _SPREADS * c.elastic_px)

    def __call__(self, batch: Batch, step: int) -> Batch:
        """Change a batch; returns a new one with patches of ``patch_px``."""
        generator = torch.Generator().manual_seed((self._config.seed << 32) + step)
        source, target, presence = batch.source, batch.target, batch.presence
        c = self._config
        if c.free_rotation_degrees or c.scaling or c.elastic_px:
            source, target, presence = self._warp(source, target, presence, generator)
        source, target, presence = self._turn(source, target, presence, generator)
        source = self._blur(source, generator)
        source = self._gain_offset_noise(source, generator)
        return Batch(source, batch.z_position, target, presence)

    def _warp(
        self, source: Tensor, target: Tensor, presence: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotate by any angle, magnify and deform, about the patch centre; cuts to ``patch_px``."""
        c, size = self._config, len(source)
        angle = _uniform(size, generator) * math.radians(c.free_rotation_degrees)
        zoom = torch.exp(_uniform(size, generator) * math.log1p(c.scaling))
        factor = zoom * c.patch_px / source.shape[-1]
        cos, sin, zero = factor * angle.cos(), factor * angle.sin(), torch.zeros(size)
        matrix = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(size, 2, 3)
        grid = F.affine_grid(
            matrix.to(source.device), [size, 1, c.patch_px, c.patch_px], align_corners=False
        )
        grid = grid + self._deformation(size, source.shape[-1], generator).to(grid)
        stacked = torch.cat([source, target, presence.float()], 1)
        moved = F.grid_sample(stacked, grid, align_corners=False)
        parts = [source.shape[1], target.shape[1], presence.shape[1]]
        source, target, seen = torch.split(moved, parts, dim=1)
        return source, target, seen > 1 - 1e-4

    def _deformation(self, size: int, read_px: int, generator: torch.Generator) -> Tensor:
        """Smooth random displacements (B, Y, X, 2) in the unit of the sampling grid."""
        c = self._config
        knots = torch.randn(size, 2, *(max(4, c.patch_px // _KNOT_PX),) * 2, generator=generator)
        smooth = F.interpolate(knots, (c.patch_px,) * 2, mode="bicubic", align_corners=True)
        return smooth.permute(0, 2, 3, 1) * (2.0 * c.elastic_px / read_px)

    def _turn(
        self, source: Tensor, target: Tensor, presence: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mirror and turn each patch by quarter turns."""
        turns = torch.randint(
            0, 4 if self._config.rotations else 1, (len(source),), generator=generator
        )
        flips = torch.randint(
            0, 2 if self._config.flips else 1, (len(source),), generator=generator
        )

        def moved(images: Tensor) -> Tensor:
            return torch.stack(
                [
                    torch.rot90(image.flip(-1) if flip else image, int(turn), (-2, -1))
                    for image, flip, turn in zip(images, flips, turns, strict=True)
                ]
            )

        return moved(source), moved(target), moved(presence)

    def _blur(self, source: Tensor, generator: torch.Generator) -> Tensor:
        """Blur some of the patches by a Gaussian of random width."""
        c = self._config
        chosen = torch.rand(len(source), generator=generator) < c.blur_share
        sigmas = torch.rand(len(source), generator=generator) * c.blur_sigma_px
        if not c.blur_sigma_px or not chosen.any():
            return source
        return torch.stack(
            [
                gaussian_blur(image, float(sigma)) if yes else image
                for image, yes, sigma in zip(source, chosen, sigmas, strict=True)
            ]
        )

    def _gain_offset_noise(self, source: Tensor, generator: torch.Generator) -> Tensor:
        c = self._config
        gain = torch.exp(_shared_by_half(source, generator) * c.gain_std)
        offset = _shared_by_half(source, generator) * c.offset_std
        noise_std = torch.rand((len(source), 1, 1, 1), generator=generator) * c.noise_std
        source = source * gain.to(source) + offset.to(source)
        if c.noise_std:
            on_device = torch.Generator(source.device).manual_seed(
                int(generator.initial_seed()) + 1
            )
            noise = torch.randn(source.shape, generator=on_device, device=source.device)
            source = source + noise.to(source) * noise_std.to(source)
        return source


def _shared_by_half(source: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers (B, Z, 1, 1); half of their variance is the same for all planes of a stack."""
    size, planes = source.shape[:2]
    stack = torch.randn((size, 1, 1, 1), generator=generator)
    plane = torch.randn((size, planes, 1, 1), generator=generator)
    return (stack + plane) * math.sqrt(0.5)


def _uniform(size: int, generator: torch.Generator) -> Tensor:
    """Numbers from -1 to 1."""
    return torch.rand(size, generator=generator) * 2 - 1


def gaussian_blur(image: Tensor, sigma_px: float) -> Tensor:
    """Blur the last two axes of a (C, Y, X) image; edges are repeated, sums of weights are one."""
    radius = max(1, math.ceil(3 * sigma_px))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / max(sigma_px, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]
