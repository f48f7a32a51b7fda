"""Augmentation of whole batches, on the device that they are on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.patch_random import PatchRandom, noise_like
from isl.data.patches import Batch
from isl.data.plane_dropout import drop_planes, planes_of

_KNOT_PX = 32
_SPREADS = 4
_CHANGES, _PLANES = 0, 1


class Augmentation:
    """Random changes that leave the task the same.

    Geometry (flips, rotations, magnification) changes source, targets and presence alike; gain,
    offset, noise, blur and left out planes change the source alone.  Same seed, step and place in
    the whole batch, same changes, however the batch is divided.

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
    def patches_per_draw(self) -> int:
        """Patches that each of them becomes."""
        return 1

    @property
    def read_px(self) -> int:
        """Side of the patches to draw so that ``patch_px`` remain without empty corners."""
        c = self._config
        angle = math.radians(min(c.free_rotation_degrees, 45.0))
        widest = (math.cos(angle) + math.sin(angle)) * (1.0 + c.scaling)
        return 2 * math.ceil(c.patch_px * widest / 2 + _SPREADS * c.elastic_px)

    def __call__(self, batch: Batch, step: int, first: int = 0) -> Batch:
        """Change a batch; returns a new one with patches of ``patch_px``.

        Parameters
        ----------
        batch
            Patches of ``read_px``.
        step
            Which batch it is.
        first
            Place of its first patch in the whole batch, of which this may be a part.
        """
        c, size = self._config, len(batch.source)
        random = PatchRandom(c.seed, step, first, size, _CHANGES)
        source, target, presence = batch.source, batch.target, batch.presence
        if c.free_rotation_degrees or c.scaling or c.elastic_px:
            source, target, presence = self._warp(source, target, presence, random)
        source, target, presence = self._turn(source, target, presence, random)
        source = self._blur(source, random)
        source = self._gain_offset_noise(source, planes_of(batch.z_position), random)
        of_planes = PatchRandom(c.seed, step, first, size, _PLANES)
        source, z_position = drop_planes(source, batch.z_position, c.plane_dropout, of_planes)
        return Batch(source, z_position, target, presence)

    def _warp(
        self, source: Tensor, target: Tensor, presence: Tensor, random: PatchRandom
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotate by any angle, magnify and deform, about the patch centre; cuts to ``patch_px``."""
        c, size = self._config, len(source)
        angle = random.uniform(-1, 1) * math.radians(c.free_rotation_degrees)
        zoom = torch.exp(random.uniform(-1, 1) * math.log1p(c.scaling))
        factor = zoom * c.patch_px / source.shape[-1]
        cos, sin, zero = factor * angle.cos(), factor * angle.sin(), torch.zeros(size)
        matrix = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(size, 2, 3)
        grid = F.affine_grid(
            matrix.to(source.device), [size, 1, c.patch_px, c.patch_px], align_corners=False
        )
        if c.elastic_px:
            grid = grid + self._deformation(source.shape[-1], random).to(grid)
        stacked = torch.cat([source, target, presence.float()], 1)
        moved = F.grid_sample(stacked, grid, align_corners=False)
        parts = [source.shape[1], target.shape[1], presence.shape[1]]
        source, target, seen = torch.split(moved, parts, dim=1)
        return source, target, seen > 1 - 1e-4

    def _deformation(self, read_px: int, random: PatchRandom) -> Tensor:
        """Smooth random displacements (B, Y, X, 2) in the unit of the sampling grid."""
        c = self._config
        knots = random.normal(2, *(max(4, c.patch_px // _KNOT_PX),) * 2)
        smooth = F.interpolate(knots, (c.patch_px,) * 2, mode="bicubic", align_corners=True)
        return smooth.permute(0, 2, 3, 1) * (2.0 * c.elastic_px / read_px)

    def _turn(
        self, source: Tensor, target: Tensor, presence: Tensor, random: PatchRandom
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mirror and turn each patch by quarter turns."""
        turns = random.integers(4 if self._config.rotations else 1)
        flips = random.integers(2 if self._config.flips else 1)

        def moved(images: Tensor) -> Tensor:
            return torch.stack(
                [
                    torch.rot90(image.flip(-1) if flip else image, turn, (-2, -1))
                    for image, flip, turn in zip(images, flips, turns, strict=True)
                ]
            )

        return moved(source), moved(target), moved(presence)

    def _blur(self, source: Tensor, random: PatchRandom) -> Tensor:
        """Blur some of the patches by a Gaussian of random width."""
        c = self._config
        chosen = random.uniform(0, 1) < c.blur_share
        sigmas = random.uniform(0, c.blur_sigma_px)
        if not c.blur_sigma_px or not chosen.any():
            return source
        return torch.stack(
            [
                gaussian_blur(image, float(sigma)) if yes else image
                for image, yes, sigma in zip(source, chosen, sigmas, strict=True)
            ]
        )

    def _gain_offset_noise(self, source: Tensor, planes: list[int], random: PatchRandom) -> Tensor:
        """Change planes and pixels; those that are copies of the last plane do not matter."""
        c = self._config
        noise_std = random.uniform(0, c.noise_std)[:, None, None, None]
        generators = random.on_device(source.device)
        of_stack = random.normal(1, 2)
        of_plane = random.normal(source.shape[1], 2)
        # Half of the variance is shared by all planes of a stack.
        gain, offset = ((of_stack + of_plane) * math.sqrt(0.5))[..., None, None].unbind(2)
        source = source * torch.exp(gain * c.gain_std).to(source) + (offset * c.offset_std).to(
            source
        )
        if c.noise_std:
            source = source + noise_like(source, generators, planes) * noise_std.to(source)
        return source


def gaussian_blur(image: Tensor, sigma_px: float) -> Tensor:
    """Blur the last two axes of a (C, Y, X) image; edges are repeated, sums of weights are one."""
    radius = max(1, math.ceil(3 * sigma_px))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / max(sigma_px, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]
