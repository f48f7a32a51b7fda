"""Landmarks of an image: points that are found again in any copy of it, and what is around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isl.core.axes import Box

WORDS = 8
"""Words that describe a landmark; each is compared by itself, so that noise may spoil some."""

_SMOOTHING_PX = 1.5
_BLUR_PX = 5
_APART_PX = 11
_RADIUS_PX = 12
MARGIN_PX = _RADIUS_PX + _BLUR_PX
"""Pixels at the sides of a box in which there are no landmarks, as their surroundings are cut."""

_BITS = 24
_LEAST_CONTRAST = 0.02
_MOST_TIES = 0.1
_MOST_LANDMARKS = 4096
_BLOCK_PX = 512


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of some boxes of an image.

    Attributes
    ----------
    positions
        (N, 2) int64, y and x in the image.
    words
        (N, `WORDS`) uint32; the same in copies with another gain, offset or place.
    """

    positions: NDArray[np.int64]
    words: NDArray[np.uint32]

    def __len__(self) -> int:
        """Number of landmarks."""
        return len(self.positions)


def find_landmarks(plane: NDArray[Any], boxes: tuple[Box, ...], most_pixels: int) -> Landmarks:
    """Find landmarks in some boxes of an image; nothing outside of them has an influence.

    They are the highest and lowest points of their surroundings. Each is described by comparing
    pairs of smoothed pixels around it, which neither gain nor offset changes. Flat and saturated
    surroundings, which are alike everywhere, have none.

    Parameters
    ----------
    plane
        (Y, X); NaN counts as flat.
    boxes
        Where to look.
    most_pixels
        Look at no more than about this many pixels, in blocks spread evenly.

    Returns
    -------
    Landmarks
        The most prominent ones.
    """
    found = [_in_block(plane, block) for block in _blocks(boxes, most_pixels)]
    if not found:
        return Landmarks(np.zeros((0, 2), np.int64), np.zeros((0, WORDS), np.uint32))
    contrast = np.concatenate([c for _, c in found])
    order = np.argsort(-contrast, kind="stable")[:_MOST_LANDMARKS]
    return Landmarks(
        np.concatenate([marks.positions for marks, _ in found])[order],
        np.concatenate([marks.words for marks, _ in found])[order],
    )


def _blocks(boxes: tuple[Box, ...], most_pixels: int) -> list[Box]:
    """The boxes, or where they are too large blocks of them."""
    boxes = tuple(box for box in boxes if box.size)
    if sum(box.size for box in boxes) <= most_pixels:
        return list(boxes)
    blocks = [
        Box(y, min(y + _BLOCK_PX, box.y1), x, min(x + _BLOCK_PX, box.x1))
        for box in boxes
        for y in range(box.y0, box.y1, _BLOCK_PX)
        for x in range(box.x0, box.x1, _BLOCK_PX)
    ]
    count = max(1, round(len(blocks) * most_pixels / sum(box.size for box in boxes)))
    chosen = np.unique(np.linspace(0, len(blocks) - 1, count).round().astype(int))
    return [blocks[index] for index in chosen]


def _in_block(plane: NDArray[Any], block: Box) -> tuple[Landmarks, NDArray[np.float32]]:
    """Landmarks of one block, and how far each stands out."""
    smooth = _smoothed(np.asarray(plane[block.slices], np.float32))
    highest = ndimage.maximum_filter(smooth, _APART_PX)
    lowest = ndimage.minimum_filter(smooth, _APART_PX)
    contrast = highest - lowest
    stands_out = contrast > _LEAST_CONTRAST * max(float(smooth.std()), 1e-30)
    inside = np.zeros(smooth.shape, bool)
    inside[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = True
    words, positions, contrasts = [], [], []
    for extreme, kind in ((highest, 0), (lowest, 1)):
        at = np.argwhere((smooth == extreme) & stands_out & inside)
        near = contrast[at[:, 0], at[:, 1]]
        described, has_shape = _describe(smooth, at, near, kind)
        words.append(described[has_shape])
        positions.append(at[has_shape] + (block.y0, block.x0))
        contrasts.append(near[has_shape])
    marks = Landmarks(np.concatenate(positions), np.concatenate(words))
    return marks, np.concatenate(contrasts)


def _smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = np.isfinite(image)
    if not finite.all():
        image = np.where(finite, image, image[finite].mean() if finite.any() else 0)
    return np.asarray(ndimage.gaussian_filter(image - image.mean(), _SMOOTHING_PX, radius=_BLUR_PX))


def _describe(
    smooth: NDArray[np.float32], at: NDArray[np.int64], contrast: NDArray[np.float32], kind: int
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Words of each point, and whether there is any shape around it, not only flat ground."""
    y, x = at[:, 0, None], at[:, 1, None]
    first, second = _PAIRS
    difference = (
        smooth[y + first[:, 0], x + first[:, 1]] - smooth[y + second[:, 0], x + second[:, 1]]
    )
    ties = np.abs(difference) <= 1e-3 * contrast[:, None]
    bits = (difference > 0).reshape(len(at), WORDS, _BITS).astype(np.uint32)
    words = (bits << np.arange(_BITS, dtype=np.uint32)).sum(axis=2, dtype=np.uint32)
    tags = (np.arange(WORDS, dtype=np.uint32) * 2 + kind) << _BITS
    return words | tags.astype(np.uint32), ties.mean(axis=1) <= _MOST_TIES


def _pairs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends of the pairs that are compared: (`WORDS` * 24, 2) each, the same in every run."""
    rng = np.random.default_rng(20180419)
    ends = rng.integers(-_RADIUS_PX, _RADIUS_PX + 1, (2, WORDS * _BITS, 2))
    return ends[0], ends[1]


_PAIRS = _pairs()
