"""Patches and augmentation as published in 2018."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.augmentation import Augmentation
from isl.data.patch_random import PatchRandom, batch_random, noise_like
from isl.data.patches import Batch

_GAP_PX = 6
_SHARE = 0.5


class PublishedAugmentation:
    """Crops that are flipped and turned by quarters, cut into patches, and perhaps corrupted.

    Each crop is flipped or not; all crops of a batch are turned by the same angle.  Corruption
    concerns the source alone: each plane is multiplied, then shifted, then each pixel gets noise,
    each of the three with probability 1/2 and only where its spread is not 0; the result is clipped
    to 0..1.  Planes are never left out.

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
        return -(-self._config.batch_size // self.patches_per_draw)

    @property
    def patches_per_draw(self) -> int:
        """Patches that each crop is cut into."""
        return len(self._corners()) ** 2

    def __call__(self, batch: Batch, step: int, first: int = 0) -> Batch:
        """Change a batch of crops; returns a new one of at most ``batch_size`` patches.

        Parameters
        ----------
        batch
            Crops of ``read_px``.
        step
            Which batch it is.
        first
            Place of its first crop in the whole batch, of which this may be a part.
        """
        c = self._config
        random = PatchRandom(c.seed, step, first, len(batch.source))
        shared = batch_random(c.seed, step)
        flips = random.integers(2 if c.flips else 1)
        turns = int(shared.integers(4 if c.rotations else 1))

        def patches(images: Tensor) -> Tensor:
            flipped = [x.flip(-1) if flip else x for x, flip in zip(images, flips, strict=True)]
            turned = torch.rot90(torch.stack(flipped), turns, (-2, -1))
            return self._cut(turned)[: self._config.batch_size]

        source = patches(self._corrupted(batch.source, random, shared))
        z_position = batch.z_position.repeat(self.patches_per_draw, 1)[: len(source)]
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

    def _corrupted(
        self, source: Tensor, random: PatchRandom, shared: np.random.Generator
    ) -> Tensor:
        c = self._config
        spreads = [c.gain_std, c.offset_std, c.noise_std]
        gain_std, offset_std, noise_std = (s * (shared.random() < _SHARE) for s in spreads)
        if not any(spreads):
            return source
        generators = random.on_device(source.device)
        gain, offset = random.normal(source.shape[1], 2)[..., None, None].to(source).unbind(2)
        source = source * (1.0 + gain_std * gain) + offset_std * offset
        if noise_std:
            whole = [source.shape[1]] * len(source)
            source = source + noise_std * noise_like(source, generators, whole)
        return source.clamp(0.0, 1.0)


def build_augmentation(config: TrainConfig) -> Augmentation | PublishedAugmentation:
    """The augmentation that belongs to a network."""
    if config.network.name == "isl2018":
        return PublishedAugmentation(config)
    return Augmentation(config)
