"""Which fields a run can use, and what they are used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.errors import ChannelError, ConfigError, DataError, IslError, VoxelSizeError
from isl.data.datasets import COMMON_SOURCE
from isl.data.samples import OnBad
from isl.io.derived import with_mean_channel, with_one_name
from isl.io.fov import Fov
from isl.io.roles import Roles, check_fov, find_roles

MOST_VOXEL_SIZE_DIFFERENCE = 0.2
"""Largest relative difference in y or x between the voxel sizes of fields trained on together."""


def choose_fields(
    fovs: Sequence[Fov], config: TrainConfig, on_bad: OnBad | None = None
) -> tuple[tuple[Fov, ...], Roles]:
    """Choose source and targets, and the fields that have them at the common voxel size.

    Parameters
    ----------
    fovs
        Fields of view; a field may lack some of the targets, but not all.
    config
        Settings, with the names of source and targets where they are not guessed.
    on_bad
        Called with each field that is left out, and why; without it, or where there is only one
        field, the error is raised.

    Raises
    ------
    ChannelError
        Where source and targets are not clear, or there is no target.
    DataError
        Where no field is left; `VoxelSizeError` for a field of another magnification.
    """
    fovs = _prepared(fovs, config, on_bad)
    source = COMMON_SOURCE if isinstance(config.source, tuple) else config.source
    roles = find_roles(fovs, source, config.targets)
    if not roles.targets:
        raise ChannelError("there is no target to learn; name fluorescence channels with --targets")
    common = common_voxel_size(fovs)
    usable = []
    for fov in fovs:
        try:
            check_fov(fov, roles)
            _check_targets(fov, roles)
            _check_voxel_size(fov, common)
        except IslError as error:
            if on_bad is None or len(fovs) == 1:
                raise
            on_bad(fov.name, error)
        else:
            usable.append(fov)
    if not usable:
        raise DataError(f"none of {len(fovs)} fields can be trained on, see above")
    return tuple(usable), roles


def check_weights(config: TrainConfig, targets: Sequence[str]) -> None:
    """Refuse weights of targets that are not learned; raises ConfigError."""
    unknown = [t for t in config.target_weights if t.rpartition("=")[0] not in targets]
    if unknown:
        raise ConfigError(
            f"target_weights {', '.join(unknown)}: no such target; the targets are: "
            f"{', '.join(targets)}"
        )


def _prepared(fovs: Sequence[Fov], config: TrainConfig, on_bad: OnBad | None) -> tuple[Fov, ...]:
    """Fields with the channels that the settings speak of."""
    prepared = []
    for fov in fovs:
        try:
            for name, parts in config.means.items():
                fov = with_mean_channel(fov, name, parts)
            if isinstance(config.source, tuple):
                fov = with_one_name(fov, config.source, COMMON_SOURCE)
        except IslError as error:
            if on_bad is None or len(fovs) == 1:
                raise
            on_bad(fov.name, error)
        else:
            prepared.append(fov)
    if not prepared:
        raise DataError(f"none of {len(fovs)} fields can be trained on, see above")
    return tuple(prepared)


def common_voxel_size(fovs: Sequence[Fov]) -> VoxelSize:
    """Voxel size of most fields, as far as known; that of the first of them where it is a draw."""
    known = Counter(f.voxel_size for f in fovs if f.voxel_size.y)
    return known.most_common(1)[0][0] if known else VoxelSize()


def _check_targets(fov: Fov, roles: Roles) -> None:
    if not set(roles.targets) & set(fov.channel_names):
        raise ChannelError(
            f"{fov.path}: field {fov.name} has none of the targets {', '.join(roles.targets)}; "
            f"it has: {', '.join(fov.channel_names)}; add their images or leave the field out"
        )


def _check_voxel_size(fov: Fov, common: VoxelSize) -> None:
    if common.relative_difference(fov.voxel_size) > MOST_VOXEL_SIZE_DIFFERENCE:
        raise VoxelSizeError(
            f"{fov.path}: field {fov.name} has voxels of {fov.voxel_size}, too far from the "
            f"{common} of the other fields; resample it, leave it out, or train two models"
        )
