"""Flags that several commands share, spelled and explained once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Switch = Annotated[bool, Parameter(negative="")]
Overwrite = Annotated[bool, Parameter(negative="", help="Replace an existing output.")]
Names = Annotated[list[str], Parameter(negative="")]
Source = Annotated[
    str | None,
    Parameter(help="Name of the transmitted-light channel; guessed, with a reason, by default."),
]
Targets = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="Names of the fluorescence channels, separated by commas or repeated; guessed by "
        "default.",
    ),
]
Pattern = Annotated[
    str | None,
    Parameter(help="How the names of the files are built, where isl cannot tell by itself."),
]


def split_names(words: Iterable[str] | None) -> tuple[str, ...] | None:
    """Names given as ``A,B`` or as several words; None where none are given.

    Examples
    --------
    >>> split_names(["DAPI,MAP2", "NFH"])
    ('DAPI', 'MAP2', 'NFH')
    """
    if words is None:
        return None
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())
