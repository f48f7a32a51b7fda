"""Predictive distributions: what a network says about each pixel.

`Distribution` says what any of them offers; `isl.models.categorical` has the one of the published
network.  The default is a *split logistic*: two halves of logistic distributions with half of the
mass on either side of their common median m, each with its own scale s.  The distribution function
is logistic((y - m) / s) with the scale of the side where y lies.  Everything a user asks for
(quantiles, mean, standard deviation, proper scores) has a closed form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from isl.models.logistic_entropy import rounded_entropy

PARAMETERS = 3
"""Numbers per pixel and target that the network gives: median and two log scales."""

CLASSES = 256
"""Classes into which a value is rounded where a statistic needs classes."""

_BLOCK_PX = 1 << 15
_LN2 = math.log(2.0)
_LOG_SCALE_RANGE = (-7.0, 5.0)


class Classes(Protocol):
    """Probabilities of values rounded to K classes, as numbers per pixel."""

    @property
    def low(self) -> Float[Tensor, "c 1 1"]:
        """Value of the first class."""
        ...

    @property
    def high(self) -> Float[Tensor, "c 1 1"]:
        """Value of the last class."""
        ...

    @property
    def count(self) -> int:
        """Number of classes K, at least 2."""
        ...

    def probability_of(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Probability of the class of each value."""
        ...

    def probability_nonzero(self) -> Float[Tensor, "*b c y x"]:
        """Probability of any class but the lowest, in 0..1."""
        ...

    def entropy(self) -> Float[Tensor, "*b c y x"]:
        """Entropy divided by ln K: 0 is certain, 1 is any class with the same probability."""
        ...


class Distribution(Protocol):
    """Distribution of each pixel of each target; all numbers are (..., C, Y, X)."""

    per_pixel: ClassVar[tuple[str, ...]]
    """Names of the tensors that hold something for each pixel."""

    @property
    def median(self) -> Float[Tensor, "*b c y x"]:
        """Value with half of the mass on either side."""
        ...

    def mean(self) -> Float[Tensor, "*b c y x"]:
        """Expected value."""
        ...

    def mode(self) -> Float[Tensor, "*b c y x"]:
        """Most likely value."""
        ...

    def std(self) -> Float[Tensor, "*b c y x"]:
        """Standard deviation."""
        ...

    def quantile(self, probability: float) -> Float[Tensor, "*b c y x"]:
        """Value below which a share ``probability``, in the open (0, 1), of the mass lies."""
        ...

    def cdf(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Probability of a value up to ``y``, in [0, 1]."""
        ...

    def log_prob(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Logarithm of the density at ``y``; minus this is the log score."""
        ...

    def crps(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Continuous ranked probability score in the unit of y."""
        ...

    def affine(self, offset: Float[Tensor, "c 1 1"], scale: Float[Tensor, "c 1 1"]) -> Self:
        """Distribution of ``offset + scale * y``; scale > 0."""
        ...

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to each tensor of parameters.

        Every tensor it sees has the targets, rows and columns as its last three axes, in front of
        which other axes may stand; the batch, where there is one, is the first. So a function may
        crop (``p[..., rows, columns]``), choose targets (``p[..., [2, 0], :, :]``), take an
        element of the batch (``p[0]``) or move to a device (``p.cpu()``).
        """
        ...

    def classes(self, low: Float[Tensor, "c 1 1"], high: Float[Tensor, "c 1 1"]) -> Classes:
        """Round the values to classes from ``low`` to ``high``.

        A distribution that is made of classes keeps its own.
        """
        ...


@dataclass(frozen=True)
class RoundedValues:
    """Values of a split logistic distribution rounded to ``count`` classes.

    Class i stands for ``low + i / (count - 1) * (high - low)`` and takes the values that are
    nearest to it; the first and the last take all that lies beyond.

    Attributes
    ----------
    distribution
        The distribution.
    low, high
        (C, 1, 1), in its unit.
    count
        Number of classes, at least 2.
    """

    distribution: "SplitLogistic"
    low: Float[Tensor, "c 1 1"]
    high: Float[Tensor, "c 1 1"]
    count: int = CLASSES

    def _up_to(self, index: int) -> Float[Tensor, "*b c y x"]:
        """Probability of the classes 0..index, index below the last."""
        share = (index + 0.5) / (self.count - 1)
        return self.distribution.cdf(self.low + share * (self.high - self.low))

    def probability_of(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """See `Classes`."""
        index = nearest_class(y, self)
        step = (self.high - self.low) / (self.count - 1)
        below = self.distribution.cdf(self.low + (index - 0.5) * step)
        up_to = self.distribution.cdf(self.low + (index + 0.5) * step)
        return torch.where(index == self.count - 1, 1.0, up_to) - below * (index > 0)

    def probability_nonzero(self) -> Float[Tensor, "*b c y x"]:
        """See `Classes`."""
        return 1.0 - self._up_to(0)

    def entropy(self) -> Float[Tensor, "*b c y x"]:
        """See `Classes`; within 1e-4 of the sum over all classes, a few pixels at a time."""
        found = torch.empty_like(self.distribution.median)
        step = (self.high - self.low) / (self.count - 1)
        for target in range(found.shape[-3]):
            low, unit = self.low[target].squeeze(), step[target].squeeze()
            blocks = zip(*(_blocks(part) for part in self._flat(target)), strict=True)
            parts = [
                rounded_entropy((median - low) / unit, left / unit, right / unit, self.count)
                for median, left, right in blocks
            ]
            found[..., target, :, :] = torch.cat(parts).view_as(found[..., target, :, :])
        return found

    def _flat(self, target: int) -> tuple[Tensor, Tensor, Tensor]:
        """Median and scales of all pixels of one target."""
        d = self.distribution
        median, left, right = (
            part[..., target, :, :].reshape(-1) for part in (d.median, d.scale_left, d.scale_right)
        )
        return median, left, right


def _blocks(flat: Tensor) -> tuple[Tensor, ...]:
    """Parts that the caches of a processor can hold."""
    count = max(-(-flat.numel() // _BLOCK_PX), 1)
    return flat.tensor_split(count)


def nearest_class(y: Float[Tensor, "*b c y x"], classes: Classes) -> Int[Tensor, "*b c y x"]:
    """Index of the class nearest to each value, halves to even; NaN counts as the first."""
    share = (y - classes.low) / (classes.high - classes.low)
    index = (share * (classes.count - 1)).round().nan_to_num(0.0)
    return index.clamp(0, classes.count - 1).long()


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

    per_pixel: ClassVar[tuple[str, ...]] = ("median", "scale_left", "scale_right")

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

    def map(self, function: Callable[[Tensor], Tensor]) -> "SplitLogistic":
        """Apply a function to the median and both scales; see `Distribution.map`."""
        return SplitLogistic(
            function(self.median), function(self.scale_left), function(self.scale_right)
        )

    def classes(self, low: Float[Tensor, "c 1 1"], high: Float[Tensor, "c 1 1"]) -> RoundedValues:
        """Round the values to 256 classes from ``low`` to ``high``."""
        return RoundedValues(self, low.to(self.median), high.to(self.median))

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
