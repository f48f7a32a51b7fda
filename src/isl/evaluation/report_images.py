"""Pictures and curves of the page, as data URIs and coordinates."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.evaluation.evaluation import Evaluation, Picture
from isl.evaluation.forecast import COVERAGE_LEVELS
from isl.evaluation.panels import COLUMN_TITLES, bordered_images

_DESCRIPTIONS = (
    "middle plane of the source",
    "prediction of {target}",
    "true {target}",
    "{target}: truth in blue plus prediction in orange; grey is right",
    "{target}: prediction above truth in orange, below in blue; black is right",
)


@dataclass(frozen=True)
class Tile:
    """One image with its caption and its description for those who cannot see it."""

    title: str
    alt: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class CalibrationPoint:
    """Share of pixels that should lie, and that do lie, in a central interval, in percent."""

    nominal: float
    observed: float


def png_uri(image: NDArray[np.uint8]) -> str:
    """Data URI of a (Y, X, 3) or (Y, X, 4) uint8 image."""
    from imagecodecs import png_encode

    return "data:image/png;base64," + base64.b64encode(png_encode(image)).decode("ascii")


def picture_tiles(picture: Picture) -> tuple[Tile, ...]:
    """Source, prediction, truth and both errors, each with its coloured border."""
    has_source = bool(np.ptp(picture.row.source))
    return tuple(
        Tile(title, alt.format(target=picture.target), png_uri(i), i.shape[1], i.shape[0])
        for title, alt, i in zip(
            COLUMN_TITLES, _DESCRIPTIONS, bordered_images(picture.row), strict=True
        )
        if has_source or title != "source"
    )


def heat_map_uri(histogram: NDArray[np.int64]) -> str:
    """Logarithm of the counts in colours, truth to the right and prediction up; empty is clear."""
    from matplotlib import colormaps

    counts = histogram.T[::-1]
    strength = np.log1p(counts) / max(np.log1p(counts.max()), 1e-9)
    rgba = np.asarray(colormaps["viridis"](strength) * 255, np.uint8)
    rgba[counts == 0, 3] = 0
    return png_uri(rgba)


def calibration(evaluation: Evaluation, target: str) -> tuple[CalibrationPoint, ...]:
    """Observed coverage of central intervals, as far as they were computed."""
    rows = ((level, evaluation.find(target, f"coverage_{level}")) for level in COVERAGE_LEVELS)
    return tuple(
        CalibrationPoint(level, 100.0 * row.value)
        for level, row in rows
        if row is not None and not np.isnan(row.value)
    )
