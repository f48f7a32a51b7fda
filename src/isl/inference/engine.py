"""Run a network over tiles; the next tile is read while the network works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.inference.orientations import averaged
from isl.inference.source_stack import SourceStack
from isl.inference.tiles import Grid, Tile
from isl.models.distribution import Distribution
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork, even_depths


@dataclass(frozen=True)
class Engine:
    """A network ready for inference, and the units of what it predicts.

    Attributes
    ----------
    network
        In evaluation mode, on its device.
    offset, scale
        (C, 1, 1): ``image = offset + scale * network`` for each of C targets.
    orientations
        How many orientations of each tile are predicted and averaged.
    """

    network: LabelingNetwork
    offset: Tensor
    scale: Tensor
    orientations: int = 1

    def predict(
        self, zyx: NDArray[np.float32], depths: NDArray[np.float32] | None = None
    ) -> Distribution:
        """Predict one normalised source stack as a whole.

        Parameters
        ----------
        zyx
            (Z, Y, X), float32, normalised; any Y and X of at least 1.
        depths
            (Z,) positions of the planes, increasing; evenly spaced from 0 to 1 by default.

        Returns
        -------
        Distribution
            Parameters (C, Y, X) on the processor, float32, in the unit of the target images.
        """
        shape_yx = (zyx.shape[1], zyx.shape[2])
        tile = Tile.around(Box.of(shape_yx), shape_yx, Grid.of(self.network, shape_yx))
        return self._predict(zyx, tile, depths)

    def predict_tiles(
        self, tiles: Sequence[Tile], stack: SourceStack
    ) -> Iterator[tuple[int, Distribution]]:
        """Predict tile by tile, in order; tiles of which nothing is kept are left out.

        Parameters
        ----------
        tiles
            As planned by `isl.inference.tiles.plan_tiles` for the network.
        stack
            The source; read from another thread, one tile ahead.

        Yields
        ------
        tuple of int and Distribution
            Which of the tiles, and the prediction of its ``kept`` box.
        """

        def load(index: int) -> NDArray[np.float32]:
            return stack.normalizer.apply(stack.read(tiles[index].read))

        for index, zyx in _one_ahead(load, [i for i, tile in enumerate(tiles) if tile.kept.size]):
            yield index, self._predict(zyx, tiles[index], stack.depths)

    def reconstruct(self, zyx: NDArray[np.float32], tile: Tile) -> Distribution:
        """Distribution of the planes themselves; raises where the network does not learn them."""
        source, z_position = self._inputs(zyx, tile)
        found: Distribution | None = None
        if isinstance(self.network, Isl2018Labeling):
            with torch.inference_mode():
                found = self.network.reconstruction(source, z_position)
        if found is None:
            raise ConfigError("this network has no heads that reconstruct the source planes")
        return _part(found, tile.inside)

    def _predict(
        self, zyx: NDArray[np.float32], tile: Tile, depths: NDArray[np.float32] | None
    ) -> Distribution:
        """Predict the kept pixels of a tile from what was read for it."""
        source, z_position = self._inputs(zyx, tile, depths)
        # TF32 would make the answer of a GPU depend on the tile by more than rounding.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            distribution = averaged(
                lambda turned: self.network.distribution(turned, z_position),
                source,
                self.orientations,
            )
            return _part(distribution.affine(self.offset, self.scale), tile.inside)

    def _inputs(
        self, zyx: NDArray[np.float32], tile: Tile, depths: NDArray[np.float32] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Stack (1, Z, Y, X), padded as the tile asks for, and the positions of its planes."""
        padded = np.ascontiguousarray(tile.show(zyx))
        source = torch.from_numpy(padded)[None].to(self.offset.device)
        source = source.contiguous(memory_format=torch.channels_last)
        z_position = even_depths(len(zyx)) if depths is None else torch.from_numpy(depths)
        return source, z_position[None].to(self.offset.device)


def _one_ahead(
    load: Callable[[int], NDArray[np.float32]], indices: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Load tiles in order, the next while the caller works on the last one."""
    with ThreadPoolExecutor(1) as pool:
        pending: Future[NDArray[np.float32]] | None = None
        for index, following in zip(indices, (*indices[1:], None), strict=True):
            zyx = load(index) if pending is None else pending.result()
            pending = None if following is None else pool.submit(load, following)
            yield index, zyx


def _part(distribution: Distribution, box: Box) -> Distribution:
    """The only element of a batch, its pixels in a box, on the processor."""
    rows, columns = box.slices
    return distribution.map(lambda parameter: parameter[0, ..., rows, columns].cpu())
