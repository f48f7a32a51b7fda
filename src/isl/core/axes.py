"""Lengths and regions; the axis order is T C Z Y X everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

AXES = "TCZYX"


@dataclass(frozen=True)
class VoxelSize:
    """Size of a voxel in micrometres; ``None`` where the file does not say.

    Examples
    --------
    >>> VoxelSize(z=None, y=0.3, x=0.3).relative_difference(VoxelSize(None, 0.33, 0.33))
    0.1
    """

    z: float | None = None
    y: float | None = None
    x: float | None = None

    def __iter__(self) -> Iterator[float | None]:
        """Iterate over z, y, x."""
        return iter((self.z, self.y, self.x))

    def __str__(self) -> str:
        """Text such as ``y 0.3, x 0.3 um``, without the axes that are not known."""
        parts = [f"{a} {v:.4g}" for a, v in zip("zyx", self, strict=True) if v is not None]
        return ", ".join(parts) + " um" if parts else "unknown"

    def relative_difference(self, other: VoxelSize) -> float:
        """Largest relative difference in y and x; axes unknown on either side do not count.

        Parameters
        ----------
        other
            The voxel size compared with this one.

        Returns
        -------
        float
            ``max(|other / self - 1|)`` over the lateral axes, rounded to 1e-9.
        """
        pairs = ((self.y, other.y), (self.x, other.x))
        ratios = (abs(b / a - 1.0) for a, b in pairs if a and b)
        return round(max(ratios, default=0.0), 9)


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows ``y0 <= y < y1`` and columns ``x0 <= x < x1``.

    Examples
    --------
    >>> Box(0, 10, 5, 8).shape
    (10, 3)
    """

    y0: int
    y1: int
    x0: int
    x1: int

    @classmethod
    def of(cls, shape_yx: tuple[int, int]) -> Box:
        """Box that covers a whole image of the given (Y, X) shape."""
        return cls(0, shape_yx[0], 0, shape_yx[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def size(self) -> int:
        """Number of pixels; zero where the box is empty."""
        return max(0, self.y1 - self.y0) * max(0, self.x1 - self.x0)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index for the last two axes of an array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def grow(self, margin_px: int) -> Box:
        """Box with ``margin_px`` more pixels on each side (fewer where negative)."""
        m = margin_px
        return Box(self.y0 - m, self.y1 + m, self.x0 - m, self.x1 + m)

    def intersect(self, other: Box) -> Box:
        """Pixels in both boxes; a box of size zero where there are none."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Box(y0, max(y0, min(self.y1, other.y1)), x0, max(x0, min(self.x1, other.x1)))

    def relative_to(self, origin: Box) -> Box:
        """The same pixels counted from the upper left corner of ``origin``."""
        return Box(
            self.y0 - origin.y0, self.y1 - origin.y0, self.x0 - origin.x0, self.x1 - origin.x0
        )
