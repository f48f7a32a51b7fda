"""The masked loss: a proper score of the predictive distribution where a target was acquired."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.patches import Batch
from isl.models.categorical import Categorical
from isl.models.distribution import Distribution
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork
from isl.training.processes.distributed import process_count, total
from isl.training.transfer.retention import Memory, as_distribution


def batch_loss(
    network: LabelingNetwork,
    batch: Batch,
    config: TrainConfig,
    weights: Sequence[float] = (),
    memory: Memory | None = None,
) -> Tensor:
    """Loss of a network on a batch.

    Where several processes share a batch, the mean of their losses is that of the whole batch, and
    so the mean of their gradients is its gradient.

    Parameters
    ----------
    network, batch, config
        The network of 2018 has its own loss, see `published_loss`; others the mean of the scores of
        `target_scores`, to which targets contribute by ``config.difficulty_power``.
    weights
        Further weights of the targets; all alike where not given.  A target that is absent leaves
        its share empty, and does not make the others weigh more.
    memory
        What the model to start from says where its targets were not acquired.
    """
    if isinstance(network, Isl2018Labeling):
        return published_loss(network, batch, memory)
    prediction = predict_batch(network, batch)
    sums, own_pixels = _sums(prediction, batch.target, batch.presence, config)
    asked = torch.tensor(weights or [1.0] * len(sums)).to(sums)
    pixels, everyones = total(torch.stack([own_pixels, sums])).unbind()
    scores, whole = sums / pixels.clamp(min=1.0), everyones / pixels.clamp(min=1.0)
    # An easy target that is learned along with a hard one otherwise goes on to learn the training
    # images by heart while the hard one is still learned.
    weight = asked * whole.abs() ** config.difficulty_power * (pixels > 0)
    present = (asked * (pixels > 0)).sum() / asked.sum()
    loss = process_count() * present * (weight * scores).sum() / weight.sum().clamp(min=1e-12)
    return loss if memory is None else loss + memory.loss(prediction, batch)


def predict_batch(network: LabelingNetwork, batch: Batch) -> Distribution:
    """Distribution of each pixel of a batch, in normalised units."""
    return network.distribution(batch.source, batch.z_position)


def heldout_loss(
    prediction: Distribution, target: Tensor, presence: Tensor, config: TrainConfig
) -> Tensor:
    """Score of a prediction of the targets: what a network is trained for, on held-out pixels."""
    if not isinstance(prediction, Categorical):
        return masked_score(prediction, target, presence, config)
    logits = prediction.probability.clamp_min(1e-7).log()
    count = target.shape[1]
    return torch.stack(
        [head_loss(logits[:, :, i], target[:, i], presence[:, i]) for i in range(count)]
    ).mean()


def masked_score(
    prediction: Distribution, target: Tensor, presence: Tensor, config: TrainConfig
) -> Tensor:
    """Mean over the acquired targets of their `target_scores`.

    Returns
    -------
    Tensor
        A scalar.  A target acquired nowhere in the batch adds nothing; without any acquired pixel
        the loss is zero, and so are all of its gradients.
    """
    scores, acquired = target_scores(prediction, target, presence, config)
    return scores.sum() / acquired.sum().clamp(min=1)


def target_scores(
    prediction: Distribution, target: Tensor, presence: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Mean score of each target over the pixels where it was acquired.

    The score is the continuous ranked probability score, plus shares of the squared error of the
    mean, which gives weight to bright structures, and of the log score.  All are proper (Gneiting
    and Raftery, 2007), and so is their sum.

    Parameters
    ----------
    prediction
        Distribution of (B, C, Y, X) pixels, in normalised units.
    target
        (B, C, Y, X); values where ``presence`` is False do not matter.
    presence
        (B, C, Y, X) bool.
    config
        Gives the weights.

    Returns
    -------
    scores, acquired
        (C,) mean scores, 0 where there is no pixel, and (C,) bool, whether there is one.
    """
    sums, pixels = _sums(prediction, target, presence, config)
    return sums / pixels.clamp(min=1.0), pixels > 0


def _sums(
    prediction: Distribution, target: Tensor, presence: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Sum of the scores of each target over the pixels where it was acquired, and their number."""
    score = prediction.crps(target)
    if config.squared_error_weight:
        score = score + config.squared_error_weight * (prediction.mean() - target) ** 2
    if config.log_score_weight:
        score = score - config.log_score_weight * prediction.log_prob(target)
    weight = presence.to(score.dtype)
    return (score * weight).sum(dim=(0, 2, 3)), weight.sum(dim=(0, 2, 3))


def published_loss(network: Isl2018Labeling, batch: Batch, memory: Memory | None = None) -> Tensor:
    """The loss of 2018: half for reconstructing the planes, half for the targets.

    Each half is the mean of `head_loss` over its heads; a target that was acquired nowhere in the
    batch adds zero and still counts.  Without heads for the planes the targets have the whole.
    Where several processes share a batch, the mean of their losses is that of the whole batch.

    Parameters
    ----------
    network
        The network; its output is compared with the centre of the patches.
    batch
        Patches whose sides are larger than the output by what the network loses.
    memory
        What the model to start from says, added to the loss of the targets.
    """
    planes = network.requested(batch.source, batch.z_position)
    logits = list(network.module(network.features(batch.source, batch.z_position)).values())
    count = batch.target.shape[1]
    side = logits[0].shape[-1]
    target, presence = _centre(batch.target, side), _centre(batch.presence, side)
    of_targets = _mean_loss(logits[-count:], target, presence)
    if memory is not None:
        of_targets = of_targets + memory.loss(as_distribution(logits[-count:]), batch)
    if len(logits) == count:
        return of_targets
    shown = _centre(planes, side)
    return 0.5 * _mean_loss(logits[:-count], shown, torch.ones_like(shown)) + 0.5 * of_targets


def _mean_loss(logits: Sequence[Tensor], values: Tensor, weight: Tensor) -> Tensor:
    pixels = total((weight != 0).sum((0, 2, 3)))
    losses = [_summed(part, values[:, i], weight[:, i]) for i, part in enumerate(logits)]
    return process_count() * (torch.stack(losses) / pixels.clamp(min=1)).mean()


def head_loss(logits: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Masked cross entropy of one head, 1 for a uniform prediction.

    Parameters
    ----------
    logits
        (B, K, Y, X).
    values
        (B, Y, X) in [0, 1]; the class is ``round(value * (K - 1))``.
    weight
        (B, Y, X); the sum of weighted losses is divided by the number of pixels whose weight is not
        zero.

    Returns
    -------
    Tensor
        A scalar; zero where no pixel has weight.
    """
    return _summed(logits, values, weight) / (weight != 0).sum().clamp(min=1)


def _summed(logits: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Sum of the weighted losses of one head, in units of that of a uniform prediction."""
    classes = logits.shape[1]
    index = (values * (classes - 1)).round().nan_to_num(0.0).clamp(0, classes - 1).long()
    loss = F.cross_entropy(logits.float(), index, reduction="none") * weight
    return loss.sum() / math.log(classes)


def _centre(images: Tensor, side: int) -> Tensor:
    margin = (images.shape[-1] - side) // 2
    return images[..., margin : margin + side, margin : margin + side]
