"""Average predictions over the eight ways to turn and mirror an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isl.models.distribution import Distribution

Predict = Callable[[Tensor], Distribution]

ALL = 8
"""Quarter turns, of the image and of its mirror image."""


def averaged(predict: Predict, source: Tensor, count: int) -> Distribution:
    """Predict an image in several orientations, and average.

    What is averaged are the parameters: of a `SplitLogistic` this averages the quantiles, of a
    `Categorical` the probabilities.

    Parameters
    ----------
    predict
        Function from (B, Z, Y, X) to the distribution of (B, C, Y, X).
    source
        The image.
    count
        How many orientations, from 1, the image as it is, to 8.
    """
    parts: list[Any] = []
    for index in range(count):
        turns, mirrored = index % 4, index >= 4
        found = predict(_turned(source, turns, mirrored))
        parts.append(found.map(partial(_turned_back, turns=turns, mirrored=mirrored)))
    first = parts[0]
    means = {
        name: torch.stack([getattr(part, name) for part in parts]).mean(0)
        for name in (first.per_pixel if count > 1 else ())
    }
    average: Distribution = replace(first, **means)
    return average


def _turned(image: Tensor, turns: int, mirrored: bool) -> Tensor:
    return torch.rot90(image.flip(-1) if mirrored else image, turns, (-2, -1))


def _turned_back(image: Tensor, turns: int, mirrored: bool) -> Tensor:
    back = torch.rot90(image, -turns, (-2, -1))
    return back.flip(-1) if mirrored else back
