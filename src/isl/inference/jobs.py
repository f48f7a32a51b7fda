"""What is predicted from and what is written: the two ends of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

import isl
from isl.core.axes import VoxelSize
from isl.core.errors import ChannelError, VoxelSizeError
from isl.inference.arrays import ARRAY, VoxelSizeLike, as_stack, as_voxel_size, plane_order
from isl.inference.model_card import ModelCard, TargetCard
from isl.inference.source_stack import KEEP_BYTES, SourceStack, StackReader
from isl.inference.statistics import Statistic
from isl.io.arrays import fov_from_arrays
from isl.io.fov import Fov
from isl.io.output import OutputChannel, OutputField
from isl.io.resample import ResampledPixels, Resampling, resampled, same_voxel_size
from isl.io.roles import choose_roles

VOXEL_SIZE_TOLERANCE = 0.2
"""Largest relative difference in y or x between the voxel sizes of a model and of an image that is
not resampled."""


@dataclass(frozen=True)
class Job:
    """A field with the channel to predict from.

    Attributes
    ----------
    fov
        The field.
    source
        Name of the channel.
    note
        Why this channel, where it was guessed.
    label
        What messages call the source; file, field and channel by default.
    resampled
        The field at the voxel size of the model, where that is another one.
    step_um
        Step between planes, where it counts.
    """

    fov: Fov
    source: str
    note: str = ""
    label: str = ""
    resampled: Fov | None = None
    step_um: float | None = None

    def fitted(
        self, card: ModelCard, *, resample: bool = True, ignore_voxel_size: bool = False
    ) -> Job:
        """The same job at the voxel size of a model.

        Parameters
        ----------
        card
            Of the model.
        resample
            Whether images of another voxel size are resampled, or refused.
        ignore_voxel_size
            Take any voxel size for that of the model.

        Raises
        ------
        VoxelSizeError
            Where y or x differs by more than 20 % and is not resampled, or by a factor above 8.
        """
        if ignore_voxel_size:
            return self
        job = replace(self, step_um=self.fov.voxel_size.z)
        if same_voxel_size(card.voxel_size, self.fov.voxel_size):
            return job
        if resample:
            try:
                return replace(job, resampled=resampled(self.fov, card.voxel_size))
            except VoxelSizeError as error:
                raise self._voxel_size_error(card, "too far to resample; use") from error
        if card.voxel_size.relative_difference(self.fov.voxel_size) > VOXEL_SIZE_TOLERANCE:
            raise self._voxel_size_error(card, "leave out --no-resample (resample=False), or use")
        return job

    def _voxel_size_error(self, card: ModelCard, remedy: str) -> VoxelSizeError:
        what = self.label or f"{self.fov.path}: field {self.fov.name}"
        return VoxelSizeError(
            f"{what}: the model was trained at {card.voxel_size} but the voxel size here is "
            f"{self.fov.voxel_size}: {remedy} --ignore-voxel-size (ignore_voxel_size=True) if the "
            "file is wrong"
        )

    @property
    def at_model(self) -> Fov:
        """The field at the resolution of the model."""
        return self.fov if self.resampled is None else self.resampled

    @property
    def resampling(self) -> Resampling | None:
        """From the pixels of the field to those of the model; None where they are the same."""
        pixels = self.at_model.pixels
        return pixels.resampling if self.resampled and isinstance(pixels, ResampledPixels) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know, and may hold for many fields."""
        notes = [self.note] if self.note else []
        if self.resampled is not None:
            notes.append(_resampling_note(self.fov.voxel_size, self.resampled.voxel_size))
        return tuple(notes)

    @property
    def plane_notes(self) -> tuple[str, ...]:
        """Which planes there are, where some are missing."""
        positions = self.fov.channel(self.source).z_positions
        if positions is None:
            return ()
        listed = ", ".join(f"{z:g}" for z in positions)
        return (f"{self.what} has planes {listed}; those between are missing",)

    @property
    def what(self) -> str:
        """The source in words, for messages."""
        return self.label or f"{self.fov.path}: field {self.fov.name}, channel '{self.source}'"

    def stack(self, card: ModelCard, t: int = 0, keep_bytes: int | None = None) -> SourceStack:
        """The z-stack of one time point; raises as `StackReader.stack` does."""
        reader = StackReader(
            self.at_model,
            self.source,
            card.source.normalization,
            self.fov.channel(self.source).dtype,
            self.step_um,
            card.source.depth_um,
            **({} if keep_bytes is None else {"keep_bytes": min(keep_bytes, KEEP_BYTES)}),
        )
        return reader.stack(t, self.what if self.label else f"{self.what}, time point {t}")


