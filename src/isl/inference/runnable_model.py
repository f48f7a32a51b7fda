"""How the network of a model is run, and how it covers images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

from isl.core.axes import Box
from isl.core.config import Border, Stitching
from isl.core.digest import digest_of
from isl.core.errors import ConfigError
from isl.inference.backends.backend import Choice
from isl.inference.build import build_engine, choose
from isl.inference.engine import Engine
from isl.inference.folding import fold_batch_norm
from isl.inference.jobs import Job
from isl.inference.memory import Sides, sides_for
from isl.inference.model_card import ModelCard
from isl.inference.orientations import ALL
from isl.inference.pieces import Piece, plan_pieces
from isl.inference.statistics import Statistic
from isl.inference.tiles import Grid
from isl.models.density import DensityNetwork
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.labeling import LabelingNetwork

_MEMORY_BYTES = 2_000_000_000


@dataclass(frozen=True)
class RunnableModel:
    """A network, its card, and how it is run; `isl.inference.model.Model` predicts with it.

    Attributes
    ----------
    card, network, orientations, backend, threads
        As of a `Model`.
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

    def on(self, backend: str, threads: int | None = None) -> Self:
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

    def stitched(self, stitching: Stitching | None) -> Self:
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

    def oriented(self, orientations: int) -> Self:
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
