"""Open many fields, where a bad one must not stop the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isl.core.errors import IslError
from isl.io.fov import Fov

OnBad = Callable[[str, IslError], None]
"""Called with the name of a field that cannot be opened, and the error."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """Something that will probably open as one or several fields.

    Attributes
    ----------
    name
        What to call it in a report.
    open
        Opens it; raises `IslError` where that fails.
    files
        Files, or the OME-Zarr folder, that it opens; empty where nobody asks.
    """

    name: str
    open: Callable[[], Sequence[Fov]]
    files: tuple[Path, ...] = ()


def open_candidates(candidates: Iterable[Candidate], on_bad: OnBad | None) -> list[Fov]:
    """Open each candidate.

    Parameters
    ----------
    candidates
        In the order of the result.
    on_bad
        Told about each candidate that fails; by default the first failure raises.

    Returns
    -------
    list of Fov
        The fields of those that opened.
    """
    fovs: list[Fov] = []
    for candidate in candidates:
        try:
            fovs.extend(candidate.open())
        except IslError as error:
            if on_bad is None:
                raise
            _log.info("skipped %s: %s", candidate.name, error)
            on_bad(candidate.name, error)
    return fovs


def with_unique_names(fovs: Sequence[Fov]) -> list[Fov]:
    """Rename fields whose names collide, by the folders they come from, else by counting.

    Parameters
    ----------
    fovs
        Fields opened together.

    Returns
    -------
    list of Fov
        In the same order; names that were unique stay.
    """
    taken: dict[str, int] = {}
    for fov in fovs:
        taken[fov.name] = taken.get(fov.name, 0) + 1
    used = {name for name, count in taken.items() if count == 1}
    renamed: list[Fov] = []
    for fov in fovs:
        name = fov.name if taken[fov.name] == 1 else _free_name(fov, used)
        used.add(name)
        renamed.append(fov if name == fov.name else fov.renamed(name))
    return renamed


def _free_name(fov: Fov, used: set[str]) -> str:
    folder = fov.path if fov.path.suffix == "" else fov.path.parent / _stem(fov.path)
    longer = f"{folder.name}/{fov.name}" if folder.name != fov.name else _longer(folder, fov.name)
    if longer not in used:
        return longer
    number = 2
    while f"{longer} ({number})" in used:
        number += 1
    return f"{longer} ({number})"


def _longer(folder: Path, name: str) -> str:
    return f"{folder.parent.name}/{name}"


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
