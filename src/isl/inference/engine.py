"""Run a network over tiles; the next tile is read while the network works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isl.core.axes import Box
from isl.data.normalization import SourceNormalizer
from isl.inference.tiles import Tile, pad_to_stride
from isl.models.distribution import SplitLogistic
from isl.models.network import Network

ReadBox = Callable[[Box], NDArray[Any]]
"""Function from a box to the source pixels in it, (Z, Y, X)."""


@dataclass(frozen=True)
class Engine:
    """A network ready for inference, and the units of what it predicts.

    Attributes
    ----------
    network
        In evaluation mode, on its device.
    offset, scale
        (C, 1, 1): ``image = offset + scale * network`` for each of C targets.
    """

    network: Network
    offset: Tensor
    scale: Tensor

    def predict(self, zyx: NDArray[np.float32]) -> SplitLogistic:
        """Predict one normalised source stack as a whole.

        Parameters
        ----------
        zyx
            (Z, Y, X), float32, normalised; any Y and X of at least 1.

        Returns
        -------
        SplitLogistic
            Parameters (C, Y, X) on the processor, float32, in the unit of the target images.
        """
        rows, columns = zyx.shape[1:]
        padded = np.ascontiguousarray(pad_to_stride(zyx, self.network.stride))
        source = torch.from_numpy(padded)[None].to(self.offset.device)
        source = source.contiguous(memory_format=torch.channels_last)
        z_position = torch.linspace(0.0, 1.0, len(zyx)) if len(zyx) > 1 else torch.tensor([0.5])
        # TF32 would make the answer of a GPU depend on the tile by more than rounding.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            raw = self.network(source, z_position[None].to(self.offset.device))
            raw = raw[..., :rows, :columns]
            distribution = SplitLogistic.from_raw(raw, targets=len(self.offset))
            return _first_on_cpu(distribution.affine(self.offset, self.scale))

    def predict_tiles(
        self, tiles: Sequence[Tile], read: ReadBox, normalizer: SourceNormalizer
    ) -> Iterator[tuple[Tile, SplitLogistic]]:
        """Predict tile by tile, in order.

        Parameters
        ----------
        tiles
            As planned by `isl.inference.tiles.plan_tiles` for the network's margin and stride.
        read
            Called from another thread, one tile ahead.
        normalizer
            Measured on the whole image, so that the result does not depend on the tiles.

        Yields
        ------
        tuple of Tile and SplitLogistic
            The tile, and the prediction of its ``write`` box.
        """

        def load(tile: Tile) -> NDArray[np.float32]:
            return normalizer.apply(read(tile.read))

        for tile, zyx in _one_ahead(load, tiles):
            yield tile, _crop(self.predict(zyx), tile.inside)


def _one_ahead(
    load: Callable[[Tile], NDArray[np.float32]], tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Load tiles in order, the next while the caller works on the last one."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(load, tiles[0])
        for tile, following in zip(tiles, (*tiles[1:], None), strict=True):
            zyx = pending.result()
            if following is not None:
                pending = pool.submit(load, following)
            yield tile, zyx


def _crop(distribution: SplitLogistic, box: Box) -> SplitLogistic:
    rows, columns = box.slices
    return SplitLogistic(
        distribution.median[:, rows, columns],
        distribution.scale_left[:, rows, columns],
        distribution.scale_right[:, rows, columns],
    )


def _first_on_cpu(distribution: SplitLogistic) -> SplitLogistic:
    """The only element of a batch, on the processor."""
    return SplitLogistic(
        distribution.median[0].cpu(),
        distribution.scale_left[0].cpu(),
        distribution.scale_right[0].cpu(),
    )
