"""Rules for cross-validation: what each fold holds out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from isl.core.errors import ConfigError
from isl.data.holdout_rules import KINDS
from isl.data.splits import unknown_label
from isl.io.fov import Fov

Group = Literal["field", "well", "plate", "condition", "donor", "dataset"]
"""What is held out together."""

_KIND = {group: "fovs" if group == "field" else f"{group}s" for group in get_args(Group)}


def usual_group(fovs: Sequence[Fov], count: int) -> Group | None:
    """What to deal out to folds: wells, else fields; None where there are too few of both."""
    wells = {fov.well for fov in fovs}
    if None not in wells and len(wells) >= count:
        return "well"
    return "field" if len(fovs) >= count else None


def strips(fovs: Sequence[Fov], count: int) -> tuple[str, ...]:
    """Hold out each of some equal strips of columns once, where there are few fields.

    Parameters
    ----------
    fovs
        The fields; the widest one is divided, and the others at the same columns.
    count
        Number of strips, at least two.

    Raises
    ------
    ConfigError
        Where the fields have fewer columns.
    """
    width = max(fov.size_x for fov in fovs)
    if not 2 <= count <= width:
        raise ConfigError(
            f"{width} columns cannot be divided into {count} folds; ask for 2 or more"
        )
    ends = [width * number // count for number in range(count + 1)]
    return tuple(f"columns:{first}-{end - 1}" for first, end in pairwise(ends))


def folds(fovs: Sequence[Fov], count: int, by: Group = "well") -> tuple[str, ...]:
    """Deal fields out to folds of about equally many pixels, each of which is held out once.

    Parameters
    ----------
    fovs
        The fields.
    count
        Number of folds, at least two.
    by
        What stays together: fields of one well, plate, condition, donor or data set.

    Returns
    -------
    tuple of str
        A rule for each fold, as `isl.data.splits.split_fovs` reads it; always the same ones for
        the same fields, in whatever order they come.

    Raises
    ------
    ConfigError
        Where there are fewer groups than folds, or a field's group is not known.

    Examples
    --------
    >>> folds(fovs, 2, "well")                                              # doctest: +SKIP
    ('wells:B/02,B/04', 'wells:B/03')
    """
    pixels = _pixels_by_group(fovs, by)
    if count < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, not {count}")
    if count > len(pixels):
        raise ConfigError(
            f"{count} folds need as many {_plural(by)}, but there {_are(len(pixels), by)} "
            f"({_listed(pixels)}); ask for fewer folds, or divide by something else (--by field)"
        )
    dealt: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for name in sorted(pixels, key=lambda name: (-pixels[name], name)):
        smallest = min(range(count), key=lambda fold: (sizes[fold], len(dealt[fold]), fold))
        dealt[smallest].append(name)
        sizes[smallest] += pixels[name]
    return tuple(f"{_KIND[by]}:{','.join(sorted(names))}" for names in dealt)


def leave_one_out(fovs: Sequence[Fov], by: Group) -> tuple[str, ...]:
    """Hold out each well, plate, condition, donor, data set or field once.

    Parameters
    ----------
    fovs
        The fields.
    by
        What is held out at a time.

    Returns
    -------
    tuple of str
        A rule for each, in the order of their names.

    Raises
    ------
    ConfigError
        Where there is only one, or that of a field is not known.
    """
    pixels = _pixels_by_group(fovs, by)
    if len(pixels) < 2:
        raise ConfigError(
            f"leaving out one {_spoken(by)} needs at least two of them, but there is only "
            f"{_listed(pixels)}; divide by something else, such as --folds 5 --by field"
        )
    return tuple(f"{_KIND[by]}:{name}" for name in sorted(pixels))


def _pixels_by_group(fovs: Sequence[Fov], by: Group) -> dict[str, int]:
    """Pixels of all time points in each group."""
    pixels: dict[str, int] = {}
    for fov in fovs:
        value = getattr(fov, KINDS[_KIND[by]])
        if value is None:
            raise ConfigError(unknown_label(fov.name, _KIND[by], f"dealt out by {by}"))
        pixels[value] = pixels.get(value, 0) + fov.size_t * fov.size_y * fov.size_x
    return pixels


def _spoken(by: Group) -> str:
    return "data set" if by == "dataset" else by


def _plural(by: Group) -> str:
    return f"{_spoken(by)}s"


def _are(count: int, by: Group) -> str:
    return f"is only 1 {_spoken(by)}" if count == 1 else f"are only {count} {_plural(by)}"


def _listed(names: dict[str, int], most: int = 10) -> str:
    listed = sorted(names)
    return ", ".join(listed[:most]) + (" ..." if len(listed) > most else "")
