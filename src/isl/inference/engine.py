"""Predict tiles: the next rows are read while the network works on the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.inference.ahead import Ahead
from isl.inference.assembly import Assembly
from isl.inference.compiled import Compiled
from isl.inference.flow import Band
from isl.inference.memory import MOST_BAND_PX
from isl.inference.orientations import averaged
from isl.inference.row_reader import RowReader
from isl.inference.source_stack import SourceStack
from isl.inference.tiles import Grid, Tile
from isl.models.density import DensityNetwork
from isl.models.distribution import PARAMETERS, Distribution, SplitLogistic
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork, even_depths

Found = Distribution | Tensor
"""What is known of each pixel of each target: its distribution, or (C, Y, X) medians where the
engine predicts the medians alone."""


@dataclass(frozen=True)
class Request:
    """A tile to be predicted.

    Attributes
    ----------
    tile
        As planned for the network; it keeps at least one pixel.
    stack
        Opens and measures its source; called in the thread that reads.
    """

    tile: Tile
    stack: Callable[[], SourceStack]


@dataclass(frozen=True)
class Part:
    """Some rows of a tile, predicted.

    Attributes
    ----------
    request
        Number of the request, from 0.
    box
        Pixels of the image; whole rows of what the tile keeps.
    found
        Of these pixels, on the processor, float32, in the unit of the target images.
    """

    request: int
    box: Box
    found: Found


@dataclass(frozen=True)
class Failure:
    """A request whose source could not be read; nothing more comes of it.

    Attributes
    ----------
    request
        Number of the request, from 0.
    error
        Why.
    """

    request: int
    error: Exception


@dataclass
class Waits:
    """Seconds that the network waited for what is read; they add up over the calls of an engine."""

    seconds: float = 0.0


@dataclass(frozen=True)
class Engine:
    """A network ready for inference, and the units of what it predicts.

    Attributes
    ----------
    network
        In evaluation mode.
    offset, scale
        (C, 1, 1): ``image = offset + scale * network`` for each of C targets; on the processor.
    compiled
        Its stages; None for a network without any, which `torch` then runs where its weights are.
    medians_only
        Whether the output of the stages is the medians alone.
    orientations
        How many orientations of each tile are predicted and averaged; with more than one, or
        without stages, a tile is predicted at once and not in bands.
    band_px
        Most pixels of a band, what the receptive field adds to the first included.
    waits
        For what is read.
    """

    network: LabelingNetwork
    offset: Tensor
    scale: Tensor
    compiled: Compiled | None = None
    medians_only: bool = False
    orientations: int = 1
    band_px: int = MOST_BAND_PX
    waits: Waits = field(default_factory=Waits)

    def predict(self, zyx: NDArray[np.float32], depths: NDArray[np.float32] | None = None) -> Found:
        """Predict one normalised source stack as a whole.

        Parameters
        ----------
        zyx
            (Z, Y, X), float32, normalised; any Y and X of at least 1.
        depths
            (Z,) positions of the planes, increasing; evenly spaced from 0 to 1 by default.

        Returns
        -------
        Found
            Parameters (C, Y, X).
        """
        shape_yx = (zyx.shape[1], zyx.shape[2])
        tile = Tile.around(Box.of(shape_yx), shape_yx, Grid.of(self.network, shape_yx))
        shown = np.ascontiguousarray(tile.show(zyx))
        return self._at_once(self._sampled(shown, depths), tile, depths)

    def predict_tiles(
        self, tiles: Sequence[Tile], stack: SourceStack
    ) -> Iterator[tuple[int, Found]]:
        """Predict the tiles of one stack, in order; tiles of which nothing is kept are left out.

        Yields
        ------
        tuple of int and Found
            Which of the tiles, and the prediction of its ``kept`` box.
        """
        wanted = [index for index, tile in enumerate(tiles) if tile.kept.size]
        parts = self.stream(Request(tiles[index], lambda: stack) for index in wanted)
        for part in whole_tiles(parts, [tiles[index] for index in wanted]):
            if isinstance(part, Failure):
                raise part.error
            yield wanted[part.request], part.found

    def stream(self, requests: Iterable[Request]) -> Iterator[Part | Failure]:
        """Predict tiles part by part; a thread reads one part ahead.

        Parameters
        ----------
        requests
            Taken one by one, in the thread that reads.

        Yields
        ------
        Part or Failure
            Of each request in turn: rows from top to bottom.
        """
        with closing(Ahead(self._read(requests), depth=1)) as items:
            try:
                for item in items:
                    if isinstance(item, _Opened):
                        yield from self._predicted(item, items)
                    elif isinstance(item, Failure):
                        yield item
            finally:
                self.waits.seconds += items.waited

    def count_parts(self, tile: Tile) -> int:
        """In how many parts a tile is predicted."""
        bands = self._bands(tile) if tile.kept.size else ()
        return sum(band.rows[1] > band.rows[0] for band in bands)

    def reconstruct(self, zyx: NDArray[np.float32], tile: Tile) -> Distribution:
        """Distribution of the planes themselves; raises where the network does not learn them."""
        found: Distribution | None = None
        if isinstance(self.network, Isl2018Labeling):
            shown = torch.from_numpy(np.ascontiguousarray(tile.show(zyx)))[None]
            z_position = even_depths(len(zyx))[None].to(self._device)
            with torch.inference_mode():
                found = self.network.reconstruction(shown.to(self._device), z_position)
        if found is None:
            raise ConfigError("this network has no heads that reconstruct the source planes")
        return _part(found, tile.inside)

    def _read(self, requests: Iterable[Request]) -> Iterator[_Item]:
        """What the network is shown, in order."""
        reader = RowReader()
        for index, request in enumerate(requests):
            try:
                stack, tile = request.stack(), request.tile
                opened = _Opened(index, tile, stack.depths, self._bands(tile))
                yield opened
                reader.begin()
                for band in opened.bands:
                    if band.reads:
                        yield self._sampled(reader.read(stack, tile, band.source), stack.depths)
            except Exception as error:
                yield Failure(index, error)

    def _bands(self, tile: Tile) -> tuple[Band, ...]:
        """Bands of a tile; a single one where it is predicted at once."""
        rows, columns = tile.shown.shape
        if self.compiled is None or self.orientations > 1:
            return (Band((0, rows), {}, (0, rows)),)
        wanted = (tile.inside.y0, tile.inside.y1)
        return self.compiled.bands(rows, wanted, max(self.band_px // columns, 1))

    def _sampled(self, zyx: NDArray[np.float32], depths: NDArray[np.float32] | None) -> Tensor:
        """Rows (1, planes, Y, X) as the stages take them; unchanged for other networks."""
        source = torch.from_numpy(zyx)
        if self.compiled is None or not isinstance(self.network, DensityNetwork):
            return source[None]
        z_position = even_depths(len(zyx)) if depths is None else torch.from_numpy(depths)
        weights = self.network.depth.weights(z_position[None].float())[0]
        if len(zyx) != len(weights) or not torch.equal(weights, torch.eye(len(weights))):
            source = torch.tensordot(weights, source, 1)
        return source[None]

    def _predicted(self, opened: _Opened, items: Iterator[_Item]) -> Iterator[Part | Failure]:
        """Parts of one request, from what was read of it."""
        try:
            if self.compiled is None or self.orientations > 1:
                source = next(_tensors(items))
                yield Part(
                    opened.request,
                    opened.tile.kept,
                    self._at_once(source, opened.tile, opened.depths),
                )
                return
            yield from self._flowing(self.compiled, opened, _tensors(items))
        except _ReadError as stopped:
            yield stopped.failure

    @torch.inference_mode()
    def _flowing(
        self, compiled: Compiled, opened: _Opened, source: Iterator[Tensor]
    ) -> Iterator[Part]:
        tile = opened.tile
        for rows, raw in compiled.flow(tile.shown.shape[0], opened.bands, source):
            y0 = tile.kept.y0 + rows[0] - tile.inside.y0
            box = Box(y0, y0 + rows[1] - rows[0], tile.kept.x0, tile.kept.x1)
            yield Part(opened.request, box, self._found(raw[..., tile.inside.slices[1]]))

    def _at_once(self, source: Tensor, tile: Tile, depths: NDArray[np.float32] | None) -> Found:
        """Predict the kept pixels of a tile, averaged over the orientations."""
        with torch.inference_mode(), _exact():
            if self.compiled is not None and self.medians_only:
                rows, columns = tile.inside.slices
                return self._found(self.compiled.image(source)[..., rows, columns])
            found = averaged(
                lambda turned: self._distribution(turned, depths), source, self.orientations
            )
            return _part(found, tile.inside).affine(self.offset, self.scale)

    def _distribution(self, source: Tensor, depths: NDArray[np.float32] | None) -> Distribution:
        """Distribution (1, C, Y, X) in the unit of the network."""
        if self.compiled is not None:
            return _density(self.compiled.image(source))
        planes = source.shape[1]
        z_position = even_depths(planes) if depths is None else torch.from_numpy(depths)
        given = source.to(self._device).contiguous(memory_format=torch.channels_last)
        return self.network.distribution(given, z_position[None].to(self._device))

    def _found(self, raw: Tensor) -> Found:
        """What the output (1, P, Y, X) of the stages says, in the unit of the images."""
        if self.medians_only:
            return self.offset + self.scale * raw[0].cpu()
        found = _density(raw).map(lambda parameter: parameter[0])
        return found.affine(self.offset, self.scale)

    @cached_property
    def _device(self) -> torch.device:
        """Where the weights are."""
        first = next(self.network.parameters(), self.offset)
        return first.device


def whole_tiles(parts: Iterable[Part | Failure], tiles: Sequence[Tile]) -> Iterator[Part | Failure]:
    """Put the parts of each tile together; a failure stands for its tile."""
    rows: list[Part] = []
    for part in parts:
        if isinstance(part, Failure):
            rows = []
            yield part
            continue
        rows.append(part)
        kept = tiles[part.request].kept
        if part.box.y1 == kept.y1:
            yield rows[0] if len(rows) == 1 else Part(part.request, kept, _joined(rows))
            rows = []


@dataclass(frozen=True)
class _Opened:
    """A request whose source is open; what it is shown follows."""

    request: int
    tile: Tile
    depths: NDArray[np.float32] | None
    bands: tuple[Band, ...]


_Item = _Opened | Failure | Tensor


class _ReadError(Exception):
    """Reading failed while the network was at work on the same request."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


