"""Let an image flow through the stages of a network in bands of rows.

Each stage gives whole bands, one below the other. Between the stages only those rows are kept that
a later band still needs: two rows above for each 3x3 convolution, as it were. So an image of any
height takes the memory of a few bands, and what is computed twice is a few rows for each band and
stage, not the whole receptive field around each tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.backends.backend import Run
from isl.models.stages import SOURCE, Stage

Rows = tuple[int, int]
"""First row and the one after the last, in pixels of the image."""


@dataclass(frozen=True)
class Band:
    """One step of a flow.

    Attributes
    ----------
    rows
        Rows of the image that come out of the last stage.
    new
        Rows that the source and each stage have to add for it; empty ones are left out.
    """

    rows: Rows
    new: Mapping[str, Rows]

    @property
    def source(self) -> Rows:
        """Rows of the source that are read for it; ``(0, 0)`` where there is nothing new."""
        return self.new.get(SOURCE, (0, 0))


def plan_bands(
    stages: Sequence[Stage], height_px: int, wanted: Rows, band_px: int
) -> tuple[Band, ...]:
    """Plan how rows flow through the stages.

    Parameters
    ----------
    stages
        Of one network.
    height_px
        Rows of the image; a multiple of every stage's ``align_px``.
    wanted
        Rows to predict.
    band_px
        Rows of each band, but for the last.

    Returns
    -------
    tuple of Band
        From top to bottom.

    Raises
    ------
    ConfigError
        Where a band has no rows.
    """
    if band_px < 1:
        raise ConfigError(f"bands of {band_px} rows hold nothing")
    done = {name: low for name, (low, _) in _needed(stages, height_px, wanted).items()}
    bands = []
    for start in range(wanted[0], wanted[1], band_px):
        rows = (start, min(start + band_px, wanted[1]))
        ends = {name: high for name, (_, high) in _needed(stages, height_px, rows).items()}
        new = {name: (done[name], end) for name, end in ends.items() if end > done[name]}
        done |= {name: end for name, (_, end) in new.items()}
        bands.append(Band(rows, new))
    return tuple(bands)


def _needed(stages: Sequence[Stage], height_px: int, wanted: Rows) -> dict[str, Rows]:
    """Rows of the source and of each stage that some rows of the last one depend on."""
    needed: dict[str, Rows] = {stages[-1].name: wanted}
    for stage in reversed(stages):
        needed[stage.name] = _aligned(needed[stage.name], 0, stage, height_px)
        rows = _aligned(needed[stage.name], stage.reach_px, stage, height_px)
        for name in stage.inputs:
            low, high = needed.get(name, rows)
            needed[name] = (min(low, rows[0]), max(high, rows[1]))
    return needed


def _aligned(rows: Rows, reach_px: int, stage: Stage, height_px: int) -> Rows:
    """Rows as far as something reaches, in whole steps of a stage, inside the image."""
    step = stage.align_px
    low = (rows[0] - reach_px) // step * step
    high = -(-(rows[1] + reach_px) // step) * step
    return max(low, 0), min(high, height_px)


def flow(
    stages: Sequence[Stage],
    runs: Mapping[str, Run],
    height_px: int,
    bands: Sequence[Band],
    source: Iterator[Tensor],
) -> Iterator[tuple[Rows, Tensor]]:
    """Let an image flow through a network.

    Parameters
    ----------
    stages
        As planned with.
    runs
        The compiled module of each.
    height_px, bands
        From `plan_bands`.
    source
        (1, planes, rows, X) for each band that has new rows of the source, in their order.

    Yields
    ------
    tuple of Rows and Tensor
        What the last stage gives, (1, parameters, rows, X), for the rows of each band.
    """
    kept = {SOURCE: _Kept(1)} | {stage.name: _Kept(stage.pitch_px) for stage in stages}
    for band in bands:
        if SOURCE in band.new:
            kept[SOURCE].append(band.source[0], next(source))
        for stage in stages:
            if stage.name in band.new:
                _advance(stage, runs[stage.name], band.new[stage.name], height_px, kept)
                _forget(stages, height_px, kept)
        yield band.rows, kept[stages[-1].name].rows(*band.rows)
        kept[stages[-1].name].drop(band.rows[1])


def _advance(stage: Stage, run: Run, new: Rows, height_px: int, kept: Mapping[str, _Kept]) -> None:
    """Compute rows of one stage from what is kept of its inputs."""
    low, high = _aligned(new, stage.reach_px, stage, height_px)
    found = run(*(kept[name].rows(low, high) for name in stage.inputs))
    rows = slice((new[0] - low) // stage.pitch_px, (new[1] - low) // stage.pitch_px)
    kept[stage.name].append(new[0], found[:, :, rows])


def _forget(stages: Sequence[Stage], height_px: int, kept: Mapping[str, _Kept]) -> None:
    """Drop rows that no stage will ask for again."""
    first: dict[str, int] = {}
    for stage in stages:
        next_row = kept[stage.name].stop
        low = height_px if next_row >= height_px else max(0, next_row - _reach(stage))
        for name in stage.inputs:
            first[name] = min(first.get(name, height_px), low if next_row >= 0 else 0)
    for name, row in first.items():
        kept[name].drop(row)


def _reach(stage: Stage) -> int:
    """Rows above the next one that a stage may still ask for."""
    return -(-stage.reach_px // stage.align_px) * stage.align_px


class _Kept:
    """Rows that are kept of the source or of what a stage gave.

    Attributes
    ----------
    start, stop
        First row and the one after the last, in pixels of the image; -1 before there are any.
    """

    def __init__(self, pitch_px: int) -> None:
        self.pitch_px = pitch_px
        self.start = self.stop = -1
        self._tensor: Tensor | None = None

    def append(self, start: int, rows: Tensor) -> None:
        """Add rows below."""
        if self._tensor is None or self._tensor.shape[2] == 0:
            self._tensor, self.start = rows, start
        else:
            self._tensor = torch.cat([self._tensor, rows], 2)
        self.stop = start + rows.shape[2] * self.pitch_px

    def rows(self, start: int, stop: int) -> Tensor:
        """Some of the rows."""
        if self._tensor is None or start < self.start or stop > self.stop:
            raise IndexError(f"rows {start} to {stop} of {self.start} to {self.stop}")
        low, high = ((row - self.start) // self.pitch_px for row in (start, stop))
        return self._tensor[:, :, low:high]

    def drop(self, row: int) -> None:
        """Forget the rows above one."""
        if self._tensor is None or row <= self.start:
            return
        row = min(row, self.stop)
        # A copy, so that the memory of what is dropped is free.
        kept = self._tensor[:, :, (row - self.start) // self.pitch_px :]
        self._tensor, self.start = kept.clone(), row