def array_job(
    zyx: ArrayLike, voxel_size: VoxelSizeLike | None = None, z_um: Sequence[float] | None = None
) -> Job:
    """Make a job of an array.

    Parameters
    ----------
    zyx
        (Z, Y, X), or (Y, X) for one plane.
    voxel_size
        z, y, x (or y, x) in micrometres, as far as known.
    z_um
        Heights of the planes in micrometres, in any order; they win over the z of the voxel size.

    Raises
    ------
    DataError
        Where the array is no stack, or the sizes or heights make no sense.
    """
    size = VoxelSize() if voxel_size is None else as_voxel_size(voxel_size)
    stack = as_stack(zyx)
    positions = None
    if z_um is not None:
        order = plane_order(z_um, len(stack))
        stack = stack[order]
        positions = tuple(float(z_um[index]) for index in order)
        size = replace(size, z=1.0)  # so that positions in steps are micrometres
    fov = fov_from_arrays({ARRAY: stack}, voxel_size=size)
    channel = replace(fov.channels[0], z_positions=positions)
    return Job(replace(fov, channels=(channel,)), ARRAY, label=ARRAY)


def find_source(card: ModelCard, fov: Fov, source: str | None) -> Job:
    """Choose the channel asked for, else the one named as in training, else the plausible one.

    Raises
    ------
    ChannelError
        Where that channel is absent or double, or none is plausible.
    """
    name = card.source.name if source is None else source
    if source is not None or name in fov.channel_names:
        fov.channel_index(name)
        return Job(fov, name)
    try:
        roles = choose_roles([fov], targets=())
    except ChannelError as error:
        raise ChannelError(
            f"{fov.path}: field {fov.name} has no channel '{name}', which the model was trained "
            f"on, and no other is clearly the source; it has: {', '.join(fov.channel_names)}; "
            "name the source with --source"
        ) from error
    guessed = f"predicted from '{roles.source}', as there is no '{name}'"
    return Job(fov, roles.source, f"{guessed}: {roles.reason.partition(';')[0]}")


def output_field(
    fov: Fov, targets: Sequence[TargetCard], statistics: Sequence[Statistic]
) -> OutputField:
    """Layout of the prediction of one field."""
    channels = tuple(
        OutputChannel(statistic.channel(target.name), target.color, statistic.window(target))
        for statistic in statistics
        for target in targets
    )
    return OutputField(
        name=fov.name,
        channels=channels,
        size_t=fov.size_t,
        size_y=fov.size_y,
        size_x=fov.size_x,
        voxel_size=fov.voxel_size,
        well=fov.well,
        plate=fov.plate,
    )


def provenance(card: ModelCard, statistics: Sequence[Statistic]) -> dict[str, Any]:
    """What an output says about where it comes from."""
    return {
        "program": f"isl {isl.__version__}",
        "statistics": [statistic.name for statistic in statistics],
        "model": card.model_dump(mode="json", exclude={"training"}),
    }


def _resampling_note(found: VoxelSize, wanted: VoxelSize) -> str:
    """Say from which voxel size to which the source was brought."""
    if found.y == found.x and wanted.y == wanted.x:
        sizes = f"from {found.x:.4g} to {wanted.x:.4g} um a pixel"
    else:
        sizes = f"from {replace(found, z=None)} to {replace(wanted, z=None)} a pixel"
    return f"resampled {sizes}, and the predictions back"


def left_out_note(job: Job, stack: SourceStack) -> str:
    """Say which planes of a stack hold no image."""
    planes = job.fov.channel(job.source).planes
    listed = ", ".join(str(z) for z in stack.left_out)
    return (
        f"{job.what}: left out plane {listed} of 0 to {planes - 1}, which are NaN or one value "
        "throughout"
    )
