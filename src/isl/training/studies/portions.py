"""Parts of the training data, with the held-out part as it is: what learning curves learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.data.holdout_rules import GroupRule, join_groups, local_name, parse_groups
from isl.data.splits import Split
from isl.io.fov import Fov, PixelSource
from isl.io.roles import Roles

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
"""Shares of a single field that are trained on by default."""


@dataclass(frozen=True)
class Portion:
    """A part of the training data.

    Attributes
    ----------
    amount
        Number of fields, or share of the training part of the only field.
    fovs
        What to train on, held-out parts included.
    holdout
        The rule that keeps the same part back as with all of the data.
    pixels
        Pixels to train on.
    """

    amount: float
    fovs: tuple[Fov, ...]
    holdout: str
    pixels: int


def train_fields(fovs: Sequence[Fov], split: Split) -> tuple[Fov, ...]:
    """Fields that have a part to train on."""
    return tuple(f for f in fovs if any(box.size for box in split.fields[f.name].train))


def heldout_fields(fovs: Sequence[Fov], split: Split) -> tuple[Fov, ...]:
    """Fields that have a part that is kept back."""
    return tuple(f for f in fovs if any(box.size for box in split.fields[f.name].heldout))


def choose_amounts(
    fields: int, amounts: Sequence[int] | None, fractions: Sequence[float] | None
) -> tuple[float, ...]:
    """Amounts of data, rising: numbers of fields, or shares of a single one.

    Parameters
    ----------
    fields
        Number of fields to train on.
    amounts, fractions
        As asked for, one of the two; by default 1, 2, 4, ... fields and all of them, or an eighth,
        a quarter, half and all of a single field.

    Raises
    ------
    ConfigError
        Where both are given, or a number is out of reach.
    """
    if amounts is not None and fractions is not None:
        raise ConfigError("give either amounts (numbers of fields) or fractions, not both")
    if fields == 1 and amounts is not None:
        raise ConfigError(
            "there is only one field to train on; give --fractions of it, such as 0.25,0.5,1"
        )
    if amounts is None and fractions is None:
        if fields == 1:
            return FRACTIONS
        doubled = {2**k for k in range(fields.bit_length()) if 2**k < fields}
        return tuple(float(n) for n in sorted({*doubled, fields}))
    _check("fractions", fractions or (), 1.0)
    _check("amounts", amounts or (), float(fields))
    if amounts is not None:
        return tuple(float(n) for n in sorted(set(amounts)))
    shares = sorted(set(fractions or ()))
    if fields == 1:
        return tuple(shares)
    return tuple(float(n) for n in sorted({max(1, round(share * fields)) for share in shares}))


def _check(name: str, numbers: Sequence[float], most: float) -> None:
    wrong = [f"{number:g}" for number in numbers if not 0 < number <= most]
    if wrong:
        raise ConfigError(
            f"{name} {', '.join(wrong)}: there are {most:g} to train on; give numbers above 0, up "
            "to that"
        )


def make_portion(
    fovs: Sequence[Fov], split: Split, roles: Roles, amount: float, seed: int
) -> Portion:
    """Take a part of the training data; smaller parts lie within larger ones.

    Parameters
    ----------
    fovs
        All fields.
    split
        What of them is trained on and what is kept back.
    roles
        Targets are hidden (NaN) where they are not to be learned from.
    amount
        Number of fields; where there is only one, the share of its training part, from its first
        column on (or row, where rows are held out).
    seed
        Of the order of the fields; the first is one with most targets.
    """
    candidates = train_fields(fovs, split)
    if len(candidates) == 1:
        chosen = {candidates[0].name: _strip(split, candidates[0], amount)}
    else:
        ordered = _ordered(candidates, roles, seed)[: int(amount)]
        chosen = {fov.name: split.fields[fov.name].train for fov in ordered}
    kept = _kept(fovs, split, chosen)
    return Portion(
        amount,
        tuple(_hidden(fov, split, roles, chosen.get(fov.name, ())) for fov in kept),
        _rule(kept, split),
        sum(box.size for boxes in chosen.values() for box in boxes),
    )


def _ordered(fovs: Sequence[Fov], roles: Roles, seed: int) -> list[Fov]:
    """Fields in random order; data sets take turns, and the first field has most targets."""
    order = np.random.default_rng(seed).permutation(len(fovs))
    shuffled = [fovs[i] for i in order]
    turns: dict[str, int] = {}
    turn = []
    for fov in shuffled:
        turns[fov.dataset or ""] = turns.get(fov.dataset or "", -1) + 1
        turn.append(turns[fov.dataset or ""])
    ordered = [fov for _, fov in sorted(zip(turn, shuffled, strict=True), key=lambda e: e[0])]
    richest = max(ordered, key=lambda fov: len(set(fov.channel_names) & set(roles.targets)))
    return [richest, *(fov for fov in ordered if fov is not richest)]


def _strip(split: Split, fov: Fov, share: float) -> tuple[Box, ...]:
    """The first columns (or rows) of the training part that make up a share of it."""
    part = split.fields[fov.name]
    by_rows = any(box.x1 - box.x0 == fov.size_x for box in part.heldout)
    length = round(share * sum(box.shape[0 if by_rows else 1] for box in part.train))
    strip = []
    for box in part.train:
        taken = max(0, min(length, box.shape[0 if by_rows else 1]))
        length -= taken
        strip.append(
            replace(box, y1=box.y0 + taken) if by_rows else replace(box, x1=box.x0 + taken)
        )
    strip = [box for box in strip if box.size]
    if not strip:
        raise ConfigError(f"fractions {share:g} is less than a pixel of the training part")
    return tuple(strip)


def _kept(fovs: Sequence[Fov], split: Split, chosen: dict[str, tuple[Box, ...]]) -> tuple[Fov, ...]:
    """Fields that are trained on or kept back, of data sets that are trained on."""
    datasets = {fov.dataset for fov in fovs if fov.name in chosen}
    return tuple(
        fov
        for fov in fovs
        if fov.name in chosen or (fov.dataset in datasets and split.fields[fov.name].heldout)
    )


def _rule(fovs: Sequence[Fov], split: Split) -> str:
    """Rule that keeps the same back where some fields are gone."""
    groups = parse_groups(split.holdout)
    rules = {name: group.rule for group in groups for name in group.datasets}
    datasets = tuple(dict.fromkeys(fov.dataset or "" for fov in fovs))
    found = [
        GroupRule((name,), _plain_rule(members, split, rules.get(name, split.holdout)))
        for name in datasets
        if (members := [fov for fov in fovs if (fov.dataset or "") == name])
    ]
    return found[0].rule if len(found) == 1 else join_groups(found)


def _plain_rule(fovs: Sequence[Fov], split: Split, rule: str) -> str:
    if rule.startswith(("columns:", "rows:")):
        return rule
    held_out = [local_name(fov) for fov in heldout_fields(fovs, split)]
    return f"fovs:{','.join(held_out)}" if held_out else "none"


@dataclass(frozen=True)
class _Hidden:
    """Pixels of a field, NaN outside of some boxes in some channels."""

    pixels: PixelSource
    channels: frozenset[int]
    boxes: tuple[Box, ...]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region."""
        image = self.pixels.read(channel, t, z, box)
        if channel not in self.channels:
            return image
        shown = np.full(image.shape, np.nan, np.float32)
        for each in self.boxes:
            part = (..., *each.intersect(box).relative_to(box).slices)
            shown[part] = image[part]
        return shown


def _hidden(fov: Fov, split: Split, roles: Roles, train: tuple[Box, ...]) -> Fov:
    """Field whose targets can be seen in its held-out part and in some boxes alone."""
    part = split.fields[fov.name]
    if set(part.train) == set(train):
        return fov
    indices = frozenset(i for i, c in enumerate(fov.channels) if c.name in roles.targets)
    channels = tuple(
        replace(channel, dtype=np.dtype(np.float32)) if i in indices else channel
        for i, channel in enumerate(fov.channels)
    )
    pixels = _Hidden(fov.pixels, indices, (*part.heldout, *train))
    return replace(fov, channels=channels, pixels=pixels)
