"""``isl info``: what images, or a model file, hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isl.cli.console import BadFields, plain, print_table, say, table
from isl.cli.flags import Pattern, Source, Targets, split_names
from isl.core.errors import ChannelError

if TYPE_CHECKING:
    from isl.inference.model_card import ModelCard
    from isl.io.fov import Channel, Fov
    from isl.io.roles import Roles

_BELONGING = ("dataset", "plate", "well", "condition", "donor")
ROWS = 20
"""Fields, and fields a model was trained on, that are listed before the rest is only counted."""


def info(
    path: Path, /, *, source: Source = None, targets: Targets = None, pattern: Pattern = None
) -> int:
    """Show what images, or a model file, hold.

    Parameters
    ----------
    path
        Image file, folder, plate, table of files, the address of one of these (http, s3, gs),
        model file (.isl), or name of a model.
    """
    from isl.api import is_model_file

    if is_model_file(path):
        from isl.inference.model_file import load_model
        from isl.inference.registry import find_model

        path = find_model(path)
        show_card(load_model(path).card, path)
        return 0
    from isl.api import open_data
    from isl.io.remote_path import as_path

    bad = BadFields()
    fovs = open_data(path, pattern=pattern, on_bad=bad)
    show_fields(fovs, as_path(path))
    show_channels(fovs)
    show_roles(fovs, source, split_names(targets))
    return bad.report()


def show_fields(fovs: Sequence[Fov], path: Path) -> None:
    """Print a table of the fields, the first of them where there are many."""
    count = len(fovs)
    say(f"{path}: {count} field{'s' * (count > 1)} of view")
    listed = fovs[:ROWS]
    known = [n for n in _BELONGING if any(getattr(f, n) is not None for f in listed)]
    shown = table("field", "T", "C", "Z", "Y", "X", "voxel size", *known)
    for fov in listed:
        labels = [plain(getattr(fov, name)) for name in known]
        shown.add_row(fov.name, *map(str, fov.shape), str(fov.voxel_size), *labels)
    print_table(shown)
    _say_more(count)


def show_channels(fovs: Sequence[Fov]) -> None:
    """Print a table of the channels and of how many fields have each."""
    kinds: dict[str, list[Channel]] = {}
    for fov in fovs:
        for channel in fov.channels:
            kinds.setdefault(channel.name, []).append(channel)
    fields = Counter(name for fov in fovs for name in set(fov.channel_names))
    shown = table("channel", "imaged as", "planes", "type", "colour", "fields")
    for name, channels in kinds.items():
        shown.add_row(
            name,
            _distinct(c.modality for c in channels),
            _distinct(c.planes for c in channels),
            _distinct(c.dtype for c in channels),
            _distinct(c.color for c in channels),
            f"{fields[name]} of {len(fovs)}",
        )
    print_table(shown)


def show_roles(fovs: Sequence[Fov], source: str | None, targets: tuple[str, ...] | None) -> None:
    """Print what training would take as source and targets, or why that is not clear."""
    from isl.io.roles import find_roles

    try:
        roles = find_roles(fovs, source, targets)
        unusable = _unusable(fovs, roles)
        if len(unusable) == len(fovs):
            raise unusable[0]
    except ChannelError as error:
        if source is not None or targets is not None:
            raise
        say(f"source and targets: not clear. {error}")
        return
    say(f"source: {roles.source}")
    say(f"targets: {', '.join(roles.targets) or 'none'}")
    say(f"why: {roles.reason}")
    for problem in unusable[:ROWS]:
        say(f"not usable: {problem}")
    _say_more(len(unusable))


def _unusable(fovs: Sequence[Fov], roles: Roles) -> list[ChannelError]:
    """Why single fields cannot be trained on, where they cannot."""
    from isl.io.roles import check_fov

    problems = []
    for fov in fovs:
        try:
            check_fov(fov, roles)
        except ChannelError as error:
            problems.append(error)
    return problems


def show_card(card: ModelCard, path: Path) -> None:
    """Print everything a model file says about itself."""
    from isl.data.normalization import RECIPES

    size = path.stat().st_size / 1e6
    say(f"{path}: model of {len(card.targets)} targets, {size:.1f} MB")
    _show_targets(card)
    source = card.source
    nothing = "not known" if card.provenance.imported_from else "nothing"
    facts = {
        "source": f"{source.name} ({source.modality or 'kind unknown'}), {source.planes} planes",
        "voxel size": card.voxel_size,
        "normalisation": RECIPES[source.normalization],
        "held out": card.holdout or nothing,
    }
    _show_section("", facts)
    _show_section("network", card.network.model_dump())
    settings = {name: value for name, value in card.training.items() if name != "network"}
    _show_section("training", settings)
    _show_section("provenance", card.provenance.model_dump())
    if card.trained_on:
        say("trained on")
    for field in card.trained_on[:ROWS]:
        say(f"  {field.name}  {field.path}")
    _say_more(len(card.trained_on))


def _show_targets(card: ModelCard) -> None:
    shown = table("target", "r held out", "offset", "scale", "projection", "display", "colour")
    scores = card.scores or {}
    for target in card.targets:
        shown.add_row(
            target.name,
            *map(plain, (scores.get(target.name), target.offset, target.scale)),
            target.projection,
            *map(plain, (target.window, target.color)),
        )
    print_table(shown)


def _show_section(title: str, facts: Mapping[str, Any]) -> None:
    if title and facts:
        say(title)
    nested = {name: value for name, value in facts.items() if isinstance(value, Mapping)}
    for name, value in facts.items():
        if name not in nested:
            say(f"  {name}: {plain(value)}")
    for name, value in nested.items():
        _show_section(f"{title} {name}".strip(), value)


def _say_more(count: int) -> None:
    if count > ROWS:
        say(f"... and {count - ROWS} more")


def _distinct(values: Any) -> str:
    return ", ".join(dict.fromkeys(map(plain, values)))
