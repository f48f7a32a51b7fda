"""Bands of rows that are read from a file once, though they are asked for in other pieces."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.data.normalization import ReadBox

_BAND_BYTES = 16 * 1024**2


class HeldBands:
    """Reads an image band by band and holds the bands until they have been used.

    A band is as high as the file holds rows together, or several times that, so that no chunk is
    decoded twice while rows are asked for from top to bottom. What is asked for again, after it was
    given back, is read again. May be called from several threads.

    Parameters
    ----------
    read
        Access to the pixels (Z, Y, X) in a box.
    shape_yx
        Rows and columns of the image.
    rows
        Height of a band, from `band_rows`.
    may_hold
        Whether a box as wide as the image is read by bands; others are read as they are, unless
        their bands are there.

    Examples
    --------
    >>> bands = HeldBands(lambda box: image[:, *box.slices], (1024, 1024), 256)  # doctest: +SKIP
    >>> bands(Box(0, 64, 0, 1024)).shape                                         # doctest: +SKIP
    (13, 64, 1024)
    """

    def __init__(
        self, read: ReadBox, shape_yx: tuple[int, int], rows: int, may_hold: bool = True
    ) -> None:
        self._read = read
        self._size_y, self._size_x = shape_yx
        self._rows = rows
        self._may_hold = may_hold
        self._held: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Memory that is taken."""
        with self._lock:
            return sum(band.nbytes for band in self._held.values())

    def hold(self, box: Box) -> NDArray[Any]:
        """Read a box, and hold the bands that it lies in; nothing is given back.

        Returns
        -------
        ndarray
            (Z, Y, X), not to be written to.
        """
        with self._lock:
            return self._cut(box)

    def __call__(self, box: Box) -> NDArray[Any]:
        """Read a box; bands above it are given back once its last column was asked for.

        Returns
        -------
        ndarray
            (Z, Y, X), not to be written to.
        """
        with self._lock:
            if not self._serves(box):
                return self._read(box)
            if box.x1 == self._size_x:
                self._give_back(box.y0 // self._rows)
            return self._cut(box)

    def _serves(self, box: Box) -> bool:
        """Whether bands are there, or worth to be read, for a box."""
        whole = box.shape[1] == self._size_x
        return all(n in self._held for n in self._bands_of(box)) or (self._may_hold and whole)

    def _bands_of(self, box: Box) -> range:
        return range(box.y0 // self._rows, max(-(-box.y1 // self._rows), box.y0 // self._rows + 1))

    def _cut(self, box: Box) -> NDArray[Any]:
        parts = []
        for number in self._bands_of(box):
            place = self._place(number)
            inside = place.intersect(box).relative_to(place)
            parts.append(self._band(number)[(..., *inside.slices)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _band(self, number: int) -> NDArray[Any]:
        if number not in self._held:
            pixels = self._read(self._place(number)).view()
            pixels.flags.writeable = False
            self._held[number] = pixels
        return self._held[number]

    def _place(self, number: int) -> Box:
        y0 = number * self._rows
        return Box(y0, min(y0 + self._rows, self._size_y), 0, self._size_x)

    def _give_back(self, first: int) -> None:
        for number in [number for number in self._held if number < first]:
            del self._held[number]


def band_rows(chunk_rows: int, row_bytes: int, least: int = 64) -> int:
    """Height of bands: whole chunks of a file, about 16 MB where they hold several rows.

    Parameters
    ----------
    chunk_rows
        Rows that are decoded together.
    row_bytes
        Bytes of one row of all planes.
    least
        Rows where the file can be read row by row.

    Examples
    --------
    >>> band_rows(1, 26_624), band_rows(256, 26_624), band_rows(2048, 26_624)
    (64, 512, 2048)
    """
    if chunk_rows == 1:
        return least
    return chunk_rows * max(1, _BAND_BYTES // (chunk_rows * row_bytes))
