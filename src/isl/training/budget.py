"""How long to train, and how far a run has come."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isl.core.config import TrainConfig

DEFAULT_MINUTES = 20.0


@dataclass(frozen=True)
class Budget:
    """End of a training run: after so many minutes, or after so many steps.

    Examples
    --------
    >>> Budget(minutes=None, steps=200).fraction(step=50, seconds=9.0)
    0.25
    """

    minutes: float | None
    steps: int | None

    @classmethod
    def of(cls, config: TrainConfig, training_pixels: int) -> Budget:
        """Budget of a configuration; an epoch draws as many pixels as there are to train on."""
        if config.max_steps is not None:
            return cls(None, config.max_steps)
        if config.max_epochs is not None:
            pixels_per_step = config.batch_size * config.output_px**2
            return cls(
                None, max(1, math.ceil(config.max_epochs * training_pixels / pixels_per_step))
            )
        return cls(config.max_minutes or DEFAULT_MINUTES, None)

    def fraction(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, from 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / 60.0 / (self.minutes or DEFAULT_MINUTES))

    def __str__(self) -> str:
        """In words, such as ``20 minutes`` or ``200 steps``."""
        return f"{self.steps} steps" if self.steps is not None else f"{self.minutes:g} minutes"


def learning_rate_factor(step: int, fraction: float, final: float, warmup_steps: int = 50) -> float:
    """Share of the peak learning rate: a linear warm-up, then half a cosine down.

    Parameters
    ----------
    step
        Optimiser steps done.
    fraction
        Share of the budget that is used up.
    final
        Share of the peak at the end of the budget.
    warmup_steps
        Length of the warm-up.
    """
    cosine = 0.5 * (1.0 + math.cos(math.pi * fraction))
    return min(1.0, (step + 1) / warmup_steps) * (final + (1.0 - final) * cosine)
