"""What is trained on and what is kept back: by well, by field, or a region of a single field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.core.region import Region, parse_region
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
        The rule that makes this split again: ``columns:576-767``, ``wells:B/03``, ``fovs:NAME`` or
        ``none``.
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
        Where the rule cannot be read, names wells or fields that are not there, or leaves nothing
        to train on.
    """
    rule, reason = (holdout, "as asked") if holdout else _default_rule(fovs)
    kind, _, names = rule.partition(":")
    if kind in ("wells", "fovs"):
        fields = _by_name(fovs, kind, [n.strip() for n in names.split(",") if n.strip()])
    elif rule == "none":
        fields = {f.name: FieldSplit((f.box,), ()) for f in fovs}
    elif kind not in ("columns", "rows"):
        raise ConfigError(
            f"cannot hold out '{rule}'; write columns:FIRST-LAST, rows:FIRST-LAST, "
            "wells:NAME,NAME, fovs:NAME,NAME or none"
        )
    else:
        region = parse_region(rule)
        fields = {f.name: _by_region(f, region, margin_px) for f in fovs}
    if not any(box.size for field in fields.values() for box in field.train):
        raise ConfigError(
            f"holding out {rule} with a margin of {margin_px} px leaves nothing to train on; "
            "hold out less, or lower the margin (--holdout-margin-px)"
        )
    if rule != "none" and not any(box.size for f in fields.values() for box in f.heldout):
        raise ConfigError(f"there is nothing in {rule}: no field reaches that far")
    return Split(fields, rule, reason)


def _default_rule(fovs: Sequence[Fov]) -> tuple[str, str]:
    wells = sorted({f.well for f in fovs if f.well is not None})
    if len(wells) > 1 and all(f.well is not None for f in fovs):
        return "wells:" + ",".join(wells[::-_ONE_IN]), f"one well in {_ONE_IN}"
    if len(fovs) > 1:
        names = sorted(f.name for f in fovs)
        return "fovs:" + ",".join(names[::-_ONE_IN]), f"one field in {_ONE_IN}"
    width = fovs[0].size_x
    if width < 4:
        raise ConfigError(
            f"a single field of {width} columns cannot be divided; hold out other fields, or none"
        )
    return f"columns:{width - width // 4}-{width - 1}", "the last quarter of the only field"


def _by_name(fovs: Sequence[Fov], kind: str, names: Sequence[str]) -> dict[str, FieldSplit]:
    label: Callable[[Fov], str | None] = (lambda f: f.well) if kind == "wells" else lambda f: f.name
    known = sorted({str(label(f)) for f in fovs})
    unknown = [n for n in names if n not in known]
    if unknown or not names:
        raise ConfigError(
            f"cannot hold out {kind} {', '.join(unknown) or '(none named)'}; there are: "
            + ", ".join(known[:20])
            + (" ..." if len(known) > 20 else "")
        )
    return {
        f.name: FieldSplit((), (f.box,)) if label(f) in names else FieldSplit((f.box,), ())
        for f in fovs
    }


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
