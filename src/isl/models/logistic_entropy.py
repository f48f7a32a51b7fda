"""Entropy of a split logistic distribution whose values are rounded to equally spaced classes.

Seen from the median, either side is a logistic distribution that is cut into classes of h scales
each.  The classes next to the median are summed one by one.  The others are summed as an integral:
with q the mass beyond a point, the density is q (1 - q), so that the integral of its logarithm has
a closed form.  What rounding adds to it is known exactly where the density falls exponentially,
and nearly so elsewhere if h is small; where h is large, nothing is left beyond the first classes.
The sum over all classes is met within 1e-4 of it, at a tenth of the work or less.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

ENTROPY_EPSILON = 1e-7
"""Added to a probability before its logarithm is taken, as the published program does."""

_EXACT = 4
_FARTHEST = 80.0
_LEAST, _MOST = 1e-12, 1e12
_TINY = 1e-30


def entropy_term(probability: Tensor) -> Tensor:
    """What one class contributes to the entropy in nats: ``-p ln(p + 1e-7)``."""
    return -probability * (probability + ENTROPY_EPSILON).log()


def rounded_entropy(
    median: Float[Tensor, " n"],
    scale_left: Float[Tensor, " n"],
    scale_right: Float[Tensor, " n"],
    count: int,
) -> Float[Tensor, " n"]:
    """Entropy of split logistic distributions rounded to the values 0, 1, ... count - 1.

    Parameters
    ----------
    median, scale_left, scale_right
        In steps from one class to the next, the first class being at 0; scales > 0.
    count
        Number of classes, at least 2; the first and the last take all that lies beyond.

    Returns
    -------
    Tensor
        Divided by ln(count): 0 is certain, 1 is uniform; NaN where a parameter is.
    """
    middle = (median + 0.5).floor().clamp(0, count - 1)
    inside, right = _side(middle + 0.5 - median, scale_right, count - 2 - middle)
    beyond, left = _side(median - middle + 0.5, scale_left, middle - 1)
    own = entropy_term((1.0 - inside - beyond).clamp_min(0.0))
    return (own + left + right) / math.log(count)


def _side(distance: Tensor, scale: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
    """Mass of the classes on one side of that of the median, and their part of the entropy.

    Parameters
    ----------
    distance
        From the median to the nearest border between classes, in classes.
    scale
        In classes.
    inner
        Number of classes without the outermost; -1 where there is none at all.
    """
    per_class = scale.clamp(_LEAST, _MOST).reciprocal()
    first = torch.where(inner < 0, _FARTHEST, distance * per_class)
    inner = inner.clamp_min(0)
    far = (first + inner * per_class).clamp_max(_FARTHEST)
    near = first.clamp_max(_FARTHEST)
    mass = beyond = torch.sigmoid(-near)
    total = torch.zeros_like(mass)
    for _ in range(_EXACT):
        near = torch.minimum(near + per_class, far)
        after = torch.sigmoid(-near)
        total = total + entropy_term((beyond - after).clamp_min(0.0))
        beyond = after
    outermost = torch.sigmoid(-far)
    between = _integral(per_class, near, beyond, far, outermost)
    return mass, total + between + entropy_term(outermost)


def _integral(
    per_class: Tensor, near: Tensor, beyond: Tensor, far: Tensor, outermost: Tensor
) -> Tensor:
    """Entropy of all classes between two distances from the median, beyond which masses lie."""
    filled = -torch.expm1(-per_class)
    rounding = per_class / filled - per_class - 1.0 - (filled / per_class).log()
    return (
        _surprise(near, beyond)
        - _surprise(far, outermost)
        - (beyond - outermost) * per_class.log()
        + rounding * (_bent(beyond) - _bent(outermost))
        - (_epsilon_part(per_class, beyond) - _epsilon_part(per_class, outermost)) / per_class
    )


def _surprise(distance: Tensor, beyond: Tensor) -> Tensor:
    """Integral of ``-ln(q (1 - q))`` for q from 0 to the mass beyond a distance."""
    return beyond * (distance + 2.0) + (1.0 - 2.0 * beyond) * torch.log1p(-beyond)


def _bent(beyond: Tensor) -> Tensor:
    """Integral of ``(1 - 2 q)^2``, the square of the relative slope of the density, likewise."""
    return beyond * (1.0 - 2.0 * beyond + 4.0 / 3.0 * beyond * beyond)


def _epsilon_part(per_class: Tensor, beyond: Tensor) -> Tensor:
    """Integral of ``ln(1 + 1e-7 / p)`` for the mass p of a class from 0 to that at a point."""
    p = (per_class * beyond * (1.0 - beyond)).clamp_min(_TINY)
    return p * torch.log1p(ENTROPY_EPSILON / p) + ENTROPY_EPSILON * (p + ENTROPY_EPSILON).log()