def _tensors(items: Iterator[_Item]) -> Iterator[Tensor]:
    for item in items:
        if isinstance(item, Failure):
            raise _ReadError(item)
        if isinstance(item, Tensor):
            yield item


def _joined(parts: Sequence[Part]) -> Found:
    """One below the other."""
    first = parts[0].found
    if isinstance(first, Tensor):
        return torch.cat([part.found for part in parts if isinstance(part.found, Tensor)], -2)
    assembly = Assembly(Box(parts[0].box.y0, parts[-1].box.y1, parts[0].box.x0, parts[0].box.x1))
    for part in parts:
        assembly.add(part.box, cast(Distribution, part.found))
    return assembly.whole()


def _density(raw: Tensor) -> SplitLogistic:
    """What the output (1, P, Y, X) of the stages says, on the processor."""
    return SplitLogistic.from_raw(raw.cpu(), targets=raw.shape[1] // PARAMETERS)


def _exact() -> AbstractContextManager[None]:
    """TF32 would make the answer of a GPU depend on the tile by more than rounding."""
    exact: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return exact


def _part(distribution: Distribution, box: Box) -> Distribution:
    """The only element of a batch, its pixels in a box, on the processor."""
    rows, columns = box.slices
    return distribution.map(lambda parameter: parameter[0, ..., rows, columns].cpu())
