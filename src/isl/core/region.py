"""Parts of an image as users write them: ``columns:576-767`` or ``rows:0-99``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from isl.core.axes import Box
from isl.core.errors import ConfigError

_PATTERN = re.compile(r"(columns|rows):(\d+)-(\d+)")


@dataclass(frozen=True)
class Region:
    """A band of columns or rows; both ends belong to it, as people count.

    Examples
    --------
    >>> Region("columns", 576, 767).box((1024, 768))
    Box(y0=0, y1=1024, x0=576, x1=768)
    """

    axis: Literal["columns", "rows"]
    first: int
    last: int

    def __str__(self) -> str:
        """The text that `parse_region` reads."""
        return f"{self.axis}:{self.first}-{self.last}"

    def box(self, shape_yx: tuple[int, int]) -> Box:
        """Pixels of the region in an image of shape (Y, X); of size zero where it lies outside."""
        if self.axis == "columns":
            band = Box(0, shape_yx[0], self.first, self.last + 1)
        else:
            band = Box(self.first, self.last + 1, 0, shape_yx[1])
        return band.intersect(Box.of(shape_yx))


def parse_region(text: str) -> Region:
    """Read a region.

    Parameters
    ----------
    text
        ``columns:FIRST-LAST`` or ``rows:FIRST-LAST``, both ends included.

    Raises
    ------
    ConfigError
        Where the text is neither, or the ends are in the wrong order.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"cannot read the region '{text}'; write columns:FIRST-LAST or rows:FIRST-LAST, "
            "for example columns:576-767"
        )
    axis, first, last = match[1], int(match[2]), int(match[3])
    if last < first:
        raise ConfigError(f"the region '{text}' ends before it begins; swap its ends")
    return Region("columns" if axis == "columns" else "rows", first, last)
