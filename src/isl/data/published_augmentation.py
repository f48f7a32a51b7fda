"""Patches and augmentation as published in 2018."""

from __future__ import annotations

import torch
from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.augmentation import Augmentation
from isl.data.patches import Batch

_GAP_PX = 6
_SHARE = 0.5


class PublishedAugmentation:
    """Crops that are flipped and turned by quarters, cut into patches, and perhaps corrupted.

    Each crop is flipped or not; all crops of a batch are turned by the same angle.  Corruption
    concerns the source alone: each plane is multiplied, then shifted, then each pixel gets noise,
    each of the three with probability 1/2 and only where its spread is not 0; the result is clipped
    to 0..1.

    Parameters
    ----------
    config
        ``crop_px``, ``patch_px``, ``batch_size``, ``flips``, ``rotations``, and the spreads
        ``gain_std``, ``offset_std`` and ``noise_std``.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config

    @property
    def read_px(self) -> int:
        """Side of the crops to draw."""
        return self._config.crop_px or self._config.patch_px

    @property
    def draws(self) -> int:
        """Crops to draw for a batch."""
        return -(-self._config.batch_size // len(self._corners()) ** 2)

    def __call__(self, batch: Batch, step: int) -> Batch:
        """Change a batch of crops; returns a new one of ``batch_size`` patches."""
        generator = torch.Generator().manual_seed((self._config.seed << 32) + step)
        flips = torch.randint(
            0, 2 if self._config.flips else 1, (len(batch.source),), generator=generator
        )
        turns = int(torch.randint(0, 4 if self._config.rotations else 1, (), generator=generator))

        def patches(images: Tensor) -> Tensor:
            flipped = [x.flip(-1) if flip else x for x, flip in zip(images, flips, strict=True)]
            turned = torch.rot90(torch.stack(flipped), turns, (-2, -1))
            return self._cut(turned)[: self._config.batch_size]

        source = patches(self._corrupted(batch.source, generator))
        z_position = batch.z_position[:1].expand(len(source), -1)
        return Batch(source, z_position, patches(batch.target), patches(batch.presence))

    def _corners(self) -> range:
        """First pixels of the patches of a crop, in y and in x."""
        patch = self._config.patch_px
        return range(0, self.read_px - patch + 1, patch + _GAP_PX)

    def _cut(self, crops: Tensor) -> Tensor:
        side = self._config.patch_px
        return torch.cat(
            [
                crops[..., y : y + side, x : x + side]
                for y in self._corners()
                for x in self._corners()
            ]
        )

    def _corrupted(self, source: Tensor, generator: torch.Generator) -> Tensor:
        c = self._config
        per_plane = (*source.shape[:2], 1, 1)

        def normal(spread: float, shape: tuple[int, ...]) -> Tensor:
            """Numbers around 0, or zeros with probability 1/2."""
            numbers = spread * torch.randn(shape, generator=generator)
            return (numbers * (torch.rand((), generator=generator) < _SHARE)).to(source)

        if not (c.gain_std or c.offset_std or c.noise_std):
            return source
        if c.gain_std:
            source = source * (1.0 + normal(c.gain_std, per_plane))
        if c.offset_std:
            source = source + normal(c.offset_std, per_plane)
        if c.noise_std:
            source = source + normal(c.noise_std, tuple(source.shape))
        return source.clamp(0.0, 1.0)


def build_augmentation(config: TrainConfig) -> Augmentation | PublishedAugmentation:
    """The augmentation that belongs to a network."""
    if config.network.name == "isl2018":
        return PublishedAugmentation(config)
    return Augmentation(config)
