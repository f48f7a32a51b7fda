"""Imaging flow cytometry: DNA of single cells, whole images, inside cells, and by cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

import isl

SOURCE, TARGET = "Ch3", "Ch4"
CELL_PX = 40
"""Side of the tile that each cell has to itself in a montage."""


def flow(folder: Path, images: Path, settings: dict[str, Any]) -> isl.Model:
    """Train on one experiment; print r on another, of pixels and of the total DNA of cells."""
    roles = {"source": SOURCE, "targets": (TARGET,)}
    output = folder / "model.isl"
    model = isl.train(images / "Experiment_2", output, holdout="none", **roles, **settings)
    print("| montage | r | inside cells | total DNA of cells, r | cells |")
    print("|---|---|---|---|---|")
    every: list[NDArray[np.float64]] = []
    for fov in isl.open_fovs(images / "Experiment_1"):
        truth = fov.read(TARGET)[0].astype(np.float64)
        predicted = model.predict(fov.read(SOURCE), statistics=("mean",)).image[0].astype(float)
        level = threshold_otsu(truth)
        inside = truth > level
        totals = cell_totals(truth, predicted, level)
        every.append(totals)
        print(
            f"| {fov.name} | {r(truth, predicted):.3f} | {r(truth[inside], predicted[inside]):.3f}"
            f" | {r(*totals):.3f} | {totals.shape[1]} |"
        )
    pooled = np.concatenate(every, axis=1)
    print(f"| all | | | {r(*pooled):.3f} | {pooled.shape[1]} |")
    return model


def cell_totals(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Sums (2, cells) of true and predicted DNA, less background, of tiles with a cell."""
    rows, columns = (n // CELL_PX for n in truth.shape)

    def tiles(image: NDArray[np.float64]) -> NDArray[np.float64]:
        cut = image[: rows * CELL_PX, : columns * CELL_PX]
        return (
            cut.reshape(rows, CELL_PX, columns, CELL_PX).swapaxes(1, 2).reshape(rows * columns, -1)
        )

    true_tiles, predicted_tiles = tiles(truth), tiles(predicted)
    there = (true_tiles > level).sum(axis=1) > 20
    background = np.median(truth[truth <= level])
    sums = [(part[there] - background).sum(axis=1) for part in (true_tiles, predicted_tiles)]
    return np.stack(sums)


def r(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson correlation."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
