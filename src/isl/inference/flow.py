"""Let an image flow through the stages of a network in bands of rows.

Each stage gives whole bands, one below the other. Between the stages only those rows are kept that
a later band still needs: two rows above for each 3x3 convolution, as it were. So an image of any
height takes the memory of a few bands, and what is computed twice is a few rows for each band and
stage, not the whole receptive field around each tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.backends.backend import Run
from isl.inference.scratch import Scratch
from isl.models.stages import SOURCE, Stage

Rows = tuple[int, int]
"""First row and the one after the last, in pixels of the image."""


@dataclass(frozen=True)
class Band:
    """One step of a flow.

    Attributes
    ----------
    rows
        Rows of the image that come out of the last stage; none while the first stages lead in.
    new
        Rows that each stage has to add for it; stages without any are left out.
    source
        Rows of the source that its stages are called with; those that the band above was called
        with may be among them. ``(0, 0)`` where none is.
    """

    rows: Rows
    new: Mapping[str, Rows]
    source: Rows

    @property
    def reads(self) -> bool:
        """Whether it needs the source."""
        return self.source[1] > self.source[0]


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
        Rows of each band, but for the last. What the receptive field adds above the first is
        computed in bands of its own, so that no stage has many more rows at once.

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
    start, stop = wanted
    first = _needed(stages, height_px, (start, min(start + band_px, stop)))
    done = {name: low for name, (low, _) in first.items()}
    lead = first[SOURCE][1] - first[SOURCE][0] - band_px if stop - start > band_px else 0
    starts = range(start - -(-max(lead, 0) // band_px) * band_px, stop, band_px)
    bands = []
    for row in starts:
        rows = (max(row, start), min(max(row + band_px, start), stop))
        needed = _needed(stages, height_px, (row, min(row + band_px, stop)))
        ends = {name: high for name, (_, high) in needed.items()}
        new = {name: (done[name], end) for name, end in ends.items() if end > done[name]}
        done |= {name: end for name, (_, end) in new.items()}
        new.pop(SOURCE, None)
        bands.append(Band(rows, new, _shown(stages, new, height_px)))
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


def _shown(stages: Sequence[Stage], new: Mapping[str, Rows], height_px: int) -> Rows:
    """Rows of the source that stages are called with, all together."""
    called = [
        _aligned(new[stage.name], stage.reach_px, stage, height_px)
        for stage in stages
        if SOURCE in stage.inputs and stage.name in new
    ]
    return (min(low for low, _ in called), max(high for _, high in called)) if called else (0, 0)


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
        (1, planes, rows, X) for each band that reads the source, in their order. One is not looked
        at again once the next has been asked for.

    Yields
    ------
    tuple of Rows and Tensor
        What the last stage gives, (1, parameters, rows, X), for the rows of each band.
    """
    scratch = Scratch()
    kept = {SOURCE: _Kept(1)} | {stage.name: _Kept(stage.pitch_px) for stage in stages}
    last = kept[stages[-1].name]
    for band in bands:
        if band.reads:
            kept[SOURCE].replace(band.source[0], next(source))
        for stage in stages:
            if stage.name in band.new:
                _advance(stage, runs[stage.name], band.new[stage.name], height_px, kept, scratch)
                _forget(stages, height_px, kept)
        if band.rows[1] > band.rows[0]:
            yield band.rows, last.rows(*band.rows)
            last.drop(band.rows[1])


def _advance(
    stage: Stage,
    run: Run,
    new: Rows,
    height_px: int,
    kept: Mapping[str, _Kept],
    scratch: Scratch,
) -> None:
    """Compute rows of one stage from what is kept of its inputs."""
    low, high = _aligned(new, stage.reach_px, stage, height_px)
    inputs = (
        kept[name].rows(low, high, partial(scratch.take, index))
        for index, name in enumerate(stage.inputs)
    )
    found = run(*inputs)
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
        if name != SOURCE:
            kept[name].drop(row)


def _reach(stage: Stage) -> int:
    """Rows above the next one that a stage may still ask for."""
    return -(-stage.reach_px // stage.align_px) * stage.align_px


class _Kept:
    """Rows that are kept of the source or of what a stage gave, as they came, from top to bottom.

    Attributes
    ----------
    start, stop
        First row and the one after the last, in pixels of the image; -1 before there are any.
    """

    def __init__(self, pitch_px: int) -> None:
        self.pitch_px = pitch_px
        self.start = self.stop = -1
        self._pieces: list[Tensor] = []

    def append(self, start: int, rows: Tensor) -> None:
        """Add rows below."""
        if not self._pieces:
            self.start = start
        self._pieces.append(rows)
        self.stop = start + rows.shape[2] * self.pitch_px

    def replace(self, start: int, rows: Tensor) -> None:
        """Keep these rows and nothing else."""
        self._pieces = []
        self.append(start, rows)

    def rows(
        self, start: int, stop: int, room: Callable[[Sequence[int], Tensor], Tensor] | None = None
    ) -> Tensor:
        """Some of the rows; in the room that is made for their shape where they lie in pieces."""
        if start < self.start or stop > self.stop:
            raise IndexError(f"rows {start} to {stop} of {self.start} to {self.stop}")
        parts = self._parts((start - self.start) // self.pitch_px, (stop - start) // self.pitch_px)
        if len(parts) == 1 and (room is None or parts[0].is_contiguous()):
            return parts[0]
        if room is None:
            return torch.cat(parts, 2)
        shape = list(parts[0].shape)
        shape[2] = sum(part.shape[2] for part in parts)
        return torch.cat(parts, 2, out=room(shape, parts[0]))

    def drop(self, row: int) -> None:
        """Forget the rows above one."""
        count = (min(row, self.stop) - self.start) // self.pitch_px
        if count <= 0:
            return
        while self._pieces and count >= self._pieces[0].shape[2]:
            count -= self._pieces.pop(0).shape[2]
        if count:
            # A copy, so that the memory of what is dropped is free.
            self._pieces[0] = self._pieces[0][:, :, count:].clone()
        self.start = min(row, self.stop)

    def _parts(self, first: int, count: int) -> list[Tensor]:
        """Of each piece the rows that lie in a range."""
        parts = []
        for piece in self._pieces:
            low, high = max(first, 0), min(first + count, piece.shape[2])
            if high > low:
                parts.append(piece[:, :, low:high])
            first -= piece.shape[2]
        return parts
