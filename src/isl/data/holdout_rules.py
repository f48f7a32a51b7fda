"""The text that says what is kept back from training: one rule, or one for each data set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from isl.core.errors import ConfigError
from isl.io.fov import Fov

KINDS: Mapping[str, str] = {
    "wells": "well",
    "plates": "plate",
    "conditions": "condition",
    "donors": "donor",
    "datasets": "dataset",
    "fovs": "name",
}
"""Kinds of rules that name things, and the attribute of a field that each speaks of."""

RULES = (
    "columns:FIRST-LAST, rows:FIRST-LAST, wells:NAME,NAME, fovs:NAME,NAME, plates:NAME, "
    "conditions:NAME, donors:NAME, datasets:NAME, share:FRACTION or none"
)
"""All rules, for messages."""

_GROUP = re.compile(r"(?P<names>[^\[\]]*)\[(?P<rule>.*)\]", re.DOTALL)
_NEXT_GROUP = re.compile(r"(?<=\]);\s*(?=[^\[\];]*\[)")
_SHARE = re.compile(r"(?P<share>0?\.\d+)(?::(?P<seed>\d+))?")


@dataclass(frozen=True)
class GroupRule:
    """One rule for some data sets; the name of fields without one is empty."""

    datasets: tuple[str, ...]
    rule: str

    def __str__(self) -> str:
        """The text that `parse_groups` reads."""
        return f"{','.join(self.datasets)}[{self.rule}]"


def parse_groups(text: str) -> tuple[GroupRule, ...]:
    """Read rules of several data sets; empty where the text is a single rule.

    Parameters
    ----------
    text
        Such as ``neurons[columns:576-767]; flow[wells:B/03]``.

    Raises
    ------
    ConfigError
        Where a data set occurs twice.

    Examples
    --------
    >>> parse_groups("neurons[columns:576-767]; flow[wells:B/03]")[1].rule
    'wells:B/03'
    """
    matches = [_GROUP.fullmatch(part.strip()) for part in _NEXT_GROUP.split(text.strip())]
    if any(match is None or ":" in match["names"] for match in matches):
        return ()
    groups = tuple(
        GroupRule(tuple(name.strip() for name in m["names"].split(",")), m["rule"].strip())
        for m in matches
        if m is not None
    )
    names = [name for group in groups for name in group.datasets]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(f"'{text}' has two rules for {', '.join(double)}; give one for each")
    return groups


def join_groups(groups: Sequence[GroupRule]) -> str:
    """Text of the rules of several data sets, which `parse_groups` reads."""
    return "; ".join(map(str, groups))


def local_name(fov: Fov) -> str:
    """Name of a field in its data set: without ``DATASET:`` in front."""
    return fov.name if fov.dataset is None else fov.name.removeprefix(f"{fov.dataset}:")


def labels_of(fov: Fov, kind: str) -> tuple[str, ...]:
    """What a rule of this kind may call a field; empty where that is not known.

    Parameters
    ----------
    fov
        The field.
    kind
        One of `KINDS`.
    """
    if kind == "fovs":
        return fov.name, local_name(fov)
    value = getattr(fov, KINDS[kind])
    return () if value is None else (str(value),)


def names_in(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Names in a list with commas, where the names may hold commas themselves.

    Parameters
    ----------
    text
        Such as ``B/03,B/04``.
    known
        Names that there are; the longest one that fits is taken.
    """
    words, names = text.split(","), []
    most = 1 + max((name.count(",") for name in known), default=0)
    while words:
        lengths = range(min(most, len(words)), 0, -1)
        fitting = (n for n in lengths if ",".join(words[:n]).strip() in known)
        length = next(fitting, 1)
        names.append(",".join(words[:length]).strip())
        words = words[length:]
    return tuple(name for name in names if name)


def parse_share(text: str) -> tuple[float, int]:
    """Read a share, and its seed after a second colon (``0.2`` or ``0.2:7``).

    Raises
    ------
    ConfigError
        Where it is no fraction between 0 and 1.
    """
    match = _SHARE.fullmatch(text.strip())
    if match is None or float(match["share"]) == 0:
        raise ConfigError(
            f"cannot hold out 'share:{text}'; write a fraction between 0 and 1 and perhaps a seed, "
            "such as share:0.2 or share:0.2:7"
        )
    return float(match["share"]), int(match["seed"] or 0)


def draw_share(names: Collection[str], share: float, seed: int) -> frozenset[str]:
    """Draw about a share of the names, each by itself, so that more names change nothing for these.

    Where this would draw none or all of several, the first or all but the last in line are drawn.
    """
    line = sorted(set(names), key=lambda name: _position(name, seed))
    drawn = sum(_position(name, seed) < share for name in line)
    return frozenset(line[: max(1, min(drawn, len(line) - 1))])


def _position(name: str, seed: int) -> float:
    """Number between 0 and 1 that depends on nothing but the name and the seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64
