"""What a prediction says about the pixels of one region, from a file or from a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DataError
from isl.evaluation.pairing import FieldPair, point_channel
from isl.evaluation.scores import BoolArray, FloatArray
from isl.io.fov import Fov

COVERAGE_LEVELS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
"""Nominal coverage in percent of the central intervals that are checked."""
REPORTED_LEVELS = (50, 80, 95)
"""Those that are reported as missing where a prediction does not allow them."""


@dataclass(frozen=True)
class Forecast:
    """A prediction of one target, compared with the truth pixel by pixel.

    Attributes
    ----------
    point
        (Y, X) predicted value, in the unit of the truth.
    pixelwise
        (Y, X) images whose mean is a score: ``log_score``, ``crps``, ``coverage_50``, ...
    reasons
        Why a score is missing.
    """

    point: FloatArray
    pixelwise: Mapping[str, FloatArray | BoolArray] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


class Forecaster(Protocol):
    """Anything that predicts the targets of a field."""

    def forecast(
        self, pair: FieldPair, t: int, box: Box, truths: Mapping[str, FloatArray]
    ) -> dict[str, Forecast]:
        """Compare with the (Y, X) truths of the box at one time point, by name of the target."""
        ...


@dataclass(frozen=True)
class FileForecaster:
    """Reads predicted images: medians, and quantiles where the file has them."""

    def forecast(
        self, pair: FieldPair, t: int, box: Box, truths: Mapping[str, FloatArray]
    ) -> dict[str, Forecast]:
        """See `Forecaster`.

        Raises
        ------
        ChannelError
            Where a target was not predicted.
        """
        return {name: self._one(pair.prediction, name, t, box, y) for name, y in truths.items()}

    def _one(self, fov: Fov, target: str, t: int, box: Box, truth: FloatArray) -> Forecast:
        why = "a file of predicted images does not hold the density; evaluate the model instead"
        reasons = {"log_score": why, "crps": why}
        pixelwise = {}
        for level in COVERAGE_LEVELS:
            bounds = interval_channels(target, level)
            missing = [name for name in bounds if name not in fov.channel_names]
            if not missing:
                low, high = (_read(fov, name, t, box) for name in bounds)
                pixelwise[f"coverage_{level}"] = (truth >= low) & (truth <= high)
            elif level in REPORTED_LEVELS:
                asked = " and ".join(name.removeprefix(f"{target} ") for name in bounds)
                reasons[f"coverage_{level}"] = (
                    f"the prediction lacks the statistics {asked} of the target; predict with "
                    "them, or evaluate the model instead"
                )
        return Forecast(_read(fov, point_channel(fov, target), t, box), pixelwise, reasons)


@dataclass(frozen=True)
class ModelForecaster:
    """Predicts with a model (`isl.inference.model.Model`), whose whole distribution is scored."""

    model: Any
    source: str
    ignore_voxel_size: bool = False

    def forecast(
        self, pair: FieldPair, t: int, box: Box, truths: Mapping[str, FloatArray]
    ) -> dict[str, Forecast]:
        """See `Forecaster`; the whole field is predicted, as when the model is used.

        Raises
        ------
        DataError
            Where the model refuses the source; the message names the field.
        """
        import torch

        from isl.inference.model import ARRAY

        fov = pair.truth
        try:
            whole = self.model.distribution(
                fov.read(self.source, t=t),
                fov.voxel_size,
                ignore_voxel_size=self.ignore_voxel_size,
            )
        except DataError as error:
            what = f"{fov.path}: field {fov.name}, channel '{self.source}', time point {t}"
            raise type(error)(str(error).replace(ARRAY, what, 1)) from error
        cards = [c for c in self.model.card.targets if c.name in truths]
        indices = [self.model.card.targets.index(c) for c in cards]
        part = _cropped(whole, indices, box)
        median = _array(part.median)
        truth = np.stack([truths[c.name] for c in cards]).astype(np.float32)
        y = torch.from_numpy(np.where(np.isfinite(truth), truth, median))
        unit = np.array([c.scale for c in cards])[:, None, None]
        scores = {
            "log_score": -_array(part.log_prob(y)) - np.log(unit),
            "crps": _array(part.crps(y)) / unit,
        }
        off_center = np.abs(2.0 * _array(part.cdf(y)) - 1.0)
        for level in COVERAGE_LEVELS:
            scores[f"coverage_{level}"] = off_center <= level / 100
        return {
            card.name: Forecast(median[i], {name: image[i] for name, image in scores.items()})
            for i, card in enumerate(cards)
        }


def interval_channels(target: str, level: int) -> tuple[str, str]:
    """Names of the channels with the bounds of a central interval.

    Examples
    --------
    >>> interval_channels("DAPI", 95)
    ('DAPI q0.025', 'DAPI q0.975')
    """
    tail = round((1 - level / 100) / 2, 6)
    return f"{target} q{tail:g}", f"{target} q{1 - tail:g}"


def _read(fov: Fov, channel: str, t: int, box: Box) -> NDArray[np.float32]:
    return np.asarray(fov.read(channel, t=t, z=(0,), box=box)[0], np.float32)


def _cropped(distribution: Any, indices: list[int], box: Box) -> Any:
    rows, columns = box.slices
    names = ("median", "scale_left", "scale_right")
    parts = {name: getattr(distribution, name)[indices][:, rows, columns] for name in names}
    return replace(distribution, **parts)


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
