"""A probability for each of K grey values: what the published network says about each pixel.

Class i stands for the value ``low + i / (K - 1) * (high - low)``.  Statistics are those of the
published program; for scores, which need a density, the mass of a class is spread evenly over the
bin of one step that is centred on its value.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isl.models.distribution import nearest_class
from isl.models.logistic_entropy import entropy_term

_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Categorical:
    """Probabilities of K equally spaced values, for each pixel of each target.

    Attributes
    ----------
    probability
        (..., K, C, Y, X), at least 0, with sum 1 over K >= 2 classes; NaN in all of them where
        nothing was predicted, which makes every statistic NaN.
    low, high
        (C, 1, 1), values of the first and the last class; high > low.

    Examples
    --------
    >>> low, high = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    >>> p = torch.tensor([0.25, 0.25, 0.5]).view(3, 1, 1, 1)
    >>> Categorical(p, low, high).mean().item()
    0.625
    """

    per_pixel: ClassVar[tuple[str, ...]] = ("probability",)

    probability: Float[Tensor, "*b k c y x"]
    low: Float[Tensor, "c 1 1"]
    high: Float[Tensor, "c 1 1"]

    @classmethod
    def from_logits(
        cls,
        logits: Float[Tensor, "*b k c y x"],
        low: Float[Tensor, "c 1 1"],
        high: Float[Tensor, "c 1 1"],
    ) -> "Categorical":
        """Softmax of the output of a network over its class axis, the fourth from the end."""
        return cls(logits.softmax(dim=-4), low, high)

    @property
    def count(self) -> int:
        """Number of classes K."""
        return self.probability.shape[-4]

    @property
    def median(self) -> Float[Tensor, "*b c y x"]:
        """Value of the first class up to which at least half of the mass lies."""
        return self.quantile(0.5)

    def quantile(self, probability: float) -> Float[Tensor, "*b c y x"]:
        """Value of the first class up to which a share ``probability`` or more of the mass lies."""
        up_to = torch.zeros_like(self._of(0))
        index = torch.zeros_like(up_to)
        for i in range(self.count - 1):
            up_to = up_to + self._of(i)
            index = index + (up_to < probability)
        return self._value(index + 0.0 * up_to)  # NaN where nothing was predicted

    def mode(self) -> Float[Tensor, "*b c y x"]:
        """Value of the most probable class, the lowest one of several."""
        index = self.probability.argmax(dim=-4)
        return self._value(index + 0.0 * self._of(0))  # NaN where nothing was predicted

    def mean(self) -> Float[Tensor, "*b c y x"]:
        """Expected value."""
        return self._value(self._mean_index())

    def std(self) -> Float[Tensor, "*b c y x"]:
        """Standard deviation."""
        mean = self._mean_index()
        terms = (self._of(i) * (i - mean) ** 2 for i in range(self.count))
        return sum(terms, torch.zeros_like(mean)).sqrt() * self._step

    def probability_nonzero(self) -> Float[Tensor, "*b c y x"]:
        """Probability of any class but the lowest, in 0..1."""
        return 1.0 - self._of(0)

    def entropy(self) -> Float[Tensor, "*b c y x"]:
        """Entropy ``-sum p ln(p + 1e-7)`` divided by ln K: 0 is certain, 1 is uniform."""
        terms = (entropy_term(self._of(i)) for i in range(self.count))
        return sum(terms, torch.zeros_like(self._of(0))) / math.log(self.count)

    def classes_of(self, y: Float[Tensor, "*b c y x"]) -> Int[Tensor, "*b c y x"]:
        """Index of the class nearest to each value, halves to even; NaN counts as the first."""
        return nearest_class(y, self)

    def probability_of(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Probability of the class of each value."""
        index = self.classes_of(y).unsqueeze(-4)
        return self.probability.gather(-4, index.expand_as(self._of(0).unsqueeze(-4))).squeeze(-4)

    def cdf(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Probability of a value up to ``y``, in [0, 1], each class spread over its bin."""
        bins = (y - self.low) / self._step + 0.5
        terms = (self._of(i) * (bins - i).clamp(0.0, 1.0) for i in range(self.count))
        return sum(terms, torch.zeros_like(self._of(0))).clamp(0.0, 1.0)

    def log_prob(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Logarithm of the density at ``y``; minus this is the log score.

        Values beyond the classes count as the nearest one, as in training, and a probability
        below 1e-7 counts as 1e-7, so that the score stays finite.
        """
        return (self.probability_of(y).clamp_min(_LEAST_PROBABILITY) / self._step).log()

    def crps(self, y: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        """Continuous ranked probability score in the unit of y; 0 is perfect and certain.

        The integral of (F(x) - 1[x >= y])^2 over x where F steps at the values of the classes.
        """
        position = (y - self.low) / self._step
        score = (-position).clamp_min(0.0) + (position - (self.count - 1)).clamp_min(0.0)
        up_to = torch.zeros_like(self._of(0))
        for i in range(self.count - 1):
            up_to = up_to + self._of(i)
            below = (position - i).clamp(0.0, 1.0)
            score = score + below * up_to**2 + (1.0 - below) * (1.0 - up_to) ** 2
        return score * self._step

    def affine(
        self, offset: Float[Tensor, "c 1 1"], scale: Float[Tensor, "c 1 1"]
    ) -> "Categorical":
        """Distribution of ``offset + scale * y``; scale > 0."""
        return Categorical(self.probability, offset + scale * self.low, offset + scale * self.high)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Categorical":
        """Apply a function to the probabilities and to both ends; see `Distribution.map`.

        For the function the ends are spread over batch, rows and columns, without copying them,
        so that it may crop, choose targets or take an element of the batch; of what it returns
        the first row and column count.
        """
        *batch, _, targets, rows, columns = self.probability.shape
        ends = (
            function(end.expand(*batch, targets, rows, columns)) for end in (self.low, self.high)
        )
        low, high = (end[(0,) * (end.ndim - 3)][:, :1, :1] for end in ends)
        return Categorical(function(self.probability), low, high)

    def classes(self, low: Float[Tensor, "c 1 1"], high: Float[Tensor, "c 1 1"]) -> "Categorical":
        """Keep the classes that it has, whatever the range asked for."""
        return self

    @property
    def _step(self) -> Float[Tensor, "c 1 1"]:
        """Difference between the values of neighbouring classes."""
        return (self.high - self.low) / (self.count - 1)

    def _of(self, index: int) -> Float[Tensor, "*b c y x"]:
        """Probability of one class; sums go over these, as K times a tile is too much to copy."""
        return self.probability.select(-4, index)

    def _value(self, index: Float[Tensor, "*b c y x"]) -> Float[Tensor, "*b c y x"]:
        return self.low + index / (self.count - 1) * (self.high - self.low)

    def _mean_index(self) -> Float[Tensor, "*b c y x"]:
        terms = (self._of(i) * i for i in range(self.count))
        return sum(terms, torch.zeros_like(self._of(0)))
