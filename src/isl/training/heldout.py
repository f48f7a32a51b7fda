"""The held-out part while training: its patches, and running Pearson correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from isl.core.axes import Box
from isl.data.patches import Batch, cut_patch
from isl.data.samples import Sample
from isl.inference.tiles import Grid, Tile
from isl.models.labeling import LabelingNetwork

MOST_BOXES = 16
LARGEST_PX = 1024
_ROUNDING = 1e-6


class HeldoutBox(NamedTuple):
    """A box to score, and the data set that it is of."""

    dataset: str
    batch: Batch


def heldout_boxes(samples: Sequence[Sample], network: LabelingNetwork) -> Iterator[HeldoutBox]:
    """Cut the held-out boxes, with as much of their surroundings as the network sees.

    At most 16 boxes of at most 1024 x 1024 pixels, as many of each data set and evenly spread over
    its samples: enough to watch a run without slowing it down.  Presence is False outside of the
    boxes; sources are larger than targets where the network loses a border.
    """
    places = [(s, box) for s in samples if s.has_targets for box in s.heldout if box.size]
    datasets = dict.fromkeys(sample.dataset for sample, _ in places)
    for name in datasets:
        own = [place for place in places if place[0].dataset == name]
        most = max(1, MOST_BOXES // len(datasets))
        for sample, box in own[:: -(-len(own) // most)]:
            yield HeldoutBox(name, _cut(sample, _shortened(box), network))


def _shortened(box: Box) -> Box:
    return Box(box.y0, min(box.y1, box.y0 + LARGEST_PX), box.x0, min(box.x1, box.x0 + LARGEST_PX))


def _cut(sample: Sample, box: Box, network: LabelingNetwork) -> Batch:
    """A box as inference would see it."""
    shape_yx = (sample.source.shape[1], sample.source.shape[2])
    tile = Tile.around(box, shape_yx, Grid.of(network, shape_yx))
    source = tile.show(sample.normalizer.apply(sample.source[(..., *tile.read.slices)]))
    _, target, presence = cut_patch(sample, tile.output, box)
    parts = (np.ascontiguousarray(source), target, presence)
    source_, target_, presence_ = (torch.from_numpy(part)[None] for part in parts)
    return Batch(source_, torch.from_numpy(sample.depths)[None], target_, presence_)


class RunningPearson:
    """Pearson correlation of each target over pixels that arrive in parts.

    Parameters
    ----------
    targets
        Number of targets.
    """

    def __init__(self, targets: int) -> None:
        self._sums = torch.zeros(6, targets, dtype=torch.float64)

    def add(self, prediction: Tensor, target: Tensor, presence: Tensor) -> None:
        """Add pixels (B, C, Y, X); only acquired ones count."""
        weight = presence.double()
        x, y = prediction.double(), target.double()
        moments = (torch.ones_like(x), x, y, x * x, y * y, x * y)
        sums = torch.stack([(m * weight).sum(dim=(0, 2, 3)) for m in moments])
        self._sums += sums.cpu()

    def value(self) -> list[float]:
        """Correlation of each target; NaN where it was acquired nowhere or either is constant."""
        n, x, y, xx, yy, xy = self._sums
        covariance = xy - x * y / n
        variances = (xx - x * x / n) * (yy - y * y / n)
        # What is left of the variance of a constant is rounding, of either sign.
        correlation = torch.where(variances > 0, covariance / variances.sqrt(), torch.nan)
        return [float(r) if abs(r) <= 1.0 + _ROUNDING else float("nan") for r in correlation]


class HeldoutScores:
    """Correlation of each target on the held-out part, of each data set and their mean.

    Parameters
    ----------
    targets
        Number of targets.
    """

    def __init__(self, targets: int) -> None:
        self._targets = targets
        self._of_dataset: dict[str, RunningPearson] = {}

    def add(self, dataset: str, prediction: Tensor, target: Tensor, presence: Tensor) -> None:
        """Add pixels (B, C, Y, X) of a data set; only acquired ones count."""
        scores = self._of_dataset.setdefault(dataset, RunningPearson(self._targets))
        scores.add(prediction, target, presence)

    def of_datasets(self) -> dict[str, list[float]]:
        """Correlation of each target by data set; NaN where it was acquired nowhere."""
        return {name: scores.value() for name, scores in self._of_dataset.items()}

    def value(self) -> list[float]:
        """Mean correlation of each target over the data sets that have it; NaN where none does."""
        columns = zip(*self.of_datasets().values(), strict=True)
        known = [[r for r in column if r == r] for column in columns]
        means = [sum(column) / len(column) if column else float("nan") for column in known]
        return means or [float("nan")] * self._targets
