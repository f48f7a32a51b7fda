"""The masked loss: a proper score of the predictive distribution where a target was acquired."""

from __future__ import annotations

from torch import Tensor

from isl.core.config import TrainConfig
from isl.data.patches import Batch
from isl.models.distribution import SplitLogistic


def masked_score(
    prediction: SplitLogistic, target: Tensor, presence: Tensor, config: TrainConfig
) -> Tensor:
    """Mean over targets of the mean score over acquired pixels.

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
    Tensor
        A scalar.  A target acquired nowhere in the batch adds nothing; without any acquired pixel
        the loss is zero, and so are all of its gradients.
    """
    score = prediction.crps(target)
    if config.squared_error_weight:
        score = score + config.squared_error_weight * (prediction.mean() - target) ** 2
    if config.log_score_weight:
        score = score - config.log_score_weight * prediction.log_prob(target)
    weight = presence.to(score.dtype)
    acquired = weight.sum(dim=(0, 2, 3))
    per_target = (score * weight).sum(dim=(0, 2, 3)) / acquired.clamp(min=1.0)
    return per_target.sum() / (acquired > 0).sum().clamp(min=1)


def predict_distribution(network: nn.Module, batch: Batch) -> SplitLogistic:
    """Distribution of each pixel of a batch, in normalised units."""
    raw = network(batch.source, batch.z_position)
    return SplitLogistic.from_raw(raw.float(), targets=batch.target.shape[1])


def batch_loss(network: nn.Module, batch: Batch, config: TrainConfig) -> Tensor:
    """Masked score of a network on a batch."""
    prediction = predict_distribution(network, batch)
    return masked_score(prediction, batch.target, batch.presence, config)
