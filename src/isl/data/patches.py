"""Patches: drawn by presence and by content, and always the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.data.samples import Sample

_CELL_PX = 16
_BRIGHTEST = 4.0
_LARGEST_WEIGHT = 10.0


class Batch(NamedTuple):
    """Patches with what is known about them.

    Attributes
    ----------
    source
        (B, Z, Y, X) float32, normalised.
    z_position
        (B, Z) float32 from 0, the first plane, to 1, the last.
    target
        (B, C, Y, X) float32, normalised; 0 where not acquired.
    presence
        (B, C, Y, X) bool; True where the target was acquired.
    """

    source: Tensor
    z_position: Tensor
    target: Tensor
    presence: Tensor


@dataclass(frozen=True)
class DrawingArea:
    """One box of one sample, divided into cells that are drawn with given probabilities.

    Attributes
    ----------
    sample, box
        The sample, and the box that patches stay in.
    even, content
        For each target the cumulative probability of each cell, row by row: evenly over cells in
        which it was acquired, and in proportion to its brightness.
    pixels
        (C,) acquired pixels of each target.
    """

    sample: Sample
    box: Box
    even: tuple[NDArray[np.float64], ...]
    content: tuple[NDArray[np.float64], ...]
    pixels: NDArray[np.float64]


class PatchSampler:
    """Draws batches of patches.

    For each patch a dataset is drawn, then one of its targets, then a place where that target was
    acquired.

    Parameters
    ----------
    samples
        What to draw from.
    patch_px
        Side of the patches.
    batch_size
        Patches in a batch.
    content_share
        Share of patches drawn in proportion to the target's brightness; the others are drawn evenly
        from where it was acquired.
    seed
        Same seed and step, same batch.
    dataset_weights
        Weight with which each dataset is drawn, by name; 1 for those that are not named.
    target_balance
        1 draws the targets of a dataset equally often, 0 in proportion to their acquired pixels.

    Attributes
    ----------
    areas
        Boxes that patches are drawn from.
    shares
        Share of the patches that each data set gets, by name.
    pixels
        Acquired pixels in all, each counted once.
    target_weights
        (C,) weights of the targets in the loss that make up for being absent from batches; 1 for
        the one that is there most often.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        patch_px: int,
        batch_size: int,
        content_share: float,
        seed: int,
        dataset_weights: Mapping[str, float] | None = None,
        target_balance: float = 1.0,
    ) -> None:
        self._patch_px, self._batch_size = patch_px, batch_size
        self._content_share, self._seed = content_share, seed
        usable = (s for s in samples if s.has_targets)
        areas = (_area(s, box) for s in usable for box in s.train)
        self.areas = tuple(area for area in areas if area.pixels.any())
        self.pixels = int(sum(area.pixels.max() for area in self.areas))
        self.shares: dict[str, float] = {}
        if self.areas:
            chances = _chances(self.areas, dataset_weights or {}, target_balance)
            self._choices = _cumulative(chances)
            self.target_weights = _rarity(chances, self.areas, batch_size, target_balance)
            for area, chance in zip(self.areas, chances.sum(axis=1), strict=True):
                name = area.sample.dataset
                self.shares[name] = self.shares.get(name, 0.0) + float(chance)

    def batch(self, step: int, slots: slice | None = None) -> Batch:
        """Draw the batch of a step.

        Parameters
        ----------
        step
            Which one.
        slots
            Patches of it that are wanted; all by default.
        """
        wanted = range(self._batch_size)[slots or slice(None)]
        patches = [self._draw(np.random.default_rng([self._seed, step, slot])) for slot in wanted]
        planes = max(len(depths) for _, depths, _, _ in patches)
        stacks = [padded_planes(source, depths, planes) for source, depths, _, _ in patches]
        return Batch(
            torch.from_numpy(np.stack([source for source, _ in stacks])),
            torch.from_numpy(np.stack([depths for _, depths in stacks])),
            torch.from_numpy(np.stack([target for _, _, target, _ in patches])),
            torch.from_numpy(np.stack([presence for _, _, _, presence in patches])),
        )

    def _draw(self, rng: np.random.Generator) -> _Drawn:
        index, wanted_target = divmod(_choose(self._choices, rng), len(self.areas[0].pixels))
        area = self.areas[index]
        by_content = rng.random() < self._content_share
        cell = _choose((area.content if by_content else area.even)[wanted_target], rng)
        row, column = divmod(cell, _cells(area.box.shape[1]))
        jitter = rng.integers(0, _CELL_PX, 2)
        y0 = _start(area.box.y0, area.box.y1, row * _CELL_PX + int(jitter[0]), self._patch_px)
        x0 = _start(area.box.x0, area.box.x1, column * _CELL_PX + int(jitter[1]), self._patch_px)
        wanted = Box(y0, y0 + self._patch_px, x0, x0 + self._patch_px)
        source, target, presence = cut_patch(area.sample, wanted, area.box)
        return source, area.sample.depths, target, presence


