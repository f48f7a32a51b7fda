"""Patches: drawn by presence and by content, and always the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.data.normalization import TargetNormalizer
from isl.data.samples import Sample
from isl.models.labeling import even_depths

_CELL_PX = 16
_BRIGHTEST = 4.0


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
        Cumulative probability of each cell, row by row: evenly over cells in which any target was
        acquired, and in proportion to the targets' brightness.
    pixels
        Acquired pixels: the weight of this area among all.
    """

    sample: Sample
    box: Box
    even: NDArray[np.float64]
    content: NDArray[np.float64]
    pixels: int


class PatchSampler:
    """Draws batches of patches.

    Parameters
    ----------
    samples
        What to draw from.
    normalizers
        One for each target.
    patch_px
        Side of the patches.
    batch_size
        Patches in a batch.
    content_share
        Share of patches drawn in proportion to the targets' brightness, each target counting the
        same; the others are drawn evenly from where a target was acquired.
    seed
        Same seed and step, same batch.

    Notes
    -----
    All patches of a batch have the same number of source planes; where samples differ, the batch
    takes those that have as many as the first sample drawn.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        normalizers: Sequence[TargetNormalizer],
        *,
        patch_px: int,
        batch_size: int,
        content_share: float,
        seed: int,
    ) -> None:
        self._normalizers = tuple(normalizers)
        self._patch_px, self._batch_size = patch_px, batch_size
        self._content_share, self._seed = content_share, seed
        usable = (s for s in samples if s.has_targets)
        areas = (_area(s, box, self._normalizers) for s in usable for box in s.train)
        self._areas = tuple(area for area in areas if area.pixels)
        self.pixels = sum(area.pixels for area in self._areas)
        self._by_pixels = _cumulative(np.array([area.pixels for area in self._areas], float))

    def batch(self, step: int) -> Batch:
        """Draw the batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        areas = self._areas
        first = areas[_choose(self._by_pixels, rng)]
        alike = [a for a in areas if a.sample.planes == first.sample.planes]
        weights = _cumulative(np.array([a.pixels for a in alike], float))
        patches = [self._draw(alike[_choose(weights, rng)], rng) for _ in range(self._batch_size)]
        source, target, presence = (np.stack(parts) for parts in zip(*patches, strict=True))
        z_position = even_depths(source.shape[1]).expand(len(source), -1).contiguous()
        return Batch(
            torch.from_numpy(source),
            z_position,
            torch.from_numpy(target),
            torch.from_numpy(presence),
        )

    def _draw(self, area: DrawingArea, rng: np.random.Generator) -> _Patch:
        by_content = rng.random() < self._content_share
        cell = _choose(area.content if by_content else area.even, rng)
        row, column = divmod(cell, _cells(area.box.shape[1]))
        jitter = rng.integers(0, _CELL_PX, 2)
        y0 = _start(area.box.y0, area.box.y1, row * _CELL_PX + int(jitter[0]), self._patch_px)
        x0 = _start(area.box.x0, area.box.x1, column * _CELL_PX + int(jitter[1]), self._patch_px)
        wanted = Box(y0, y0 + self._patch_px, x0, x0 + self._patch_px)
        return cut_patch(area.sample, wanted, area.box, self._normalizers)


_Patch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]


def cut_patch(
    sample: Sample, wanted: Box, inside: Box, normalizers: Sequence[TargetNormalizer]
) -> _Patch:
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
    normalizers
        One for each target.

    Returns
    -------
    source, target, presence
        (Z, Y, X) float32, (C, Y, X) float32 and (C, Y, X) bool.
    """
    part = wanted.intersect(inside)
    place = (..., *part.relative_to(wanted).slices)
    source = np.zeros((sample.planes, *wanted.shape), np.float32)
    source[place] = sample.normalizer.apply(sample.source[(..., *part.slices)])
    target = np.zeros((len(normalizers), *wanted.shape), np.float32)
    presence = np.zeros(target.shape, np.bool_)
    for index, normalizer in enumerate(normalizers):
        image = sample.targets[index]
        if image is not None:
            values = normalizer.apply(image[part.slices])
            finite = np.isfinite(values)
            target[index][place[1:]] = np.where(finite, values, 0.0)
            presence[index][place[1:]] = finite
    return source, target, presence


def _area(sample: Sample, box: Box, normalizers: Sequence[TargetNormalizer]) -> DrawingArea:
    """Weigh the cells of a box by what was acquired there and how bright it is."""
    acquired = np.zeros((_cells(box.shape[0]), _cells(box.shape[1])))
    content = np.zeros_like(acquired)
    pixels = 0
    for image, normalizer in zip(sample.targets, normalizers, strict=True):
        if image is None:
            continue
        values = normalizer.apply(image[box.slices])
        finite = np.isfinite(values)
        bright = _cell_sums(np.clip(np.where(finite, values, 0.0), 0.0, _BRIGHTEST))
        content += bright / max(float(bright.sum()), 1e-12)
        acquired = np.maximum(acquired, _cell_sums(finite))
        pixels = max(pixels, int(finite.sum()))
    content = content if content.sum() > 0 else acquired
    return DrawingArea(sample, box, _cumulative(acquired), _cumulative(content), pixels)


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
