"""A trained model: arrays in, predictions out."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.config import Border, Stitching
from isl.core.errors import ChannelError, ConfigError, VoxelSizeError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.data.normalization import SourceNormalizer, measure_source_array
from isl.inference.arrays import VoxelSizeLike, as_stack, as_voxel_size
from isl.inference.assembly import Assembly
from isl.inference.engine import Engine, placed
from isl.inference.folding import fold_batch_norm
from isl.inference.model_card import (
    FORMAT_VERSION,
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.inference.orientations import ALL
from isl.inference.statistics import channel_names, compute_statistics, parse_statistics
from isl.inference.tiles import Grid, Tile, plan_tiles, within
from isl.models.distribution import Distribution
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork

__all__ = [
    "FORMAT_VERSION",
    "Model",
    "ModelCard",
    "Prediction",
    "Provenance",
    "SourceCard",
    "TargetCard",
    "TrainedField",
]

logger = logging.getLogger(__name__)

ARRAY = "the array"
"""What messages call the source that a caller gives."""

VOXEL_SIZE_TOLERANCE = 0.2
"""Largest relative difference in y or x between a model's voxel size and that of an image."""

_MEMORY_BYTES = 2e9
_TILE_UNIT_PX = 256


@dataclass(frozen=True)
class Prediction:
    """Predicted images.

    Attributes
    ----------
    image
        (C, Y, X), float32, in the unit of the target images.
    channel_names
        ``"DAPI"`` for a median, ``"DAPI mean"``, ``"DAPI q0.05"`` for other statistics.
    """

    image: NDArray[np.float32]
    channel_names: tuple[str, ...]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Image (Y, X) of one channel; raises ChannelError where there is none."""
        if name not in self.channel_names:
            raise ChannelError(
                f"the prediction has no channel '{name}'; it has: {', '.join(self.channel_names)}"
            )
        image: NDArray[np.float32] = self.image[self.channel_names.index(name)]
        return image


@dataclass(frozen=True)
class Model:
    """A network and its card.

    Inference works on a copy of the network that is made at the first prediction; weights that
    change later do not show.

    Attributes
    ----------
    card
        Targets, voxel size, normalisation, configuration, provenance.
    network
        The network with its weights, as trained.
    orientations
        How many orientations of an image are predicted and averaged, see `oriented`.

    Examples
    --------
    >>> model = isl.load_model("model.isl")                                       # doctest: +SKIP
    >>> model.predict(phase_zyx, voxel_size=(1.0, 0.3, 0.3))["DAPI"].shape        # doctest: +SKIP
    (768, 1024)
    """

    card: ModelCard
    network: LabelingNetwork
    orientations: int = 1

    @cached_property
    def engine(self) -> Engine:
        """The network as inference runs it: batch normalisation folded in, on the best device."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = fold_batch_norm(self.network).to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        offset = torch.tensor([t.offset for t in self.card.targets], device=device)
        scale = torch.tensor([t.scale for t in self.card.targets], device=device)
        units = (offset.float()[:, None, None], scale.float()[:, None, None])
        return Engine(network, *units, self.orientations)

    def tile_px(self, shape_yx: tuple[int, int], planes: int) -> int:
        """Side of a tile that keeps the memory of the network near two gigabytes.

        Parameters
        ----------
        shape_yx
            Rows and columns of the image; one tile where it fits as a whole.
        planes
            Planes of the source.
        """
        most_pixels = _MEMORY_BYTES / self.network.bytes_per_pixel(planes)
        stride: int = self.network.stride
        if shape_yx[0] * shape_yx[1] <= most_pixels:
            return max(*shape_yx, stride)
        side = int(most_pixels**0.5)
        if not any(self.network.lost_px):
            side -= 2 * int(self.network.margin_px)
        return max(side // _TILE_UNIT_PX, 1) * _TILE_UNIT_PX

    def stitched(self, stitching: Stitching | None) -> Model:
        """The same model, whose network covers images in another way.

        Parameters
        ----------
        stitching
            ``"dense"``, ``"patches"`` or ``"single-pass"``, see `isl.models.isl2018.stitching`;
            None for the model as it is.

        Raises
        ------
        ConfigError
            Where the network knows only one way.
        """
        if stitching is None:
            return self
        if not isinstance(self.network, Isl2018Labeling):
            raise ConfigError(
                f"stitching '{stitching}' is for the network isl2018; this model has the network "
                f"{self.card.network.name}: leave it out"
            )
        network = copy.copy(self.network)
        network.stitching = stitching
        return Model(self.card, network, self.orientations)

    def oriented(self, orientations: int) -> Model:
        """The same model, predicting an image in several orientations and averaging.

        Slower in proportion; a little nearer to the truth, as the network is not exactly the same
        for a turned image.

        Parameters
        ----------
        orientations
            1, the image as it is, to 8, all quarter turns of it and of its mirror image.

        Raises
        ------
        ConfigError
            Where the number is another, or the network needs unlike borders before and after.
        """
        if not 1 <= orientations <= ALL:
            raise ConfigError(f"there are 1 to {ALL} orientations of an image, not {orientations}")
        before, after = self.network.lost_px
        if orientations > 1 and before != after:
            raise ConfigError("a single pass cannot be turned; use stitching 'dense' to average")
        return Model(self.card, self.network, orientations)

    def check_voxel_size(self, voxel_size: VoxelSize, what: str) -> None:
        """Refuse images of another magnification; an unknown voxel size passes.

        Raises
        ------
        VoxelSizeError
            Where y or x differs by more than 20 %.
        """
        if self.card.voxel_size.relative_difference(voxel_size) > VOXEL_SIZE_TOLERANCE:
            raise VoxelSizeError(
                f"{what}: the model was trained at {self.card.voxel_size} but the voxel size here "
                f"is {voxel_size}; resample the images, or use --ignore-voxel-size "
                "(ignore_voxel_size=True) if the file is wrong"
            )

    def predict(
        self,
        zyx: ArrayLike,
        voxel_size: VoxelSizeLike | None = None,
        *,
        statistics: Sequence[str] = ("median",),
        border: Border = "reflect",
        tile_px: int | None = None,
        ignore_voxel_size: bool = False,
        progress: ProgressCallback = silent,
    ) -> Prediction:
        """Predict all targets of one z-stack.

        Parameters
        ----------
        zyx
            (Z, Y, X), or (Y, X) for one plane; any real dtype and unit, any size of at least 1.
        voxel_size
            z, y, x (or y, x) in micrometres; not checked where not given.
        statistics
            ``"median"``, ``"mean"``, ``"mode"``, ``"std"``, ``"nonzero"``, ``"entropy"``, quantiles
            such as ``"q0.05"``.
        border
            ``"reflect"``, or ``"valid"`` for NaN where the published program lost the border; see
            `isl.inference.tiles.Grid.of`.
        tile_px
            Side of a tile; chosen by default to bound memory.
        ignore_voxel_size
            Accept any voxel size.
        progress
            Called after each tile.

        Returns
        -------
        Prediction
            (C, Y, X) float32: all targets of the first statistic, then of the next.

        Raises
        ------
        ConfigError
            Where a statistic is unknown.
        DataError
            Where the array is not a stack of planes; `BlankImageError` where it holds NaN or is
            constant, `VoxelSizeError` where the voxel size is off by more than 20 %.
        """
        wanted = parse_statistics(statistics)
        stack, tiles = self._prepare(zyx, voxel_size, tile_px, ignore_voxel_size, border)
        names = channel_names(self.card.target_names, wanted)
        image = np.full((len(names), *stack.shape[1:]), np.nan, np.float32)
        for tile, distribution in self._run(stack, tiles, progress):
            computed = compute_statistics(distribution, wanted, self.card.targets).numpy()
            image[:, *tile.write.slices] = placed(tile, computed)
        return Prediction(image, names)

    def distribution(
        self,
        zyx: ArrayLike,
        voxel_size: VoxelSizeLike | None = None,
        *,
        box: Box | None = None,
        tile_px: int | None = None,
        ignore_voxel_size: bool = False,
        progress: ProgressCallback = silent,
    ) -> Distribution:
        """Predict the whole distribution of each pixel; other arguments as for `predict`.

        Parameters
        ----------
        box
            Part of the image to predict, as it would be predicted with the whole; by default all.

        Returns
        -------
        Distribution
            Parameters (C, Y, X), float32, in the unit of the target images.
        """
        stack, tiles = self._prepare(zyx, voxel_size, tile_px, ignore_voxel_size)
        assembly = Assembly(box or Box.of((stack.shape[1], stack.shape[2])))
        for tile, part in self._run(stack, within(tiles, assembly.box), progress):
            assembly.add(tile.kept, part)
        return assembly.whole()

    def source_distribution(self, zyx: ArrayLike, *, box: Box | None = None) -> Distribution | None:
        """Predict the planes that the network was shown, as a network of 2018 learns to.

        Parameters
        ----------
        zyx
            (Z, Y, X).
        box
            Part of the image to predict; by default all.

        Returns
        -------
        Distribution or None
            Parameters (planes, Y, X), values from 0 to 1 as normalised; None where the network has
            no heads for them.
        """
        network = self.network
        if not isinstance(network, Isl2018Labeling) or not network.config.reconstruction:
            return None
        stack, tiles = self._prepare(zyx, None, None, True)
        normalizer = self._normalizer(stack)
        assembly = Assembly(box or Box.of((stack.shape[1], stack.shape[2])))
        for tile in within(tiles, assembly.box):
            read = normalizer.apply(stack[:, *tile.read.slices])
            assembly.add(tile.kept, self.engine.reconstruct(read, tile))
        return assembly.whole()

    def _prepare(
        self,
        zyx: ArrayLike,
        voxel_size: VoxelSizeLike | None,
        tile_px: int | None,
        ignore_voxel_size: bool,
        border: Border = "reflect",
    ) -> tuple[NDArray[Any], tuple[Tile, ...]]:
        """Check the arguments of a prediction and plan its tiles."""
        if voxel_size is not None and not ignore_voxel_size:
            self.check_voxel_size(as_voxel_size(voxel_size), ARRAY)
        stack = as_stack(zyx)
        network = self.network
        shape_yx = (stack.shape[1], stack.shape[2])
        tiles = plan_tiles(
            shape_yx,
            self.tile_px(shape_yx, len(stack)) if tile_px is None else tile_px,
            Grid.of(network, shape_yx, border),
            (network.stride, network.stride),
        )
        return stack, tiles

    def _normalizer(self, stack: NDArray[Any]) -> SourceNormalizer:
        normalizer = measure_source_array(stack, ARRAY, self.card.source.normalization)
        if normalizer.doubt:
            logger.warning("%s", normalizer.doubt)
        return normalizer

    def _run(
        self, stack: NDArray[Any], tiles: tuple[Tile, ...], progress: ProgressCallback
    ) -> Iterator[tuple[Tile, Distribution]]:
        """Predict the tiles of an array and report each."""
        normalizer = self._normalizer(stack)
        parts = self.engine.predict_tiles(tiles, lambda box: stack[:, *box.slices], normalizer)
        for done, (tile, distribution) in enumerate(parts, start=1):
            yield tile, distribution
            progress(Progress(done, len(tiles), "tile", "predicting"))
