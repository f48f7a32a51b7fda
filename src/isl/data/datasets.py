"""Fields of several data sets, made alike: one name for the source, one for each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from isl.core.axes import VoxelSize
from isl.core.errors import ChannelError, ConfigError, DataError, IslError
from isl.data.dataset_config import DatasetConfig, DatasetsConfig, MaskConfig, read_datasets
from isl.io.derived import with_channels
from isl.io.fov import Fov
from isl.io.masks import shifted, without_saturated, without_unmasked, without_zeros
from isl.io.modality import guess_modality
from isl.io.open import open_fovs
from isl.io.roles import REMEDY, Roles, choose_roles

COMMON_SOURCE = "TRANSMISSION"
"""Name of the source where fields call it differently."""

OnBad = Callable[[str, IslError], None]


def open_datasets(path: Path, on_bad: OnBad | None = None) -> list[Fov]:
    """Open the data sets that a file lists.

    Parameters
    ----------
    path
        The file; see `isl.data.dataset_config`.
    on_bad
        Called with the name and the error of each field that cannot be used; it is skipped. By
        default the first one raises.

    Returns
    -------
    list of Fov
        Named ``DATASET:FIELD``, with the source and the targets alone, under their common names;
        pixels that do not count as acquired are NaN.

    Raises
    ------
    ConfigError
        Where the file cannot be read or an entry makes no sense.
    DataError, ChannelError
        Where a data set cannot be opened, or lacks a channel that is named.
    """
    config = read_datasets(path)
    found: list[tuple[Fov, str]] = []
    for name, dataset in config.datasets.items():
        found += _open_dataset(path, name, dataset, config, on_bad)
    sources = dict.fromkeys(source for _, source in found)
    if len(sources) == 1:
        return [fov for fov, _ in found]
    return [_renamed(fov, source) for fov, source in found]


def _open_dataset(
    path: Path, name: str, dataset: DatasetConfig, config: DatasetsConfig, on_bad: OnBad | None
) -> list[tuple[Fov, str]]:
    """Fields of one data set with the names of their sources."""
    fovs: list[Fov] = []
    for item in dataset.data:
        fovs += open_fovs(path.parent / item, pattern=dataset.pattern, on_bad=on_bad)
    good = []
    for fov in fovs:
        try:
            roles = choose_roles([fov], dataset.source, tuple(dataset.names) or None)
        except ChannelError as found:
            there = f"name them under 'source' and 'targets' of data set {name} in {path}"
            error = ChannelError(str(found).replace(REMEDY, there))
            missing = _only_some_targets(fov, dataset)
            if missing is None:
                if on_bad is None or len(fovs) == 1:
                    raise ChannelError(f"data set {name}: {error}") from found
                on_bad(f"{name}:{fov.name}", error)
                continue
            roles = missing
        good.append((_prepared(fov, name, dataset, config, roles), roles.source))
    if not good:
        raise DataError(f"data set {name}: none of its {len(fovs)} fields can be used, see above")
    _check_targets(name, dataset, config, [fov for fov, _ in good])
    return good


def _only_some_targets(fov: Fov, dataset: DatasetConfig) -> Roles | None:
    """Roles of a field that lacks some of the targets, but not all; None where that is not why."""
    there = tuple(channel for channel in dataset.names if channel in fov.channel_names)
    if not there or len(there) == len(dataset.names):
        return None
    return choose_roles([fov], dataset.source, there)


def _prepared(
    fov: Fov, name: str, dataset: DatasetConfig, config: DatasetsConfig, roles: Roles
) -> Fov:
    named = {
        channel: config.target_of(dataset.names.get(channel, channel)) for channel in roles.targets
    }
    twice = [target for target in named.values() if list(named.values()).count(target) > 1]
    if twice:
        raise ConfigError(
            f"data set {name}: channels {', '.join(c for c in named if named[c] == twice[0])} of "
            f"field {fov.name} are all called {twice[0]}; name the one to learn under 'targets'"
        )
    if dataset.voxel_size is not None:
        fov = replace(fov, voxel_size=VoxelSize(*dataset.voxel_size))
    fov = replace(
        fov,
        name=f"{name}:{fov.name}",
        dataset=name,
        condition=fov.condition or dataset.condition,
        donor=fov.donor or dataset.donor,
    )
    fov = _with_modality(fov, roles.source, dataset)
    channels = {target: channel for channel, target in named.items()}
    fov = _without_values(fov, channels, dataset, config)
    for target, shift_yx in dataset.shift_px.items():
        if config.target_of(target) in channels:
            fov = shifted(fov, channels[config.target_of(target)], shift_yx)
    for mask in dataset.masks:
        fov = _masked(fov, channels, mask, config, name)
    return with_channels(fov, {roles.source: roles.source} | named)


def _check_targets(
    name: str, dataset: DatasetConfig, config: DatasetsConfig, fovs: list[Fov]
) -> None:
    """Refuse shifts and masks of targets that no field of the data set has."""
    known = dict.fromkeys(config.target_of(target) for target in dataset.names.values())
    known |= dict.fromkeys(channel for fov in fovs for channel in fov.channel_names[1:])
    asked = {"shift_px": tuple(dataset.shift_px)}
    asked["masks"] = tuple(target for mask in dataset.masks for target in mask.targets)
    for key, targets in asked.items():
        unknown = [target for target in targets if config.target_of(target) not in known]
        if unknown:
            raise ConfigError(
                f"data set {name}: '{key}' speaks of {', '.join(unknown)}, but the targets are "
                f"{', '.join(known)}; write the name that a target is learned under"
            )


def _with_modality(fov: Fov, source: str, dataset: DatasetConfig) -> Fov:
    """The field, with the source marked as what it is, so that nobody has to guess again."""
    channel = fov.channel(source)
    guessed = guess_modality(channel.name, channel.modality) or "brightfield"
    marked = replace(channel, modality=dataset.modality or guessed)
    return replace(fov, channels=tuple(marked if c is channel else c for c in fov.channels))


def _without_values(
    fov: Fov, channels: dict[str, str], dataset: DatasetConfig, config: DatasetsConfig
) -> Fov:
    """Leave out pixels by their values: saturation first, as long as the images have their type."""
    for mask in dataset.masks:
        if mask.saturated is not False:
            level = None if mask.saturated is True else mask.saturated
            fov = without_saturated(fov, _channels_of(mask, channels, config), level)
    for mask in dataset.masks:
        if mask.zeros != "none":
            names = _channels_of(mask, channels, config)
            fov = without_zeros(fov, names, rectangles=mask.zeros == "rectangles")
    return fov


def _channels_of(
    mask: MaskConfig, channels: dict[str, str], config: DatasetsConfig
) -> Sequence[str]:
    """Channels of a field that a mask is about."""
    asked = [config.target_of(target) for target in mask.targets] or list(channels)
    return [channels[target] for target in asked if target in channels]


def _masked(
    fov: Fov, channels: dict[str, str], mask: MaskConfig, config: DatasetsConfig, name: str
) -> Fov:
    """Leave out pixels where a mask, which lies on the source, is 0."""
    if mask.channel is not None:
        if mask.channel not in fov.channel_names:
            raise ChannelError(
                f"data set {name}: field {fov.name} has no channel '{mask.channel}' for a mask; it "
                f"has: {', '.join(fov.channel_names)}"
            )
        fov = without_unmasked(fov, _channels_of(mask, channels, config), mask.channel)
    return fov


def _renamed(fov: Fov, source: str) -> Fov:
    names = {n: COMMON_SOURCE if n == source else n for n in fov.channel_names}
    return with_channels(fov, names)
