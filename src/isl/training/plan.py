"""What a run is going to do, worked out before its first step."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from isl.core.axes import VoxelSize
from isl.data.checkerboard import Checkerboard, make_checkerboard
from isl.data.patches import Batch
from isl.data.published_augmentation import build_augmentation
from isl.data.splits import Split
from isl.io.resample import ResampledPixels
from isl.io.roles import Roles
from isl.training.budget import Budget
from isl.training.loss import batch_loss
from isl.training.module import LabelingModule
from isl.training.prepare import TrainingData


@dataclass(frozen=True)
class TrainingPlan:
    """A run before its first step.

    Attributes
    ----------
    roles, split
        Channels, and what is held out.
    fields
        Fields that are used.
    planes
        Numbers of source planes that occur.
    fields_with_target
        For each target the number of fields in which it was acquired.
    train_pixels, heldout_pixels
        Pixels of all fields and time points to train on, and kept back.
    parameters
        Trainable parameters of the network.
    budget
        When training ends.
    seconds_per_step
        Measured on this machine.
    run_folder
        Where checkpoints, logs and previews go.
    checkerboard
        Data sets by targets.
    voxel_size, resampled
        What images are brought to, and the number of fields that had another one.
    start
        Which weights are taken over from another model; empty for random ones.
    """

    roles: Roles
    split: Split
    fields: int
    planes: tuple[int, ...]
    fields_with_target: tuple[int, ...]
    train_pixels: int
    heldout_pixels: int
    parameters: int
    budget: Budget
    seconds_per_step: float
    run_folder: Path
    checkerboard: Checkerboard
    start: str = ""
    voxel_size: VoxelSize = VoxelSize()  # noqa: RUF009
    resampled: int = 0

    @property
    def minutes(self) -> float:
        """Expected duration."""
        if self.budget.steps is None:
            return self.budget.minutes or 0.0
        return self.budget.steps * self.seconds_per_step / 60.0

    @property
    def steps(self) -> int:
        """Expected number of steps."""
        return self.budget.steps or int(60.0 * self.minutes / self.seconds_per_step)

    def lines(self) -> tuple[str, ...]:
        """The plan in words, one fact a line."""
        targets = ", ".join(
            f"{name} ({count} of {self.fields} fields)" if count < self.fields else name
            for name, count in zip(self.roles.targets, self.fields_with_target, strict=True)
        )
        planes = " or ".join(str(n) for n in self.planes)
        start = (f"start     {self.start}",) if self.start else ()
        what = "fields are resampled" if self.resampled > 1 else "field is resampled"
        voxels = (f"voxels    {self.resampled} {what} to {self.voxel_size}",)
        table = self.checkerboard
        uneven = len(table.rows) > 1 or len(set(table.weights)) > 1
        return (
            *((*table.lines(), "") if uneven else ()),
            f"source    {self.roles.source}, {planes} {'plane' if planes == '1' else 'planes'}",
            f"targets   {targets}",
            f"because   {self.roles.reason}",
            f"fields    {self.fields}, {self.train_pixels / 1e6:.3g} megapixels to train on",
            *(voxels if self.resampled else ()),
            f"held out  {self.split.holdout} ({self.split.reason}), {self._heldout_text()}",
            f"network   {self.parameters / 1e6:.2f} million parameters",
            *start,
            f"budget    {self.budget}: about {self.minutes:.1f} minutes, {self.steps} steps of "
            f"{self.seconds_per_step:.2f} s",
            f"run       {self.run_folder} (checkpoints, logs, previews)",
        )

    def _heldout_text(self) -> str:
        if self.heldout_pixels:
            return f"{self.heldout_pixels / 1e6:.3g} megapixels"
        return "no pixels: there will be no scores and no previews"


def make_plan(
    module: LabelingModule, data: TrainingData, run_folder: Path, start: str = ""
) -> TrainingPlan:
    """Work out the plan of a run; measures the time of a step on a copy of the network."""
    samples, roles = data.samples, data.roles
    counts = [
        len({s.fov for s in samples if s.targets[i] is not None}) for i in range(len(roles.targets))
    ]
    return TrainingPlan(
        roles=roles,
        split=data.split,
        fields=len({s.fov for s in samples}),
        planes=tuple(sorted({s.planes for s in samples})),
        fields_with_target=tuple(counts),
        train_pixels=sum(box.size for s in samples for box in s.train),
        heldout_pixels=sum(box.size for s in samples for box in s.heldout),
        parameters=sum(p.numel() for p in module.network.parameters()),
        budget=module.budget,
        seconds_per_step=_seconds_per_step(module),
        run_folder=run_folder,
        checkerboard=make_checkerboard(samples, roles.targets, module.sampler, module.weights),
        start=start,
        voxel_size=data.voxel_size,
        resampled=sum(isinstance(fov.pixels, ResampledPixels) for fov in data.fovs),
    )


def _seconds_per_step(module: LabelingModule) -> float:
    """Time of a step but for the optimiser, the second of two, on a copy of the network."""
    config = module.config
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    network = copy.deepcopy(module.network).to(device)
    augmentation = build_augmentation(config)
    seconds = 0.0
    for step in range(2):
        start = time.perf_counter()
        batch = Batch(*(part.to(device) for part in module.sampler.batch(step)))
        batch = augmentation(batch, step)
        loss = batch_loss(network, batch, config, memory=module.memory)
        loss.backward()  # type: ignore[no-untyped-call]
        float(loss.detach())
        seconds = time.perf_counter() - start
    return seconds
