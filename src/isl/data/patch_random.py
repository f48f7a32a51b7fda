"""Random numbers of each patch of a batch, the same wherever the patch is computed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_OF_PATCH, _OF_BATCH = 1, 2
_SEEDS = 2**62


class PatchRandom:
    """Numbers that depend on the seed, the step and a patch's place in the whole batch alone.

    So several devices that share a batch change its patches exactly as one device would.

    Parameters
    ----------
    seed, step
        Same seed and step, same numbers.
    first
        Place of the first patch in the whole batch.
    count
        Number of patches.
    stream
        Numbers of different streams have nothing to do with each other.
    """

    def __init__(self, seed: int, step: int, first: int, count: int, stream: int = 0) -> None:
        self.generators = [
            np.random.default_rng([seed, step, first + i, stream, _OF_PATCH]) for i in range(count)
        ]

    def uniform(self, low: float, high: float) -> Tensor:
        """Numbers (B,) from low to high."""
        return self._tensor([g.uniform(low, high) for g in self.generators])

    def normal(self, *shape: int) -> Tensor:
        """Numbers (B, *shape) of mean 0 and spread 1; those of a longer first axis begin alike."""
        return self._tensor([g.standard_normal(shape) for g in self.generators])

    def integers(self, end: int) -> list[int]:
        """One number from 0 to ``end - 1`` for each patch."""
        return [int(g.integers(end)) for g in self.generators]

    def on_device(self, device: torch.device) -> list[torch.Generator]:
        """A generator for each patch on a device, for whole images of noise."""
        return [torch.Generator(device).manual_seed(seed) for seed in self.integers(_SEEDS)]

    @staticmethod
    def _tensor(numbers: list[object]) -> Tensor:
        return torch.from_numpy(np.asarray(numbers, np.float32))


def batch_random(seed: int, step: int) -> np.random.Generator:
    """Numbers that all patches of a batch share."""
    return np.random.default_rng([seed, step, 0, 0, _OF_BATCH])


def noise_like(source: Tensor, generators: list[torch.Generator], planes: list[int]) -> Tensor:
    """Noise of spread 1 for the first planes of each patch; undefined for the others.

    Parameters
    ----------
    source
        (B, Z, Y, X).
    generators
        One for each patch, on the device of the source.
    planes
        How many planes of each patch get noise.
    """
    noise = torch.empty_like(source, memory_format=torch.contiguous_format)
    for stack, generator, count in zip(noise, generators, planes, strict=True):
        stack[:count].normal_(generator=generator)
    return noise


def seed_of(*numbers: int) -> int:
    """One seed for PyTorch out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
