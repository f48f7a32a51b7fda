"""From fields of view to samples: what a run learns from, before any network is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.progress import ProgressCallback, silent
from isl.data.depths import deepest_um
from isl.data.leaks import check_leaks
from isl.data.normalization import TargetNormalizer
from isl.data.resampled_fields import at_voxel_size
from isl.data.samples import ArrayCache, OnBad, Sample, load_samples, normalize_targets
from isl.data.splits import Split, split_datasets
from isl.inference.model import Model
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.training.fields import check_weights, choose_fields, wanted_voxel_size
from isl.training.transfer.carry_over import kept_units, transfer_targets


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes
    ----------
    fovs
        The fields that are used, at the voxel size of the run.
    roles
        Source and targets.
    split
        What is held out.
    samples
        The fields and time points, read and normalised.
    normalizers
        For each target the unit of predictions.
    voxel_size
        Voxel size of the run; unknown axes are None.
    depth_um
        Depth of a stack that just fills the scale of depths, where known.
    """

    fovs: tuple[Fov, ...]
    roles: Roles
    split: Split
    samples: tuple[Sample, ...]
    normalizers: tuple[TargetNormalizer, ...]
    voxel_size: VoxelSize
    depth_um: float | None


def prepare(
    fovs: Sequence[Fov],
    config: TrainConfig,
    old: Model | None,
    cache: ArrayCache,
    *,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> TrainingData:
    """Choose, divide, resample, read and normalise the fields.

    Parameters
    ----------
    fovs
        Fields of view.
    config
        Settings.
    old
        The model that the run starts from, whose targets, units, voxel size and depth are kept;
        None for none.
    cache
        Where the images are kept.
    progress
        Called once a field.
    on_bad
        Called with name and error of a field that cannot be used; without it the error is raised.

    Raises
    ------
    ConfigError, ChannelError, DataError
        Where settings and images do not go together; `LeakError` where the same content is on both
        sides of the split.
    """
    usable, roles = choose_fields(fovs, config, on_bad, old)
    roles = transfer_targets(old, roles, config)
    check_weights(config, roles.targets)
    voxel_size = wanted_voxel_size(usable, config, old)
    depth_um = (old and old.card.source.depth_um) or deepest_um(usable, roles.source)
    split = split_datasets(usable, config.holdout, {}, config.holdout_margin_px)
    changed, scaled = at_voxel_size(usable, split, voxel_size)
    samples = load_samples(
        changed,
        roles,
        scaled,
        config.target_projection,
        cache,
        depth_um=depth_um,
        recipe=config.normalization,
        progress=progress,
        on_bad=on_bad if len(fovs) > 1 else None,
    )
    samples, split = _resplit(samples, usable, split, voxel_size, config)
    if config.check_leaks:
        check_leaks(samples)
    kept = kept_units(roles.targets, old, config)
    samples, normalizers = normalize_targets(samples, roles.targets, config.normalization, kept)
    return TrainingData(changed, roles, split, samples, normalizers, voxel_size, depth_um)


def _resplit(
    samples: tuple[Sample, ...],
    fovs: Sequence[Fov],
    split: Split,
    voxel_size: VoxelSize,
    config: TrainConfig,
) -> tuple[tuple[Sample, ...], Split]:
    """Where some fields turned out to be bad, a guessed split is that of the rest."""
    good = [fov for fov in fovs if fov.name in {sample.fov for sample in samples}]
    if config.holdout is not None or len(good) == len(fovs):
        return samples, split
    split = split_datasets(good, None, {}, config.holdout_margin_px)
    parts = at_voxel_size(good, split, voxel_size)[1].fields
    return tuple(
        replace(sample, train=parts[sample.fov].train, heldout=parts[sample.fov].heldout)
        for sample in samples
    ), split
