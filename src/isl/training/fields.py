"""Which fields a run can use, and what they are used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.errors import ChannelError, ConfigError, DataError, IslError
from isl.data.datasets import COMMON_SOURCE
from isl.data.samples import OnBad
from isl.inference.model import Model
from isl.io.derived import with_mean_channel, with_one_name
from isl.io.fov import Fov
from isl.io.resample import resampled
from isl.io.roles import Roles, check_fov, find_roles


def choose_fields(
    fovs: Sequence[Fov],
    config: TrainConfig,
    on_bad: OnBad | None = None,
    old: Model | None = None,
) -> tuple[tuple[Fov, ...], Roles]:
    """Choose source and targets, and the fields that have them.

    Parameters
    ----------
    fovs
        Fields of view; a field may lack some of the targets, but not all.
    config
        Settings, with the names of source and targets where they are not guessed.
    on_bad
        Called with each field that is left out, and why; without it, or where there is only one
        field, the error is raised.
    old
        The model that the run starts from; None for none.

    Raises
    ------
    ChannelError
        Where source and targets are not clear, or there is no target.
    DataError
        Where no field is left; `VoxelSizeError` for a field that would have to be resampled by a
        factor of more than 8.
    """
    fovs = _prepared(fovs, config, on_bad)
    source = COMMON_SOURCE if isinstance(config.source, tuple) else config.source
    roles = find_roles(fovs, source, config.targets)
    if not roles.targets:
        raise ChannelError("there is no target to learn; name fluorescence channels with --targets")
    common = wanted_voxel_size(fovs, config, old)
    usable = []
    for fov in fovs:
        try:
            check_fov(fov, roles)
            _check_targets(fov, roles)
            resampled(fov, common)
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


def wanted_voxel_size(
    fovs: Sequence[Fov], config: TrainConfig, old: Model | None = None
) -> VoxelSize:
    """Voxel size that a run works at: as asked, else that of the model it starts from, else usual.

    Parameters
    ----------
    fovs
        Fields of view; the voxel size of most of them is the usual one.
    config
        Settings.
    old
        The model that the run starts from; None for none.
    """
    common = common_voxel_size(fovs)
    if old is not None and old.card.voxel_size.y:
        common = old.card.voxel_size
    if config.voxel_size is None:
        return common
    pairs = zip(config.voxel_size, common, strict=True)
    return VoxelSize(*(asked or found for asked, found in pairs))


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
