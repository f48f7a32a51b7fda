"""Planes left out of patches at random, so that a model knows stacks of any number of planes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.data.patch_random import PatchRandom

_BEYOND = 1.25
"""Planes of a stack lie from 0 to 1; what is deeper than this is a copy of the last one."""
_FIRST_COPY = 2.0
_EVENLY_SPACED_SHARE = 0.5
_SPREAD_OF_SINGLE_PLANES = 1 / 6

_Kept = tuple[NDArray[np.intp], NDArray[np.float32]]


def planes_of(z_position: Tensor) -> list[int]:
    """How many planes each stack of a batch has; the others are copies of its last one.

    Parameters
    ----------
    z_position
        (B, Z).
    """
    return [int(count) for count in (z_position <= _BEYOND).sum(1)]


def drop_planes(
    source: Tensor, z_position: Tensor, share: float, random: PatchRandom
) -> tuple[Tensor, Tensor]:
    """Leave planes out of some stacks; the others stay as they are.

    Half of these stacks keep evenly spaced planes, whose positions spread from 0 to 1 as those of a
    stack that was taken with fewer planes; a single one lies at 0.5 and mostly comes from near the
    middle.  The others keep any planes, where they are.  Copies of the last plane, deeper than it,
    fill up the batch; they are exact copies, so that nothing changes for a network.

    Parameters
    ----------
    source
        (B, Z, Y, X).
    z_position
        (B, Z), increasing.
    share
        Share of the stacks of which planes are left out.
    random
        One generator for each stack.

    Returns
    -------
    source, z_position
        (B, Z, Y, X) and (B, Z).
    """
    planes, depths = planes_of(z_position), z_position.cpu().numpy()
    drawn = zip(depths, planes, random.generators, strict=True)
    kept = [_kept(positions[:count], share, rng) for positions, count, rng in drawn]
    size = source.shape[1]
    if all(len(index) == size for index, _ in kept):
        return source, z_position
    index, positions = (
        torch.from_numpy(np.stack(a)) for a in zip(*(_padded(*k, size) for k in kept), strict=True)
    )
    of_patch = torch.arange(len(source), device=source.device)[:, None]
    return source[of_patch, index.to(source.device)], positions.to(z_position)


def _kept(positions: NDArray[np.float32], share: float, rng: np.random.Generator) -> _Kept:
    """Planes that stay, and where they lie."""
    planes = len(positions)
    if rng.random() >= share or planes == 1:
        return np.arange(planes), positions
    count = int(rng.integers(1, planes))
    if rng.random() < _EVENLY_SPACED_SHARE:
        return evenly_spaced(planes, count, rng)
    index = np.sort(rng.choice(planes, count, replace=False))
    return index, positions[index]


def evenly_spaced(planes: int, count: int, rng: np.random.Generator) -> _Kept:
    """Choose planes as a stack taken with fewer of them would have.

    Parameters
    ----------
    planes
        How many there are.
    count
        How many to choose, at most ``planes``.
    rng
        Chooses a single plane; several always spread over the whole stack.

    Returns
    -------
    index, position
        (count,) which planes, and where on the scale from 0 to 1 they count as lying.
    """
    if count > 1:
        index = np.linspace(0, planes - 1, count).round().astype(np.intp)
        return index, np.linspace(0, 1, count, dtype=np.float32)
    chosen = rng.normal((planes - 1) / 2, planes * _SPREAD_OF_SINGLE_PLANES)
    index = np.array([round(min(max(chosen, 0.0), planes - 1.0))], np.intp)
    return index, np.array([0.5], np.float32)


def _padded(index: NDArray[np.intp], positions: NDArray[np.float32], size: int) -> _Kept:
    more = size - len(index)
    beyond = _FIRST_COPY + np.arange(more, dtype=np.float32)
    return np.concatenate([index, index[-1:].repeat(more)]), np.concatenate([positions, beyond])
