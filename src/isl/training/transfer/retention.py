"""Go on saying what the model to start from said, where its targets were not acquired."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from isl.data.patches import Batch
from isl.inference.model import Model
from isl.models.categorical import Categorical
from isl.models.distribution import Distribution, SplitLogistic
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.training.processes.distributed import process_count, total

_LN2 = math.log(2.0)
_LEAST_PROBABILITY = 1e-7


class Memory:
    """What the model to start from says about targets that patches lack.

    Not a module of torch: as an attribute of one it stays out of checkpoints and optimisers, and
    copies of that module share it.

    Parameters
    ----------
    old
        The model to start from.
    targets
        Names of the targets of the run.
    kept
        Names of those whose heads, and with them whose units, are taken over.
    weight
        Weight in the loss.
    """

    def __init__(
        self, old: Model, targets: Sequence[str], kept: Sequence[str], weight: float = 1.0
    ) -> None:
        self._weight = weight
        self._network = copy.deepcopy(old.network).eval().requires_grad_(False)
        self._new = [targets.index(name) for name in kept]
        self._old = [old.card.target_names.index(name) for name in kept]

    def __deepcopy__(self, memo: object) -> Memory:
        """The same, as it never changes."""
        return self

    def loss(self, prediction: Distribution, batch: Batch) -> Tensor:
        """Weighted distance from what the old network says of patches, where they lack a target.

        Parameters
        ----------
        prediction
            Distribution of (B, C, Y, X) pixels, in normalised units.
        batch
            The patches as the network has seen them. Only the centre counts where the prediction
            is smaller.
        """
        rows, columns = prediction.median.shape[-2:]
        margin = (batch.presence.shape[-1] - columns) // 2
        presence = batch.presence[..., margin : margin + rows, margin : margin + columns]
        absent = ~presence[:, self._new]
        if process_count() == 1 and not absent.any():
            return batch.source.new_zeros(())
        self._network.to(batch.source.device)
        with torch.no_grad():
            said = recall(self._network, batch)
        new, old = self._new, self._old
        of_prediction = prediction.map(lambda part: part[..., new, :, :])
        of_old = said.map(lambda part: part[..., old, :, :])
        return self._weight * retention_loss(of_prediction, of_old, absent)


def recall(network: LabelingNetwork, batch: Batch) -> Distribution:
    """What a network says of patches; that of 2018 of their centre, as in training."""
    if not isinstance(network, Isl2018Labeling):
        return network.distribution(batch.source, batch.z_position)
    features = network.features(batch.source, batch.z_position)
    found = network.module(features)
    return as_distribution([found[head] for head in network.target_heads])


def as_distribution(logits: Sequence[Tensor]) -> Categorical:
    """Distribution, on 0..1, of logits (B, K, Y, X) of each target."""
    stacked = torch.stack(list(logits), 2)
    low = stacked.new_zeros(len(logits), 1, 1)
    return Categorical.from_logits(stacked, low, torch.ones_like(low))


def retention_loss(prediction: Distribution, old: Distribution, absent: Tensor) -> Tensor:
    """Mean distance of two distributions over the pixels where a target was not acquired.

    Parameters
    ----------
    prediction, old
        Distributions of the same (B, C, Y, X) pixels and targets, in the same unit.
    absent
        (B, C, Y, X) bool; True where the target was not acquired.

    Returns
    -------
    Tensor
        A scalar, the mean over the targets that lack a pixel; zero where none does.  Where several
        processes share a batch, the mean of their losses is that of the whole batch.

    Raises
    ------
    TypeError
        Where the distributions are of different kinds.
    """
    distance = _distance(prediction, old)
    weight = absent.to(distance.dtype)
    pixels = total(weight.sum(dim=(0, 2, 3)))
    means = process_count() * (distance * weight).sum(dim=(0, 2, 3)) / pixels.clamp(min=1.0)
    return means.sum() / (pixels > 0).sum().clamp(min=1)


def _distance(one: Distribution, other: Distribution) -> Tensor:
    """Distance of each pixel, (B, C, Y, X); zero where the distributions are the same."""
    if isinstance(one, SplitLogistic) and isinstance(other, SplitLogistic):
        return _squared_transport(one, other)
    if isinstance(one, Categorical) and isinstance(other, Categorical):
        return _divergence(one, other)
    raise TypeError(f"cannot compare {type(one).__name__} with {type(other).__name__}")


def _squared_transport(one: SplitLogistic, other: SplitLogistic) -> Tensor:
    """Squared 2-Wasserstein distance: the mean squared difference of all quantiles.

    The quantile p is m + s L with L = ln(p / (1 - p)) and the scale s of its side of the median m.
    Over the upper half L integrates to ln 2 and its square to pi^2 / 6; over the lower half to
    -ln 2 and the same.
    """
    median = one.median - other.median
    left, right = one.scale_left - other.scale_left, one.scale_right - other.scale_right
    squares = median**2 + math.pi**2 / 6.0 * (left**2 + right**2)
    return squares + 2.0 * _LN2 * median * (right - left)


def _divergence(one: Categorical, other: Categorical) -> Tensor:
    """Kullback-Leibler divergence from the other one, in units of ln K."""
    logs = [each.probability.clamp_min(_LEAST_PROBABILITY).log() for each in (one, other)]
    terms = other.probability * (logs[1] - logs[0])
    return terms.sum(dim=-4) / math.log(one.count)
