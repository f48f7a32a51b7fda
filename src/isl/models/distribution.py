"""Predictive distributions: what a network says about each pixel.

The default is a *split logistic*: two halves of logistic distributions with half of the mass on
either side of their common median m, each with its own scale s.  The distribution function is
logistic((y - m) / s) with the scale of the side where y lies.  Everything a user asks for
(quantiles, mean, standard deviation, proper scores) has a closed form.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PARAMETERS = 3
"""Numbers per pixel and target that the network gives: median and two log scales."""

_LN2 = math.log(2.0)
_LOG_SCALE_RANGE = (-7.0, 5.0)


@dataclass(frozen=True)
class SplitLogistic:
    """Split logistic distribution of each pixel of each target.

    Attributes
    ----------
    median
        (..., C, Y, X), in the unit of the image (or normalised while training).
    scale_left, scale_right
        Scales below and above the median, > 0, of the same shape and unit.

    Examples
    --------
    >>> one = torch.ones(1, 1, 1)
    >>> SplitLogistic(one, one, one).quantile(0.5).item()
    1.0
    """

    median: Float[Tensor, "*b c y x"]
    scale_left: Float[Tensor, "*b c y x"]
    scale_right: Float[Tensor, "*b c y x"]

    @classmethod
    def from_raw(cls, raw: Float[Tensor, "b p y x"], targets: int) -> "SplitLogistic":
        """Read the output of a network.

        Parameters
        ----------
        raw
            (B, 3 x targets, Y, X); for each target the median and the two log scales.
        targets
            Number of targets.
        """
        batch, _, rows, columns = raw.shape
        parts = raw.view(batch, targets, PARAMETERS, rows, columns)
        scales = parts[:, :, 1:].clamp(*_LOG_SCALE_RANGE).exp()
        return cls(parts[:, :, 0], scales[:, :, 0], scales[:, :, 1])

    def affine(
        self, offset: Float[Tensor, "c 1 1"], scale: Float[Tensor, "c 1 1"]
    ) -> "SplitLogistic":
        """Distribution of ``offset + scale * y``; scale > 0."""
        return SplitLogistic(
            offset + scale * self.median, scale * self.scale_left, scale * self.scale_right
        )

    def _scaled(
        self, y: Float[Tensor, "*b c y x"]
    ) -> tuple[Float[Tensor, "*b c y x"], Float[Tensor, "*b c y x"]]:
        """Signed distance from the median in units of the scale on that side, and that scale."""
        distance = y - self.median
        scale = torch.where(distance < 0, self.scale_left, self.scale_right)
        return distance / scale, scale

    def cdf(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Probability of a value up to ``y``, in [0, 1]."""
        return torch.sigmoid(self._scaled(y)[0])

    def log_prob(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Logarithm of the density at ``y``; minus this is the log score."""
        u, scale = self._scaled(y)
        u = u.abs()
        return -u - 2.0 * F.softplus(-u) - scale.log()

    def crps(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Continuous ranked probability score in the unit of y; 0 is perfect and certain.

        The integral of (F(x) - 1[x >= y])^2 over x (Gneiting and Raftery, 2007, doi
        10.1198/016214506000001437), solved piece by piece: with u >= 0 the scaled distance of y,
        the side of the median where y lies contributes s (u + 2 softplus(-u) - 1/2 - ln 2) and the
        other side s (ln 2 - 1/2), each with its own scale s.
        """
        u, scale = self._scaled(y)
        other = self.scale_left + self.scale_right - scale
        u = u.abs()
        near = u + 2.0 * F.softplus(-u) - 0.5 - _LN2
        return scale * near + other * (_LN2 - 0.5)

    def quantile(self, probability: float) -> Float[Tensor, "*b c y x"]:
        """Value below which a share ``probability``, in the open (0, 1), of the mass lies."""
        logit = math.log(probability) - math.log1p(-probability)
        return self.median + (self.scale_left if logit < 0 else self.scale_right) * logit

    def mean(self) -> Float[Tensor, "*b c y x"]:
        """Expected value."""
        return self.median + (self.scale_right - self.scale_left) * _LN2

    def mode(self) -> Float[Tensor, "*b c y x"]:
        """Most likely value: the peak of the density, which is at the median."""
        return self.median

    def std(self) -> Float[Tensor, "*b c y x"]:
        """Standard deviation."""
        second_moment = (self.scale_left**2 + self.scale_right**2) * (math.pi**2 / 6.0)
        return (second_moment - ((self.scale_right - self.scale_left) * _LN2) ** 2).sqrt()
