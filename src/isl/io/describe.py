"""What a set of fields holds, as values that the command line lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.axes import VoxelSize
from isl.core.errors import ChannelError
from isl.io.fov import Fov, Modality
from isl.io.modality import guess_modality
from isl.io.roles import choose_roles


@dataclass(frozen=True)
class ChannelRow:
    """One channel of a field: name, planes, name of the dtype, modality as far as known."""

    name: str
    planes: int
    dtype: str
    modality: Modality | None


@dataclass(frozen=True)
class FovRow:
    """One field of view, as ``isl info`` shows it.

    Attributes
    ----------
    name, path
        Of the field.
    axes
        Length of each axis, in the order T, C, Z, Y, X.
    channels
        In the order of the file.
    voxel_size
        In micrometres.
    well, plate, condition
        As far as known.
    """

    name: str
    path: str
    axes: tuple[tuple[str, int], ...]
    channels: tuple[ChannelRow, ...]
    voxel_size: VoxelSize
    well: str | None
    plate: str | None
    condition: str | None


@dataclass(frozen=True)
class RolesRow:
    """What would be source and targets, with the reason; or why that is not clear.

    Attributes
    ----------
    source, targets, reason
        As `isl.io.roles.Roles`; None, empty and "" where the choice is not clear.
    problem
        Text of the error, or None.
    """

    source: str | None
    targets: tuple[str, ...]
    reason: str
    problem: str | None = None


def describe_fovs(fovs: Sequence[Fov]) -> list[FovRow]:
    """Describe fields, without reading pixels.

    Parameters
    ----------
    fovs
        From `isl.open_fovs`.

    Returns
    -------
    list of FovRow
        One for each field.
    """
    return [
        FovRow(
            name=fov.name,
            path=str(fov.path),
            axes=tuple(zip("TCZYX", fov.shape, strict=True)),
            channels=tuple(
                ChannelRow(c.name, c.planes, str(c.dtype), guess_modality(c.name, c.modality))
                for c in fov.channels
            ),
            voxel_size=fov.voxel_size,
            well=fov.well,
            plate=fov.plate,
            condition=fov.condition,
        )
        for fov in fovs
    ]


def describe_roles(
    fovs: Sequence[Fov], source: str | None = None, targets: Sequence[str] | None = None
) -> RolesRow:
    """Say what would be source and targets, or why that is not clear.

    Parameters
    ----------
    fovs, source, targets
        As for `isl.io.roles.choose_roles`.

    Returns
    -------
    RolesRow
        Never raises for channels that cannot be chosen: ``problem`` has the text.
    """
    try:
        roles = choose_roles(fovs, source, targets)
    except ChannelError as error:
        return RolesRow(None, (), "", str(error))
    return RolesRow(roles.source, roles.targets, roles.reason)
