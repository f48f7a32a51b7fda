"""Error panels as the published program wrote them: 16-bit pictures without text.

Rows are targets, or planes of the source; columns are statistics, told apart by their borders:
purple for statistics of the prediction, turquoise for the truth, white for the additive error,
black for the subtractive one, red for the cross entropy and mango for the presence mask.  Values
are shown from the first class of the distribution (black) to the last (white).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ImageSizeError
from isl.evaluation.panel_colors import (
    ADDITIVE_BORDER,
    CROSS_ENTROPY_BORDER,
    PREDICTION_BORDER,
    PRESENCE_BORDER,
    SUBTRACTIVE_BORDER,
    TRUTH_BORDER,
    Color,
    ColorImage,
    additive_colors,
    as_uint16,
    grey_colors,
    subtractive_colors,
    to_grey,
    with_border,
)
from isl.evaluation.scores import FloatArray
from isl.io.staging import staged

if TYPE_CHECKING:
    from torch import Tensor

    from isl.models.distribution import Classes, Distribution

ErrorPanel = NDArray[np.uint16]
"""(Y, X, 3)."""
PanelLayout = Literal["simplified", "full", "training"]
"""Which columns a panel has; see `COLUMNS`."""

_CROSS_ENTROPY_EPSILON = 1e-6


@dataclass(frozen=True)
class ErrorRow:
    """Images of one row, all (Y, X) in 0..1.

    Attributes
    ----------
    presence
        1 where both truth and prediction exist. Errors are black elsewhere.
    truth
        True values; 0 where there are none.
    statistics
        Statistics of the prediction by name.
    """

    presence: NDArray[np.float64]
    truth: NDArray[np.float64]
    statistics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


_Draw = Callable[[ErrorRow], ColorImage]
_Column = tuple[Color, _Draw]


def _statistic(name: str) -> _Draw:
    return lambda row: grey_colors(row.statistics[name])


def _additive(name: str) -> _Draw:
    return lambda row: _where_present(additive_colors(row.statistics[name], row.truth), row)


def _subtractive(name: str) -> _Draw:
    return lambda row: _where_present(subtractive_colors(row.statistics[name], row.truth), row)


def _where_present(colors: ColorImage, row: ErrorRow) -> ColorImage:
    return colors * row.presence[..., None]


_TRUTH: _Column = (TRUTH_BORDER, lambda row: grey_colors(row.truth))
_PRESENCE: _Column = (PRESENCE_BORDER, lambda row: grey_colors(row.presence))
_CROSS_ENTROPY: _Column = (CROSS_ENTROPY_BORDER, _statistic("cross entropy"))
_COMPARED = ("mode", "median", "mean")
_VALUES: tuple[_Column, ...] = (
    *((PREDICTION_BORDER, _statistic(name)) for name in (*_COMPARED, "std")),
    _TRUTH,
    *((ADDITIVE_BORDER, _additive(name)) for name in _COMPARED),
    *((SUBTRACTIVE_BORDER, _subtractive(name)) for name in _COMPARED),
)
COLUMNS: Mapping[PanelLayout, tuple[_Column, ...]] = {
    "simplified": (
        (PREDICTION_BORDER, _statistic("median")),
        _TRUTH,
        (SUBTRACTIVE_BORDER, _subtractive("median")),
    ),
    "full": (*_VALUES, _PRESENCE),
    "training": (*_VALUES, _CROSS_ENTROPY, _PRESENCE),
}
"""Border and content of the columns of each layout, from left to right.

Simplified: median, truth, subtractive error. Full: mode, median, mean, standard deviation; truth;
additive error of mode, median and mean; subtractive error of the same; presence. Training: the same
with the cross entropy before the presence.
"""


def target_error_panel(
    distribution: Distribution,
    truth: FloatArray,
    limits: Sequence[tuple[float, float]],
    layout: PanelLayout = "simplified",
) -> ErrorPanel:
    """Panel with a row per target.

    Parameters
    ----------
    distribution
        Of (C, Y, X) pixels, without a batch; NaN where nothing was predicted.
    truth
        (C, Y, X) in the same unit; NaN where the target was not acquired.
    limits
        For each target the values shown as black and white, where the distribution is not made of
        classes, whose first and last are shown so.
    layout
        Which columns; see `COLUMNS`.

    Returns
    -------
    ndarray
        (rows x (Y + 8), columns x (X + 8), 3), uint16.

    Raises
    ------
    ImageSizeError
        Where truth and distribution differ in shape.
    """
    rows = _error_rows(distribution, truth, limits)
    return np.concatenate([_draw(row, layout) for row in rows])


def input_error_panel(
    distribution: Distribution, source: FloatArray, layout: PanelLayout = "simplified"
) -> ErrorPanel:
    """Panel with a row per plane of the source, which a network has reconstructed.

    Parameters
    ----------
    distribution
        Of (Z, Y, X) pixels, from 0 to 1.
    source
        (Z, Y, X) planes as the network was shown them, in 0..1.
    layout
        Which columns; see `COLUMNS`.

    Returns
    -------
    ndarray
        As for `target_error_panel`.

    Raises
    ------
    ImageSizeError
        Where source and distribution differ in shape.
    """
    return target_error_panel(distribution, source, [(0.0, 1.0)] * len(source), layout)


def write_error_panel(path: Path | str, panel: ErrorPanel) -> None:
    """Write a panel as a 16-bit RGB PNG file; replaces an older one.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    from imagecodecs import png_encode

    with staged(Path(path), overwrite=True) as temporary:
        temporary.write_bytes(png_encode(panel))


def _draw(row: ErrorRow, layout: PanelLayout) -> ErrorPanel:
    images = [with_border(as_uint16(draw(row)), border) for border, draw in COLUMNS[layout]]
    return np.concatenate(images, axis=1)


def _error_rows(
    distribution: Distribution, truth: FloatArray, limits: Sequence[tuple[float, float]]
) -> list[ErrorRow]:
    import torch

    y = torch.from_numpy(np.ascontiguousarray(truth, np.float32))
    low, high = torch.tensor(limits, dtype=torch.float32).T[..., None, None]
    classes = distribution.classes(low, high)
    scale = 1.0 / (classes.high - classes.low)
    shown = distribution.affine(-classes.low * scale, scale)
    if shown.median.shape != y.shape:
        raise ImageSizeError(
            f"an error panel needs a truth as large as the prediction, (C, Y, X) = "
            f"{tuple(shown.median.shape)}, but it has {tuple(y.shape)}; crop both alike"
        )
    images = {
        "median": shown.median,
        "mode": shown.mode(),
        "mean": shown.mean(),
        "std": shown.std(),
        "cross entropy": _cross_entropy(classes, y),
    }
    statistics = {name: to_grey(image.numpy(), 0.0, 1.0) for name, image in images.items()}
    presence = (y.isfinite() & shown.median.isfinite()).double().numpy()
    true = to_grey(((y - classes.low) * scale).numpy(), 0.0, 1.0)
    return [
        ErrorRow(presence[i], true[i], {name: image[i] for name, image in statistics.items()})
        for i in range(len(true))
    ]


def _cross_entropy(classes: Classes, y: Tensor) -> Tensor:
    """``-ln(p + 1e-6) / ln K`` of the class of the truth; NaN where there is none."""
    p = classes.probability_of(y) + _CROSS_ENTROPY_EPSILON
    score = -p.log() / math.log(classes.count)
    return score.where(y.isfinite(), math.nan)
