"""How far a single pass of the published network is from the dense prediction, on a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.core.networks import Isl2018Config
from isl.inference.model import Model
from isl.inference.source_stack import SourceStack
from isl.inference.tiles import Grid, Tile

SAMPLE_PX = 128
"""Largest side of the sample."""


@dataclass(frozen=True)
class SinglePassDifference:
    """Difference between the medians of a single pass and of dense inference.

    Attributes
    ----------
    mean_percent, largest_percent
        Of the absolute difference over all pixels and targets, in percent of the range from the
        smallest to the largest dense prediction of the target.
    sample
        Pixels that were compared.
    """

    mean_percent: float
    largest_percent: float
    sample: Box


def measure_single_pass(model: Model, stack: SourceStack) -> SinglePassDifference:
    """Predict the middle of an image in a single pass and densely, and compare.

    Parameters
    ----------
    model
        With the published network.
    stack
        The source.

    Returns
    -------
    SinglePassDifference
        On at most 128 x 128 pixels.

    Raises
    ------
    ConfigError
        Where the model has another network.
    """
    network = model.card.network
    if not isinstance(network, Isl2018Config):
        raise ConfigError(f"the network {network.name} knows one way to cover an image")
    sample = middle(stack.shape_yx)
    once, dense = (
        _medians(model.stitched(stitching), sample, stack) for stitching in ("single-pass", "dense")
    )
    # A constant prediction has no range: a grey level is the least that a network tells apart.
    least = np.array([target.scale for target in model.card.targets]) / (network.classes - 1)
    ranges = np.maximum(np.ptp(dense, axis=(1, 2)), least)
    percent = 100.0 * np.abs(once - dense) / ranges[:, None, None]
    return SinglePassDifference(float(percent.mean()), float(percent.max()), sample)


def middle(shape_yx: tuple[int, int], side_px: int = SAMPLE_PX) -> Box:
    """Box of up to ``side_px`` squared in the middle of an image.

    Examples
    --------
    >>> middle((500, 100))
    Box(y0=186, y1=314, x0=0, x1=100)
    """
    starts = [max(0, (side - side_px) // 2) for side in shape_yx]
    return Box(starts[0], starts[0] + side_px, starts[1], starts[1] + side_px).intersect(
        Box.of(shape_yx)
    )


def _medians(model: Model, box: Box, stack: SourceStack) -> NDArray[np.float64]:
    """Medians (C, Y, X) of a box, predicted as within the whole image."""
    tile = Tile.around(box, stack.shape_yx, Grid.of(model.network, stack.shape_yx))
    ((_, found),) = model.engine.predict_tiles([tile], stack)
    medians: NDArray[Any] = (found if isinstance(found, Tensor) else found.median).numpy()
    return medians.astype(np.float64)
