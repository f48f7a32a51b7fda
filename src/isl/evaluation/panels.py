"""Pictures of source, prediction, truth and errors, with the colours of the published panels.

Prediction and truth are shown with the same grey scale, the 0.1 to 99.9 percentile of the truth,
so that a dim prediction looks dim. In the additive error image, truth x (0, 1/2, 1) plus
prediction x (1, 1/2, 0), grey is right, blue is missed and orange is invented; the subtractive one
shows the difference alone, prediction above truth in orange and below in blue, black being right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ImageSizeError
from isl.evaluation.panel_colors import (
    ADDITIVE_BORDER,
    GREY_BORDER,
    PREDICTION_BORDER,
    SUBTRACTIVE_BORDER,
    TRUTH_BORDER,
    additive_colors,
    as_uint8,
    grey_colors,
    subtractive_colors,
    to_grey,
    with_border,
)
from isl.evaluation.scores import FloatArray, display_range
from isl.io.staging import staged

RgbImage = NDArray[np.uint8]
COLUMN_TITLES = ("source", "prediction", "truth", "additive error", "subtractive error")


@dataclass(frozen=True)
class PanelRow:
    """Images of one target, all (Y, X) of one size.

    Attributes
    ----------
    name
        Name of the target.
    source
        One plane of the source, in any unit.
    prediction, truth
        In the same unit; the truth is None where the target was not acquired.
    limits
        Values of prediction and truth shown as black and white; the 0.1 and 99.9 percentile of
        the truth (else of the prediction) by default.
    """

    name: str
    source: FloatArray
    prediction: FloatArray
    truth: FloatArray | None = None
    limits: tuple[float, float] | None = None


def grey_rgb(grey: NDArray[np.float64]) -> RgbImage:
    """(Y, X) in 0..1 as (Y, X, 3) uint8."""
    return as_uint8(grey_colors(grey))


def additive_error(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> RgbImage:
    """`isl.evaluation.panel_colors.additive_colors` as (Y, X, 3) uint8."""
    return as_uint8(additive_colors(prediction, truth))


def subtractive_error(prediction: NDArray[np.float64], truth: NDArray[np.float64]) -> RgbImage:
    """`isl.evaluation.panel_colors.subtractive_colors` as (Y, X, 3) uint8."""
    return as_uint8(subtractive_colors(prediction, truth))


def row_images(row: PanelRow) -> tuple[RgbImage, ...]:
    """Source, prediction, and where there is a truth also truth and both error images.

    Raises
    ------
    ImageSizeError
        Where the images of the row differ in size.
    """
    given = {"source": row.source, "prediction": row.prediction, "truth": row.truth}
    sizes = {name: image.shape for name, image in given.items() if image is not None}
    if len(set(sizes.values())) > 1:
        raise ImageSizeError(f"{row.name}: the images of a panel must have one size, not {sizes}")
    low, high = row.limits or display_range(row.prediction if row.truth is None else row.truth)
    source = grey_rgb(to_grey(row.source, *display_range(row.source)))
    prediction = to_grey(row.prediction, low, high)
    if row.truth is None:
        return source, grey_rgb(prediction)
    truth = to_grey(row.truth, low, high)
    errors = additive_error(prediction, truth), subtractive_error(prediction, truth)
    return source, grey_rgb(prediction), grey_rgb(truth), *errors


def bordered_images(row: PanelRow) -> tuple[RgbImage, ...]:
    """Images of `row_images`, each within the 4 px border that tells what it is."""
    borders = (
        GREY_BORDER,
        PREDICTION_BORDER,
        TRUTH_BORDER,
        ADDITIVE_BORDER,
        SUBTRACTIVE_BORDER,
    )
    return tuple(with_border(i, b) for i, b in zip(row_images(row), borders, strict=False))


def compose_panel(rows: Sequence[PanelRow]) -> RgbImage:
    """One picture with a row per target, without text.

    Parameters
    ----------
    rows
        At least one; rows of different size are aligned at the upper left on grey.

    Returns
    -------
    ndarray
        (Y, X, 3) uint8; columns as in `COLUMN_TITLES`.
    """
    grid = [bordered_images(row) for row in rows]
    cell_y = max(image.shape[0] for images in grid for image in images)
    cell_x = max(image.shape[1] for images in grid for image in images)
    columns = max(len(images) for images in grid)
    canvas = np.full((cell_y * len(grid), cell_x * columns, 3), 128, np.uint8)
    for i, images in enumerate(grid):
        for j, image in enumerate(images):
            y, x = i * cell_y, j * cell_x
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def write_panel(path: Path | str, rows: Sequence[PanelRow], title: str = "") -> None:
    """Write the panel as a PNG file with the names of targets and columns; replaces an older one.

    Parameters
    ----------
    path
        PNG file.
    rows
        As for `compose_panel`.
    title
        Text above the panel.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panel = compose_panel(rows)
    columns = 2 if all(row.truth is None for row in rows) else len(COLUMN_TITLES)
    dpi, left, top, edge = 100, 70, 56 if title else 30, 8
    height, width = panel.shape[0] + top + edge, panel.shape[1] + left + edge
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    figure.figimage(panel, xo=left, yo=edge, origin="upper")
    cell_y, cell_x = panel.shape[0] / len(rows), panel.shape[1] / columns
    for j, text in enumerate(COLUMN_TITLES[:columns]):
        x = (left + (j + 0.5) * cell_x) / width
        figure.text(x, 1 - (top - 8) / height, text, ha="center", va="bottom", size=9)
    for i, row in enumerate(rows):
        y = 1 - (top + (i + 0.5) * cell_y) / height
        figure.text(
            left * 0.55 / width, y, row.name, ha="center", va="center", size=10, rotation=90
        )
    figure.text(left / width, 1 - 6 / height, title, ha="left", va="top", size=11, weight="bold")
    with staged(Path(path), overwrite=True) as temporary:
        canvas.print_figure(temporary, format="png", dpi=dpi)
