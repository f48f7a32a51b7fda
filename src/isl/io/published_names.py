"""File names of the published image sets (2018), both schemes.

The sample and test images are named by a chain of ``key-value`` pairs::

    lab-L,condition-C,acquisition_date,year-2015,month-10,day-5,minute-0,well-A4,
    tile_computation-STITCHED,z_depth-3,channel-PHASE_CONTRAST,is_mask-false.png

The ``paper_data`` images write some values as a pair of their own (``channel,value-DAPI``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from isl.io.collect import Candidate
from isl.io.fov import Fov
from isl.io.plane_fields import PlaneImage, build_field

_log = logging.getLogger(__name__)
_PROJECTED = "MAXPROJECT"


@dataclass(frozen=True)
class PublishedName:
    """What a published file name says.

    Attributes
    ----------
    lab, condition, well, channel
        As written.
    date
        The parts that are given, year, month, day, minute: ``("2015", "10", "5", "0")``.
    z
        Plane; None for a maximum projection.
    """

    lab: str
    condition: str
    date: tuple[str, ...]
    well: str
    z: int | None
    channel: str

    @property
    def field(self) -> tuple[str, str, tuple[str, ...], str]:
        """Everything but plane and channel: images with the same value show the same field."""
        return self.lab, self.condition, self.date, self.well


def parse_published_name(file_name: str) -> PublishedName | None:
    """Read a published file name, in either scheme.

    Parameters
    ----------
    file_name
        Name of a file, without its folder.

    Returns
    -------
    PublishedName or None
        None for other names, for predictions, for masks, and for images without a channel (the
        colour composites of the multi-channel sets).

    Examples
    --------
    >>> parse_published_name("lab-L,condition-C,acquisition_date,year-2015,month-10,day-5,"
    ...                      "well-A4,z_depth-3,channel-DIC,is_mask-false.png").z
    3
    """
    if not file_name.startswith("lab-") or not file_name.lower().endswith(".png"):
        return None
    pairs = _pairs(file_name[: -len(".png")])
    if "PREDICTED" in file_name or pairs.get("is_mask", "false") != "false":
        return None
    projected = pairs.get("depth_computation") == _PROJECTED
    depth = pairs.get("z_depth", "")
    if not (projected or depth.isdigit()) or not pairs.get("channel"):
        return None
    return PublishedName(
        lab=pairs["lab"],
        condition=pairs.get("condition", ""),
        date=tuple(pairs[k] for k in ("year", "month", "day", "minute") if k in pairs),
        well=pairs.get("well", ""),
        z=None if projected else int(depth),
        channel=pairs["channel"],
    )


def _pairs(stem: str) -> dict[str, str]:
    """Values by key; a ``value-`` pair belongs to the key before it."""
    pairs: dict[str, str] = {}
    previous = ""
    for part in stem.split(","):
        key, _, value = part.partition("-")
        if key == "value":
            pairs[previous] = value
        else:
            pairs[key] = value
            previous = key
    return pairs


def published_file_name(name: PublishedName) -> str:
    """Write the name of an image in the scheme of the published sample.

    Parameters
    ----------
    name
        What the name says.

    Returns
    -------
    str
        ``parse_published_name`` gives back what went in.
    """
    date = (f"{k}-{v}" for k, v in zip(("year", "month", "day", "minute"), name.date, strict=False))
    depth = f"depth_computation-{_PROJECTED}" if name.z is None else f"z_depth-{name.z}"
    parts = (
        f"lab-{name.lab}",
        f"condition-{name.condition}",
        "acquisition_date",
        *date,
        f"well-{name.well}",
        "tile_computation-STITCHED",
        depth,
        f"channel-{name.channel}",
        "is_mask-false",
    )
    return ",".join(parts) + ".png"


def is_published_name(file_name: str) -> bool:
    """Whether a name follows one of the published schemes, be it read or skipped."""
    return file_name.startswith("lab-") and "," in file_name and file_name.lower().endswith(".png")


def published_fields(files: Iterable[Path]) -> list[Candidate]:
    """Group published images into fields: one for each folder, lab, condition, date and well.

    Parameters
    ----------
    files
        Files whose names follow a published scheme; predictions and masks among them are left out.

    Returns
    -------
    list of Candidate
        Named by the well; by condition and well, then date too, where wells repeat in a folder.
    """
    groups: dict[tuple[Path, object], list[tuple[Path, PublishedName]]] = {}
    for file in sorted(files):
        name = parse_published_name(file.name)
        if name is None:
            _log.info("left out %s: a prediction, a mask or a composite", file)
        else:
            groups.setdefault((file.parent, name.field), []).append((file, name))
    firsts = [group[0] for group in groups.values()]
    names = _field_names(firsts)
    return [
        Candidate(name, partial(_open_field, name, group), tuple(file for file, _ in group))
        for name, group in zip(names, groups.values(), strict=True)
    ]


def _field_names(firsts: Sequence[tuple[Path, PublishedName]]) -> list[str]:
    forms = [
        (
            name.well or file.parent.name,
            f"{name.condition}/{name.well}",
            f"{name.condition}/{'-'.join(name.date)}/{name.well}",
        )
        for file, name in firsts
    ]
    counts = [
        Counter((f.parent, form[i]) for (f, _), form in zip(firsts, forms, strict=True))
        for i in range(3)
    ]
    return [
        next((form[i] for i in range(3) if counts[i][f.parent, form[i]] == 1), form[2])
        for (f, _), form in zip(firsts, forms, strict=True)
    ]


def _open_field(name: str, group: Sequence[tuple[Path, PublishedName]]) -> list[Fov]:
    stacked = {n.channel for _, n in group if n.z is not None}
    images = [
        PlaneImage(
            path=file,
            fov=name,
            # A projection beside its own z-stack is another image of the same stain.
            channel=f"{n.channel}_{_PROJECTED}"
            if n.z is None and n.channel in stacked
            else n.channel,
            z=n.z,
            well=n.well or None,
            condition=n.condition or None,
        )
        for file, n in group
    ]
    return [build_field(name, group[0][0].parent, images)]
