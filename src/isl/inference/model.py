"""A trained model: arrays in, predictions out."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from isl.core.axes import Box
from isl.core.config import Border, Stitching
from isl.core.digest import digest_of
from isl.core.errors import ConfigError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.inference.arrays import ARRAY, VoxelSizeLike
from isl.inference.assembly import Assembly
from isl.inference.backends.backend import Choice
from isl.inference.build import build_engine, choose
from isl.inference.engine import Engine, Found
from isl.inference.folding import fold_batch_norm
from isl.inference.jobs import Job, array_job, left_out_note
from isl.inference.memory import Sides, sides_for
from isl.inference.model_card import (
    FORMAT_VERSION,
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.inference.orientations import ALL
from isl.inference.pieces import Piece, plan_pieces, within
from isl.inference.prediction import Prediction
from isl.inference.source_stack import SourceStack
from isl.inference.statistics import (
    Statistic,
    channel_names,
    compute_statistics,
    parse_statistics,
)
from isl.inference.tiles import Grid
from isl.models.density import DensityNetwork
from isl.models.distribution import Distribution
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork

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

_MEMORY_BYTES = 2_000_000_000


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
    backend, threads
        What runs the network, see `on`.

    Examples
    --------
    >>> model = isl.load_model("model.isl")                                       # doctest: +SKIP
    >>> model.predict(phase_zyx, voxel_size=(1.0, 0.3, 0.3))["DAPI"].shape        # doctest: +SKIP
    (768, 1024)
    """

    card: ModelCard
    network: LabelingNetwork
    orientations: int = 1
    backend: str = "torch"
    threads: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: nothing that was compiled in this one."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def digest(self) -> str:
        """Digest of weights and card, by which an interrupted run knows its model."""
        state = self.network.state_dict()
        weights = (state[name].detach().cpu().contiguous().numpy() for name in sorted(state))
        return digest_of([self.card.model_dump_json().encode(), *map(bytes, weights)])

    @cached_property
    def engine(self) -> Engine:
        """The network as inference runs it, giving whole distributions."""
        return self._engine(medians_only=False)

    @cached_property
    def median_engine(self) -> Engine:
        """The same, giving medians alone where that is less work."""
        is_density = isinstance(self.network, DensityNetwork) and self.orientations == 1
        return self._engine(medians_only=True) if is_density else self.engine

    def engine_for(self, statistics: Sequence[Statistic]) -> Engine:
        """The engine that knows what some statistics need, and no more."""
        enough = all(statistic.of_median for statistic in statistics)
        return self.median_engine if enough else self.engine

    @cached_property
    def choice(self) -> Choice:
        """What runs the network, and why; measured where the backend is ``"auto"``."""
        return choose(self._folded, self.backend, self.threads)

    @cached_property
    def _folded(self) -> LabelingNetwork:
        """Copy of the network on the processor, batch normalisation folded in."""
        return fold_batch_norm(self.network).cpu()

    def _engine(self, medians_only: bool) -> Engine:
        engine = build_engine(self._folded, self.card.targets, self.choice, medians_only)
        return replace(engine, orientations=self.orientations)

    def tile_px(self, shape_yx: tuple[int, int], planes: int) -> int:
        """Side of a tile that keeps the memory of the network near two gigabytes.

        Parameters
        ----------
        shape_yx
            Rows and columns of the image; one tile where it fits as a whole.
        planes
            Planes of the source.
        """
        sides = sides_for(self.network, planes, _MEMORY_BYTES, in_bands=False)
        if shape_yx[0] * shape_yx[1] <= sides.band_px:
            return max(*shape_yx, self.network.stride)
        return sides.side_yx[0]

    def sides(
        self,
        job: Job,
        nbytes: int = _MEMORY_BYTES,
        tile_px: int | None = None,
        statistics: int = 1,
    ) -> Sides:
        """Bands and tiles with which a job takes about so much memory, or tiles of a given side."""
        in_bands = (
            isinstance(self.network, DensityNetwork)
            and self.orientations == 1
            and job.resampling is None
        )
        fov = job.at_model
        planes, channels = fov.channel(job.source).planes, statistics * len(self.card.targets)
        sides = sides_for(self.network, planes, nbytes, in_bands, channels)
        if not in_bands and fov.size_y * fov.size_x <= sides.band_px:
            side = max(fov.size_y, fov.size_x, self.network.stride)
            sides = replace(sides, side_yx=(side, side))
        return sides if tile_px is None else replace(sides, side_yx=(tile_px, tile_px))

    def on(self, backend: str, threads: int | None = None) -> Model:
        """The same model, run in another way.

        Parameters
        ----------
        backend
            ``"auto"`` for the fastest here, which is measured once for a machine and network, or
            one of `isl.inference.backends.choose.available_backends`.
        threads
            Threads of the processor; all of them by default.
        """
        if (backend, threads) == (self.backend, self.threads):
            return self
        return replace(self, backend=backend, threads=threads)

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
        return replace(self, network=network)

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
        return (
            self if orientations == self.orientations else replace(self, orientations=orientations)
        )

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

    def plan(
        self,
        job: Job,
        border: Border = "reflect",
        write: Box | None = None,
        sides: Sides | None = None,
    ) -> tuple[Piece, ...]:
        """Cover the image of a job, or a part of it; see `isl.inference.pieces.plan_pieces`."""
        side_yx = (sides or self.sides(job)).side_yx
        shape_yx = (job.fov.size_y, job.fov.size_x)
        grid = self.grid(job, border)
        return plan_pieces(write or job.fov.box, shape_yx, side_yx, grid, job.resampling)

    def grid(self, job: Job, border: Border = "reflect") -> Grid:
        """How the network covers a field at its own resolution; raises as `Grid.of` does."""
        if border == "valid" and job.resampling is not None:
            raise ConfigError(
                f"{job.what}: --border valid keeps the pixels that the published program predicts, "
                "but the image has another voxel size than the model and is resampled; leave it "
                "out, or use --ignore-voxel-size (ignore_voxel_size=True)"
            )
        return Grid.of(self.network, (job.at_model.size_y, job.at_model.size_x), border)

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
