"""The masked loss: a proper score of the predictive distribution where a target was acquired."""

from __future__ import annotations

from torch import Tensor, nn

from isl.data.patches import Batch
from isl.models.distribution import SplitLogistic


def masked_score(
    prediction: SplitLogistic, target: Tensor, presence: Tensor, log_score_weight: float
) -> Tensor:
    """Mean over targets of the mean score over acquired pixels.

    The score is the continuous ranked probability score, which stays near the absolute error and
    so keeps the median accurate, plus a share of the log score, which keeps the scales calibrated;
    both are proper (Gneiting and Raftery, 2007), and so is their sum.

    Parameters
    ----------
    prediction
        Distribution of (B, C, Y, X) pixels, in normalised units.
    target
        (B, C, Y, X); values where ``presence`` is False do not matter.
    presence
        (B, C, Y, X) bool.
    log_score_weight
        Weight of the log score.

    Returns
    -------
    Tensor
        A scalar.  A target acquired nowhere in the batch adds nothing; without any acquired pixel
        the loss is zero, and so are all of its gradients.
    """
    score = prediction.crps(target) - log_score_weight * prediction.log_prob(target)
    weight = presence.to(score.dtype)
    acquired = weight.sum(dim=(0, 2, 3))
    per_target = (score * weight).sum(dim=(0, 2, 3)) / acquired.clamp(min=1.0)
    return per_target.sum() / (acquired > 0).sum().clamp(min=1)


def predict_distribution(network: nn.Module, batch: Batch) -> SplitLogistic:
    """Distribution of each pixel of a batch, in normalised units."""
    raw = network(batch.source, batch.z_position)
    return SplitLogistic.from_raw(raw.float(), targets=batch.target.shape[1])


def batch_loss(network: nn.Module, batch: Batch, log_score_weight: float) -> Tensor:
    """Masked score of a network on a batch."""
    prediction = predict_distribution(network, batch)
    return masked_score(prediction, batch.target, batch.presence, log_score_weight)
