"""What is trained on and what is kept back: whole fields by some name, or a region of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.core.region import Region, parse_region
from isl.data.holdout_rules import (
    KINDS,
    RULES,
    GroupRule,
    draw_share,
    join_groups,
    labels_of,
    local_name,
    names_in,
    parse_groups,
    parse_share,
)
from isl.io.fov import Fov

_ONE_IN = 5


@dataclass(frozen=True)
class FieldSplit:
    """Boxes of one field to train on, and boxes kept back; pixels in neither are the margin."""

    train: tuple[Box, ...]
    heldout: tuple[Box, ...]


@dataclass(frozen=True)
class Split:
    """Division of fields into training and held-out parts.

    Attributes
    ----------
    fields
        By field name.
    holdout
        The rule that makes this split again: ``columns:576-767``, ``wells:B/03``, ``fovs:NAME``,
        ``plates:``, ``conditions:``, ``donors:`` or ``datasets:`` with names, ``share:0.2``,
        ``none``, or one for each data set: ``neurons[columns:576-767]; flow[wells:B/03]``.
    reason
        Why this rule, in words.
    """

    fields: Mapping[str, FieldSplit]
    holdout: str
    reason: str


def split_fovs(fovs: Sequence[Fov], holdout: str | None, margin_px: int) -> Split:
    """Divide fields into training and held-out parts.

    Parameters
    ----------
    fovs
        The fields.
    holdout
        The rule (see `Split`); by default one well in five, else one field in five, else the last
        quarter of the columns of a single field.
    margin_px
        Pixels on either side of a held-out region that belong to neither part.

    Raises
    ------
    ConfigError
        Where the rule cannot be read, names wells or fields that are not there, speaks of what is
        not known of a field, or leaves nothing to train on.
    """
    if holdout and parse_groups(holdout):
        return split_datasets(fovs, holdout, {}, margin_px)
    rule, reason = (holdout, "as asked") if holdout else _default_rule(fovs)
    fields = _apply(fovs, rule, margin_px)
    if not any(box.size for field in fields.values() for box in field.train):
        raise ConfigError(
            f"holding out {rule} with a margin of {margin_px} px leaves nothing to train on; "
            "hold out less, or lower the margin (--holdout-margin-px)"
        )
    if rule != "none" and not any(box.size for f in fields.values() for box in f.heldout):
        raise ConfigError(f"there is nothing in {rule}: no field reaches that far")
    return Split(fields, rule, reason)


def split_datasets(
    fovs: Sequence[Fov], holdout: str | None, of_dataset: Mapping[str, str], margin_px: int
) -> Split:
    """Divide the fields of several data sets, each by its own rule.

    Parameters
    ----------
    fovs
        The fields; those without a data set count as one, whose name is empty.
    holdout
        Rule of the data sets that have none of their own, applied to all of these together; by
        default each is divided as `split_fovs` divides it by default. Rules of several data sets
        (see `Split`) win over ``of_dataset``, and so does ``datasets:NAME``, which concerns all.
    of_dataset
        Rules of data sets, by name.
    margin_px
        As for `split_fovs`.

    Returns
    -------
    Split
        Its rule is a plain one where one rule holds for all fields.

    Raises
    ------
    ConfigError
        As for `split_fovs`, and where a rule is given for a data set that is not there.
    """
    groups = _groups(fovs, holdout, of_dataset)
    splits = [_split_group(fovs, group, margin_px) for group in groups]
    if len(splits) == 1:
        return splits[0]
    rules = [GroupRule(g.datasets, s.holdout) for g, s in zip(groups, splits, strict=True)]
    reasons = dict.fromkeys(split.reason for split in splits)
    fields = {name: part for split in splits for name, part in split.fields.items()}
    ordered = {fov.name: fields[fov.name] for fov in fovs}
    return Split(ordered, join_groups(rules), ", ".join(reasons))


def _groups(
    fovs: Sequence[Fov], holdout: str | None, of_dataset: Mapping[str, str]
) -> list[GroupRule]:
    """Data sets that share a rule; a rule that is empty is still to be chosen."""
    names = tuple(dict.fromkeys(fov.dataset or "" for fov in fovs))
    given = parse_groups(holdout) if holdout else ()
    if holdout and holdout.startswith("datasets:"):
        return [GroupRule(names, holdout)]
    named = {name for group in given for name in group.datasets}
    unknown = sorted({*of_dataset, *named} - {*names})
    if unknown:
        there = ", ".join(name or "(without a name)" for name in names)
        raise ConfigError(
            f"there is a rule for what is held out of {', '.join(unknown)}, but no such data set; "
            f"there are: {there}"
        )
    own = [GroupRule((n,), of_dataset[n]) for n in names if n in of_dataset and n not in named]
    rest = tuple(n for n in names if n not in of_dataset and n not in named)
    if not rest:
        return [*given, *own]
    if holdout and not given:
        return [*own, GroupRule(rest, holdout)]
    return [*given, *own, *(GroupRule((name,), "") for name in rest)]


def _split_group(fovs: Sequence[Fov], group: GroupRule, margin_px: int) -> Split:
    members = [fov for fov in fovs if (fov.dataset or "") in group.datasets]
    try:
        return split_fovs(members, group.rule or None, margin_px)
    except ConfigError as error:
        if group.datasets == ("",):
            raise
        raise ConfigError(f"data set {', '.join(group.datasets)}: {error}") from error


def _default_rule(fovs: Sequence[Fov]) -> tuple[str, str]:
    wells = sorted({f.well for f in fovs if f.well is not None})
    if len(wells) > 1 and all(f.well is not None for f in fovs):
        return "wells:" + ",".join(wells[::-_ONE_IN]), f"one well in {_ONE_IN}"
    if len(fovs) > 1:
        names = sorted(local_name(f) for f in fovs)
        return "fovs:" + ",".join(names[::-_ONE_IN]), f"one field in {_ONE_IN}"
    width = fovs[0].size_x
    if width < 4:
        raise ConfigError(
            f"a single field of {width} columns cannot be divided; hold out other fields, or none"
        )
    return f"columns:{width - width // 4}-{width - 1}", "the last quarter of the only field"


def _apply(fovs: Sequence[Fov], rule: str, margin_px: int) -> dict[str, FieldSplit]:
    kind, _, text = rule.partition(":")
    if kind in KINDS:
        return _by_name(fovs, kind, text)
    if kind == "share":
        return _by_share(fovs, text)
    if rule == "none":
        return {f.name: FieldSplit((f.box,), ()) for f in fovs}
    if kind not in ("columns", "rows"):
        raise ConfigError(f"cannot hold out '{rule}'; write {RULES}")
    region = parse_region(rule)
    return {f.name: _by_region(f, region, margin_px) for f in fovs}


def _by_name(fovs: Sequence[Fov], kind: str, text: str) -> dict[str, FieldSplit]:
    labels = {fov.name: labels_of(fov, kind) for fov in fovs}
    known = sorted({label for found in labels.values() for label in found})
    nameless = [name for name, found in labels.items() if not found]
    if nameless:
        raise ConfigError(unknown_label(nameless[0], kind, f"held out by {kind}"))
    names = names_in(text, known)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(
            f"cannot hold out {kind} {', '.join(unknown) or '(none named)'}; there are: "
            + ", ".join(known[:20])
            + (" ..." if len(known) > 20 else "")
        )
    return {fov.name: _whole(fov, any(n in names for n in labels[fov.name])) for fov in fovs}


def unknown_label(field: str, kind: str, purpose: str) -> str:
    """Message for a field whose well, plate, condition... is asked for but not known."""
    what = KINDS[kind]
    table = "" if what == "dataset" else f"in a column '{what}' of a table of images or "
    return (
        f"field {field} cannot be {purpose}: its {what} is not known; give it {table}in a file of "
        "data sets, or go by fields instead"
    )


def _by_share(fovs: Sequence[Fov], text: str) -> dict[str, FieldSplit]:
    """A share of the wells, where known, else of the fields."""
    share, seed = parse_share(text)
    names = {f.name: local_name(f) if f.well is None else f"{f.plate}:{f.well}" for f in fovs}
    drawn = draw_share(names.values(), share, seed)
    return {f.name: _whole(f, names[f.name] in drawn) for f in fovs}


def _whole(fov: Fov, is_held_out: bool) -> FieldSplit:
    return FieldSplit((), (fov.box,)) if is_held_out else FieldSplit((fov.box,), ())


def _by_region(fov: Fov, region: Region, margin_px: int) -> FieldSplit:
    heldout = region.box((fov.size_y, fov.size_x))
    if not heldout.size:
        return FieldSplit((fov.box,), ())
    full, kept_away = fov.box, heldout.grow(margin_px)
    if region.axis == "columns":
        sides = (
            Box(0, full.y1, 0, max(0, kept_away.x0)),
            Box(0, full.y1, min(kept_away.x1, full.x1), full.x1),
        )
    else:
        sides = (
            Box(0, max(0, kept_away.y0), 0, full.x1),
            Box(min(kept_away.y1, full.y1), full.y1, 0, full.x1),
        )
    return FieldSplit(tuple(side for side in sides if side.size), (heldout,))