def padded_planes(
    source: NDArray[np.float32], depths: NDArray[np.float32], planes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give a stack as many planes as others of a batch have.

    Copies of the last plane are put beyond it, which changes nothing for a network: it interpolates
    between neighbouring planes, and takes the last one for all that is deeper.

    Parameters
    ----------
    source
        (Z, Y, X).
    depths
        (Z,), increasing.
    planes
        At least Z.
    """
    more = planes - len(source)
    if not more:
        return source, depths
    beyond = depths[-1] + np.arange(1, more + 1, dtype=np.float32)
    last = np.repeat(source[-1:], more, axis=0)
    return np.concatenate([source, last]), np.concatenate([depths, beyond])


_Patch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
_Drawn = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]


def cut_patch(sample: Sample, wanted: Box, inside: Box) -> _Patch:
    """Cut a patch out of a sample.

    Parameters
    ----------
    sample
        Where it comes from.
    wanted
        The patch; what lies outside of ``inside`` is filled with the source's mean and counts as
        not acquired.
    inside
        Pixels that may be used.

    Returns
    -------
    source, target, presence
        (Z, Y, X) float32, (C, Y, X) float32 and (C, Y, X) bool.
    """
    part = wanted.intersect(inside)
    place = (..., *part.relative_to(wanted).slices)
    source = np.zeros((sample.planes, *wanted.shape), np.float32)
    source[place] = sample.normalizer.apply(sample.source[(..., *part.slices)])
    target = np.zeros((len(sample.targets), *wanted.shape), np.float32)
    presence = np.zeros(target.shape, np.bool_)
    for index, image in enumerate(sample.targets):
        if image is not None:
            values = sample.target_normalizers[index].apply(image[part.slices])
            finite = np.isfinite(values)
            target[index][place[1:]] = np.where(finite, values, 0.0)
            presence[index][place[1:]] = finite
    return source, target, presence


def _area(sample: Sample, box: Box) -> DrawingArea:
    """Weigh the cells of a box by where each target was acquired and how bright it is."""
    count = _cells(box.shape[0]) * _cells(box.shape[1])
    even, content = ([np.zeros(count) for _ in sample.targets] for _ in range(2))
    pixels = np.zeros(len(sample.targets))
    for index, image in enumerate(sample.targets):
        if image is None:
            continue
        values = sample.target_normalizers[index].apply(image[box.slices])
        finite = np.isfinite(values)
        acquired = _cell_sums(finite)
        bright = _cell_sums(np.clip(np.where(finite, values, 0.0), 0.0, _BRIGHTEST))
        even[index] = _cumulative(acquired)
        content[index] = _cumulative(bright if bright.sum() > 0 else acquired)
        pixels[index] = float(finite.sum())
    return DrawingArea(sample, box, tuple(even), tuple(content), pixels)


def _chances(
    areas: Sequence[DrawingArea], weights: Mapping[str, float], balance: float
) -> NDArray[np.float64]:
    """Probability (areas, C) with which each target of each area is drawn."""
    pixels = np.stack([area.pixels for area in areas])
    names = [area.sample.dataset for area in areas]
    chances = np.zeros_like(pixels)
    for name in dict.fromkeys(names):
        rows = np.array([n == name for n in names])
        of_target = pixels[rows].sum(axis=0)
        shares = np.where(of_target > 0, of_target ** (1.0 - balance), 0.0)
        within = pixels[rows] / np.maximum(of_target, 1.0) * shares / shares.sum()
        chances[rows] = weights.get(name, 1.0) * within
    return np.asarray(chances / chances.sum())


def _rarity(
    chances: NDArray[np.float64], areas: Sequence[DrawingArea], batch_size: int, balance: float
) -> NDArray[np.float64]:
    """Weights (C,) that make up for targets that few batches hold."""
    pixels = np.stack([area.pixels for area in areas])
    covered = pixels / pixels.max(axis=1, keepdims=True)
    per_patch = (chances.sum(axis=1, keepdims=True) * covered).sum(axis=0)
    per_batch = 1.0 - (1.0 - np.minimum(per_patch, 1.0)) ** batch_size
    known = per_batch > 0
    weights = np.ones_like(per_batch)
    weights[known] = (per_batch.max() / per_batch[known]) ** balance
    return np.asarray(np.minimum(weights, _LARGEST_WEIGHT))


def _cells(length_px: int) -> int:
    return -(-length_px // _CELL_PX)


def _cell_sums(image: NDArray[Any]) -> NDArray[np.float64]:
    rows, columns = (_cells(n) * _CELL_PX for n in image.shape)
    padded = np.pad(
        image.astype(np.float64), ((0, rows - image.shape[0]), (0, columns - image.shape[1]))
    )
    cells = padded.reshape(rows // _CELL_PX, _CELL_PX, columns // _CELL_PX, _CELL_PX)
    return np.asarray(cells.sum(axis=(1, 3)))


def _cumulative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.cumsum(weights.ravel())
    return np.asarray(sums / max(float(sums[-1]), 1e-300))


def _choose(cumulative: NDArray[np.float64], rng: np.random.Generator) -> int:
    found = int(np.searchsorted(cumulative, rng.random(), "right"))
    return min(found, len(cumulative) - 1)


def _start(first: int, end: int, centre: int, length: int) -> int:
    """First pixel of a stretch around a centre (from ``first``), moved to lie inside if it can."""
    start = first + centre - length // 2
    return max(first, min(start, end - length)) if end - first >= length else first
