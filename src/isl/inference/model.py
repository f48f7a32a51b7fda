"""A trained model: arrays in, predictions out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from isl.core.axes import Box
from isl.core.config import Border
from isl.core.progress import Progress, ProgressCallback, silent
from isl.inference.arrays import ARRAY, VoxelSizeLike
from isl.inference.assembly import Assembly
from isl.inference.engine import Engine, Found
from isl.inference.jobs import Job, array_job, left_out_note
from isl.inference.model_card import (
    FORMAT_VERSION,
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.inference.pieces import Piece, within
from isl.inference.prediction import Prediction
from isl.inference.runnable_model import RunnableModel
from isl.inference.source_stack import SourceStack
from isl.inference.statistics import (
    channel_names,
    compute_statistics,
    parse_statistics,
)
from isl.models.distribution import Distribution
from isl.models.isl2018.labeling import Isl2018Labeling

__all__ = [
    "ARRAY",
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


@dataclass(frozen=True)
class Model(RunnableModel):
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
    backend, threads
        What runs the network, see `on`.

    Examples
    --------
    >>> model = isl.load_model("model.isl")                                       # doctest: +SKIP
    >>> model.predict(phase_zyx, voxel_size=(1.0, 0.3, 0.3))["DAPI"].shape        # doctest: +SKIP
    (768, 1024)
    """

    def predict(
        self,
        zyx: ArrayLike,
        voxel_size: VoxelSizeLike | None = None,
        *,
        z_um: Sequence[float] | None = None,
        statistics: Sequence[str] = ("median",),
        border: Border = "reflect",
        tile_px: int | None = None,
        resample: bool = True,
        ignore_voxel_size: bool = False,
        progress: ProgressCallback = silent,
    ) -> Prediction:
        """Predict all targets of one z-stack.

        Parameters
        ----------
        zyx
            (Z, Y, X), or (Y, X) for one plane; any real dtype and unit, any size of at least 1.
            Planes that are NaN, or one value, throughout are left out, with a warning.
        voxel_size
            z, y, x (or y, x) in micrometres. Where y or x differs from the model's by more than
            2 %, the stack is resampled and the prediction brought back to its pixels; where not
            given, it is taken for the model's.
        z_um
            Heights of the planes in micrometres, in any order; by default the planes are in order
            and evenly spaced.
        statistics
            ``"median"``, ``"mean"``, ``"mode"``, ``"std"``, ``"nonzero"``, ``"entropy"``, quantiles
            such as ``"q0.05"``.
        border
            ``"reflect"``, or ``"valid"`` for NaN where the published program lost the border; see
            `isl.inference.tiles.Grid.of`.
        tile_px
            Side of a tile in pixels of the model; chosen by default to bound memory.
        resample
            False to refuse, rather than resample, where the voxel size is off by more than 20 %.
        ignore_voxel_size
            Take any voxel size for that of the model.
        progress
            Called after each tile.

        Returns
        -------
        Prediction
            (C, Y, X) float32: all targets of the first statistic, then of the next.

        Raises
        ------
        ConfigError
            Where a statistic is unknown, or the border is for another network.
        DataError
            Where the array is not a stack of planes; `BlankImageError` where a plane of an image
            holds NaN or none is an image, `VoxelSizeError` where the voxel size is off by a factor
            of more than 8, or is not resampled.
        """
        wanted = parse_statistics(statistics)
        job = array_job(zyx, voxel_size, z_um).fitted(
            self.card, resample=resample, ignore_voxel_size=ignore_voxel_size
        )
        names = channel_names(self.card.target_names, wanted)
        image = np.full((len(names), job.fov.size_y, job.fov.size_x), np.nan, np.float32)
        engine, sides = self.engine_for(wanted), self.sides(job, tile_px=tile_px)
        for piece, found in self._run(engine, job, self.plan(job, border, sides=sides), progress):
            computed = compute_statistics(found, wanted, self.card.targets).numpy()
            image[:, *piece.box.slices] = piece.image(computed)
        return Prediction(image, names)

    def distribution(
        self,
        zyx: ArrayLike,
        voxel_size: VoxelSizeLike | None = None,
        *,
        z_um: Sequence[float] | None = None,
        box: Box | None = None,
        tile_px: int | None = None,
        resample: bool = True,
        ignore_voxel_size: bool = False,
        progress: ProgressCallback = silent,
    ) -> Distribution:
        """Predict the whole distribution of each pixel; other arguments as for `predict`.

        Where the stack is resampled, the parameters of the distribution are brought back.

        Parameters
        ----------
        box
            Part of the image to predict, as it would be predicted with the whole; by default all.

        Returns
        -------
        Distribution
            Parameters (C, Y, X), float32, in the unit of the target images.
        """
        job = array_job(zyx, voxel_size, z_um).fitted(
            self.card, resample=resample, ignore_voxel_size=ignore_voxel_size
        )
        assembly = Assembly(box or job.fov.box)
        pieces = within(self.plan(job, sides=self.sides(job, tile_px=tile_px)), assembly.box)
        for piece, part in self._run(self.engine, job, pieces, progress):
            assembly.add(piece.box, piece.distribution(cast(Distribution, part)))
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
        job = array_job(zyx)
        stack = self._stack(job)
        assembly = Assembly(box or job.fov.box)
        for piece in within(self.plan(job), assembly.box):
            read = stack.normalizer.apply(stack.read(piece.tile.read))
            assembly.add(piece.box, self.engine.reconstruct(read, piece.tile))
        return assembly.whole()

    def _stack(self, job: Job) -> SourceStack:
        """Source of a job that is an array, with its doubts in the log."""
        stack = job.stack(self.card)
        if stack.normalizer.doubt:
            logger.warning("%s", stack.normalizer.doubt)
        if stack.left_out:
            logger.warning("%s", left_out_note(job, stack))
        return stack

    def _run(
        self, engine: Engine, job: Job, pieces: tuple[Piece, ...], progress: ProgressCallback
    ) -> Iterator[tuple[Piece, Found]]:
        """Predict the pieces of an array and report each."""
        parts = engine.predict_tiles([piece.tile for piece in pieces], self._stack(job))
        for done, (index, found) in enumerate(parts, start=1):
            yield pieces[index], found
            progress(Progress(done, len(pieces), "tile", "predicting"))
