"""The checkerboard of joint training: which data set has which target, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.data.patches import PatchSampler
from isl.data.samples import Sample


@dataclass(frozen=True)
class DatasetRow:
    """What one data set brings.

    Attributes
    ----------
    name
        Of the data set.
    fields
        Number of its fields.
    planes
        Numbers of source planes that occur.
    train_pixels, heldout_pixels
        Pixels of all its fields and time points to train on, and kept back.
    acquired
        (C,) training pixels in which each target was acquired.
    share
        Share of the patches that are drawn from it.
    """

    name: str
    fields: int
    planes: tuple[int, ...]
    train_pixels: int
    heldout_pixels: int
    acquired: NDArray[np.float64]
    share: float


@dataclass(frozen=True)
class Checkerboard:
    """Data sets by targets.

    Attributes
    ----------
    targets
        Names of the targets.
    rows
        One for each data set.
    weights
        (C,) weight of each target in the loss.
    """

    targets: tuple[str, ...]
    rows: tuple[DatasetRow, ...]
    weights: NDArray[np.float64]

    def lines(self) -> tuple[str, ...]:
        """The table in words: megapixels of each target, a dash where it was not acquired."""
        head = ["data set", "fields", "planes", "train", "held out", "drawn", *self.targets]
        cells = [head, *(_cells(row) for row in self.rows)]
        if len(self.rows) > 1:
            cells.append(self._sums())
        cells.append(["weight in the loss", *[""] * 5, *(f"{w:.2f}" for w in self.weights)])
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        return tuple(
            "  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip()
            for row in cells
        )

    def _sums(self) -> list[str]:
        acquired = np.sum([row.acquired for row in self.rows], axis=0)
        return [
            "all",
            str(sum(row.fields for row in self.rows)),
            "",
            _mega(sum(row.train_pixels for row in self.rows)),
            _mega(sum(row.heldout_pixels for row in self.rows)),
            "",
            *(_mega(pixels) for pixels in acquired),
        ]


def make_checkerboard(
    samples: Sequence[Sample],
    targets: Sequence[str],
    sampler: PatchSampler,
    weights: Sequence[float],
) -> Checkerboard:
    """Count what each data set brings.

    Parameters
    ----------
    samples
        All samples.
    targets
        Names of the targets.
    sampler
        Draws the patches.
    weights
        Weight of each target in the loss.
    """
    names = dict.fromkeys(sample.dataset for sample in samples)
    rows = tuple(_row(name, samples, len(targets), sampler) for name in names)
    return Checkerboard(tuple(targets), rows, np.asarray(weights, float))


def _row(name: str, samples: Sequence[Sample], count: int, sampler: PatchSampler) -> DatasetRow:
    own = [sample for sample in samples if sample.dataset == name]
    areas = [area for area in sampler.areas if area.sample.dataset == name]
    return DatasetRow(
        name=name or "all images",
        fields=len({sample.fov for sample in own}),
        planes=tuple(sorted({sample.planes for sample in own})),
        train_pixels=sum(box.size for sample in own for box in sample.train),
        heldout_pixels=sum(box.size for sample in own for box in sample.heldout),
        acquired=np.sum([area.pixels for area in areas], axis=0) if areas else np.zeros(count),
        share=sampler.shares.get(name, 0.0),
    )


def _cells(row: DatasetRow) -> list[str]:
    return [
        row.name,
        str(row.fields),
        " or ".join(map(str, row.planes)),
        _mega(row.train_pixels),
        _mega(row.heldout_pixels),
        f"{100 * row.share:.0f} %",
        *(_mega(pixels) for pixels in row.acquired),
    ]


def _mega(pixels: float) -> str:
    return f"{pixels / 1e6:.3g} Mpx" if pixels else "-"
