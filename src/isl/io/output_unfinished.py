"""What an interrupted run has left of an output, looked at without touching it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isl.io.output_fields import OutputField, as_json
from isl.io.output_journal import NAME, parse_lines
from isl.io.output_partial import partial_path

LAYOUT_VERSION = 1
"""Counts changes of how outputs are laid out, after which an unfinished one cannot go on."""


@dataclass(frozen=True)
class Unfinished:
    """What an interrupted run has left.

    Attributes
    ----------
    fingerprint
        Of that run.
    tasks
        Keys of its finished tasks, at least one.
    """

    fingerprint: Mapping[str, Any]
    tasks: frozenset[str]

    def differences(self, wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """Names in which another fingerprint differs; a run with none of them goes on."""
        names = sorted(self.fingerprint.keys() | wanted.keys())
        return tuple(n for n in names if self.fingerprint.get(n) != wanted.get(n))


def read_unfinished(target: Path) -> Unfinished | None:
    """Read what an interrupted run has left; nothing is made, repaired or locked.

    Parameters
    ----------
    target
        The output on this machine, see `isl.io.output_path.local_path`.

    Returns
    -------
    Unfinished
        None where there is nothing that another run could go on with.
    """
    try:
        lines, _ = parse_lines((partial_path(target) / NAME).read_bytes())
    except OSError:
        return None
    fingerprint = lines[0].get("fingerprint") if lines else None
    tasks = frozenset(line["task"] for line in lines if "task" in line)
    return Unfinished(fingerprint, tasks) if isinstance(fingerprint, dict) and tasks else None


def whole_fingerprint(
    fingerprint: Mapping[str, object], fields: Sequence[OutputField], dtype: str
) -> dict[str, Any]:
    """A fingerprint, and how the output is laid out, as a journal keeps them."""
    plan = {"layout": LAYOUT_VERSION, "dtype": dtype, "fields": [asdict(f) for f in fields]}
    return as_json({**fingerprint, "output": plan})
