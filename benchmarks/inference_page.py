"""The section of a page that the measurements of inference write."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from isl.inference.backends.choose import default_threads
from isl.inference.backends.remembered import machine

BEGIN, END = "<!-- inference: written by make bench -->", "<!-- end of inference -->"
PART = "\n### "


def dated(title: str, lines: Sequence[str]) -> str:
    """A part of the section: its heading, where and when it was measured, and its lines."""
    where = ", ".join(machine(default_threads()))
    return "\n".join([f"### {title}", "", f"{time.strftime('%Y-%m-%d')}, {where}.", "", *lines])


def update(page: Path, parts: Mapping[str, str]) -> None:
    """Put parts between the markers of a page; parts of other titles, and all else, stay.

    Parameters
    ----------
    page
        Markdown file.
    parts
        From titles to what `dated` gives.

    Raises
    ------
    ValueError
        Where the page has no markers.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the lines '{BEGIN}' and '{END}' between which to write")
    known = {text.partition("\n")[0]: f"### {text}".strip() for text in inside.split(PART)[1:]}
    written = "\n\n".join((known | {title: text.strip() for title, text in parts.items()}).values())
    page.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{after}", "utf-8")
