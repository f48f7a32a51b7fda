"""What a prediction says about the pixels of one region, from a file or from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DataError
from isl.data.normalization import usable_planes
from isl.evaluation.pairing import FieldPair, point_channel
from isl.evaluation.panel_folder import PanelFolder
from isl.evaluation.reconstruction import reconstruct_source
from isl.evaluation.scores import BoolArray, FloatArray
from isl.io.fov import Fov
from isl.io.provenance import written_part
from isl.io.resample import same_voxel_size

if TYPE_CHECKING:
    from torch import Tensor

    from isl.inference.model_card import TargetCard
    from isl.models.distribution import Distribution

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
        point = _read(fov, point_channel(fov, target), t, box)
        return Forecast(_within(point, written_part(fov), box), pixelwise, reasons)


@dataclass(frozen=True)
class ModelForecaster:
    """Predicts with a model (`isl.inference.model.Model`), whose whole distribution is scored.

    Attributes
    ----------
    model
        The model.
    source
        Channel to predict from.
    ignore_voxel_size
        Take any voxel size for that of the model; else fields of another one are resampled.
    panels
        Where to write error panels of the first time point of each field, if they are wanted.
    """

    model: Any
    source: str
    ignore_voxel_size: bool = False
    panels: PanelFolder | None = None

    def forecast(
        self, pair: FieldPair, t: int, box: Box, truths: Mapping[str, FloatArray]
    ) -> dict[str, Forecast]:
        """See `Forecaster`; predicted as when the model is used on the whole field.

        Raises
        ------
        DataError
            Where the model refuses the source; the message names the field.
        OutputError
            Where error panels cannot be written.
        """
        zyx = pair.truth.read(self.source, t=t)
        cards = [c for c in self.model.card.targets if c.name in truths]
        truth = np.stack([truths[c.name] for c in cards]).astype(np.float32)

        def predicted(part: Box) -> tuple[Distribution, NDArray[np.float32]]:
            distribution = self._predict(pair.truth, zyx, t, part, cards)
            return distribution, truth[(..., *part.relative_to(box).slices)]

        if self.panels is not None and t == 0:
            self._write_panels(self.panels, pair.name, *predicted(self.panels.shown(box)), cards)
            if self._is_shown_as_it_is(pair.truth):
                self._write_input_panel(self.panels, pair.name, zyx[usable_planes(zyx)], box)
        bands = _bands(box, self.model.tile_px(box.shape, len(zyx)))
        return _stacked([_forecasts(*predicted(band), cards) for band in bands])

    def _predict(
        self, fov: Fov, zyx: NDArray[Any], t: int, box: Box, cards: Sequence[TargetCard]
    ) -> Distribution:
        """Distribution of some targets, in the order of ``cards``."""
        from isl.inference.model import ARRAY

        try:
            predicted: Distribution = self.model.distribution(
                zyx,
                fov.voxel_size,
                box=box,
                ignore_voxel_size=self.ignore_voxel_size,
                **self._heights(fov),
            )
        except DataError as error:
            what = f"{fov.path}: field {fov.name}, channel '{self.source}', time point {t}"
            raise type(error)(str(error).replace(ARRAY, what, 1)) from error
        indices = [self.model.card.targets.index(c) for c in cards]
        return predicted.map(lambda parameter: parameter[..., indices, :, :])

    def _is_shown_as_it_is(self, fov: Fov) -> bool:
        """Whether the model sees the pixels of a field, not resampled ones."""
        return self.ignore_voxel_size or same_voxel_size(self.model.card.voxel_size, fov.voxel_size)

    def _heights(self, fov: Fov) -> dict[str, Any]:
        """Heights of the planes, where some are missing."""
        positions = fov.channel(self.source).z_positions
        if positions is None:
            return {}
        step_um = None if self.ignore_voxel_size else fov.voxel_size.z
        if step_um is None:
            # Without a step, the planes that there are fill the depth that the model knows.
            depth_um = self.model.card.source.depth_um or 1.0
            step_um = depth_um / max(positions[-1] - positions[0], 1e-9)
        return {"z_um": [z * step_um for z in positions]}

    def _write_panels(
        self,
        panels: PanelFolder,
        field_name: str,
        distribution: Distribution,
        truth: NDArray[np.float32],
        cards: Sequence[TargetCard],
    ) -> None:
        from isl.inference.statistics import value_range

        panels.write_targets(field_name, distribution, truth, [value_range(c) for c in cards])

    def _write_input_panel(
        self, panels: PanelFolder, field_name: str, zyx: NDArray[Any], box: Box
    ) -> None:
        found = reconstruct_source(self.model, zyx, panels.shown(box))
        if found is not None:
            panels.write_inputs(field_name, *found)


def _bands(box: Box, tile_px: int) -> list[Box]:
    """Rows of a box that together hold about as many pixels as a tile, to bound memory."""
    rows = max(1, tile_px**2 // max(1, box.shape[1]))
    starts = range(box.y0, box.y1, rows)
    return [Box(y0, min(y0 + rows, box.y1), box.x0, box.x1) for y0 in starts]


def _stacked(bands: Sequence[dict[str, Forecast]]) -> dict[str, Forecast]:
    """Forecasts of bands of rows, one below the other."""
    return {
        name: Forecast(
            np.concatenate([band[name].point for band in bands]),
            {
                score: np.concatenate([band[name].pixelwise[score] for band in bands])
                for score in first.pixelwise
            },
        )
        for name, first in bands[0].items()
    }


def _forecasts(
    distribution: Distribution, truth: NDArray[np.float32], cards: Sequence[TargetCard]
) -> dict[str, Forecast]:
    """Score the distribution of each target in units of the target's scale."""
    import torch

    median = _array(distribution.median)
    y = torch.from_numpy(np.where(np.isfinite(truth), truth, median))
    unit = np.array([c.scale for c in cards])[:, None, None]
    scores = {
        "log_score": -_array(distribution.log_prob(y)) - np.log(unit),
        "crps": _array(distribution.crps(y)) / unit,
    }
    off_center = np.abs(2.0 * _array(distribution.cdf(y)) - 1.0)
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


def _within(image: NDArray[np.float32], part: Box, box: Box) -> NDArray[np.float32]:
    """Image of a box, NaN outside of what was predicted: integer types have zeros there."""
    found = np.full_like(image, np.nan)
    common = part.intersect(box)
    if common.size:
        inside = common.relative_to(box).slices
        found[inside] = image[inside]
    return found


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
