"""Which channel is the source and which are the targets, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.errors import ChannelError
from isl.io.fov import Fov, Modality
from isl.io.modality import TRANSMITTED, guess_modality

REMEDY = "name them with --source NAME and --targets NAME,NAME"
"""What to do where channels are not clear, on the command line."""


@dataclass(frozen=True)
class Roles:
    """Source and targets of a set of fields.

    Attributes
    ----------
    source
        Channel that every field has.
    targets
        Channels that at least one field has; empty where there is nothing but the source.
    reason
        Why, in one sentence.
    """

    source: str
    targets: tuple[str, ...]
    reason: str


def choose_roles(
    fovs: Sequence[Fov], source: str | None = None, targets: Sequence[str] | None = None
) -> Roles:
    """Choose source and targets: as named, else by a guess that says its reason.

    Parameters
    ----------
    fovs
        Fields; the targets are the union over them, and a field may lack some.
    source
        Name of the source; guessed by default.
    targets
        Names of the targets; guessed by default. An empty sequence asks for none.

    Returns
    -------
    Roles
        Targets in the order asked for, else in that of the files.

    Raises
    ------
    ChannelError
        Where a name is unknown or double, a field lacks the source, or the guess is not clear;
        the message lists the channels.

    Examples
    --------
    >>> choose_roles(isl.open_fovs("wells"), source="PHASE_CONTRAST").targets   # doctest: +SKIP
    ('DAPI_CONFOCAL', 'MAP2_CONFOCAL')
    """
    roles = find_roles(fovs, source, targets)
    for fov in fovs:
        check_fov(fov, roles)
    return roles


def find_roles(
    fovs: Sequence[Fov], source: str | None = None, targets: Sequence[str] | None = None
) -> Roles:
    """Choose as `choose_roles` does, where single fields may be bad: see `check_fov`.

    Raises
    ------
    ChannelError
        Where a name is unknown in all fields, or the guess is not clear.
    """
    if not fovs:
        raise ChannelError("there are no fields of view to choose channels from")
    modalities = _modalities(fovs)
    _check_names(fovs, source, tuple(targets or ()), modalities)
    chosen, why_source = _choose_source(fovs, source, targets, modalities)
    if targets is None:
        found, why_targets = _choose_targets(chosen, modalities)
    else:
        found, why_targets = tuple(targets), "the targets are those asked for"
    if chosen in found:
        raise ChannelError(
            f"channel '{chosen}' is asked for as source and as target; "
            f"the channels are: {_listing(modalities)}"
        )
    return Roles(chosen, found, f"{why_source}; {why_targets}")


def check_fov(fov: Fov, roles: Roles) -> None:
    """Refuse a field that lacks the source, or has one of the channels twice.

    Raises
    ------
    ChannelError
        The message lists the channels of the field.
    """
    for name in (roles.source, *roles.targets):
        if fov.channel_names.count(name) > 1:
            fov.channel_index(name)
    if roles.source not in fov.channel_names:
        raise ChannelError(
            f"{fov.path}: field {fov.name} lacks the source '{roles.source}'; it has: "
            f"{', '.join(fov.channel_names)}; {REMEDY}"
        )


def _modalities(fovs: Sequence[Fov]) -> dict[str, Modality | None]:
    """Modality by channel name, in the order met; the first field that knows it wins."""
    modalities: dict[str, Modality | None] = {}
    for fov in fovs:
        for channel in fov.channels:
            known = modalities.get(channel.name)
            modalities[channel.name] = known or guess_modality(channel.name, channel.modality)
    return modalities


def _listing(modalities: dict[str, Modality | None]) -> str:
    return ", ".join(f"{name} ({modality or 'unknown'})" for name, modality in modalities.items())


def _choose_source(
    fovs: Sequence[Fov],
    source: str | None,
    targets: Sequence[str] | None,
    modalities: dict[str, Modality | None],
) -> tuple[str, str]:
    if source is not None:
        return source, f"{source} is the source asked for"
    open_names = [n for n in modalities if n not in (targets or ()) and modalities[n] != "labels"]
    transmitted = [n for n in open_names if modalities[n] in TRANSMITTED]
    if len(transmitted) == 1:
        return transmitted[0], f"{transmitted[0]} is the only transmitted-light channel"
    if len(open_names) == 1 and modalities[open_names[0]] is None:
        return open_names[0], f"{open_names[0]} is the only channel left for the source"
    what = "more than one channel looks" if transmitted else "no channel looks"
    raise ChannelError(
        f"{fovs[0].path}: the source is not clear, because {what} like transmitted light; "
        f"{REMEDY}; the channels are: {_listing(modalities)}"
    )


def _choose_targets(
    source: str, modalities: dict[str, Modality | None]
) -> tuple[tuple[str, ...], str]:
    usable = [n for n, m in modalities.items() if n != source and m in (None, "fluorescence")]
    sure = [n for n in usable if modalities[n] == "fluorescence"]
    unsure = [n for n in usable if modalities[n] is None]
    parts = []
    if sure:
        parts.append(f"{_and(sure)} {_is(sure)} fluorescence by name or metadata")
    if unsure:
        parts.append(
            f"{_and(unsure)} {_is(unsure)} taken as fluorescence, as nothing says otherwise"
        )
    return tuple(usable), "; ".join(parts) or "there is no channel left for a target"


def _check_names(
    fovs: Sequence[Fov],
    source: str | None,
    targets: tuple[str, ...],
    modalities: dict[str, Modality | None],
) -> None:
    """Refuse names that no field has, and targets that are named twice."""
    asked = [(source, "source"), *((target, "target") for target in targets)]
    for name, role in asked:
        if name is not None and name not in modalities:
            raise ChannelError(
                f"{fovs[0].path}: no field has the {role} '{name}'; "
                f"the channels are: {_listing(modalities)}; {REMEDY}"
            )
    for name in targets:
        if targets.count(name) > 1:
            raise ChannelError(f"target '{name}' is asked for more than once; name it once")


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
