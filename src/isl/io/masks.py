"""Targets of which some pixels were not acquired: these are read as NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isl.core.axes import Box
from isl.io.fov import Fov, PixelSource

SMALLEST_RECTANGLE_PX = 8
"""Least side of a rectangle of zeros that is taken for pixels that were never acquired."""

FindMissing = Callable[[NDArray[Any]], NDArray[np.bool_]]
"""Function from a whole image (Y, X) to the pixels of it that were not acquired."""


@dataclass(frozen=True)
class _Masked:
    """Pixels of a field, of which some channels lack some."""

    pixels: PixelSource
    whole: Box
    missing: dict[int, FindMissing]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region; float32 with NaN where a channel lacks pixels."""
        find = self.missing.get(channel)
        if find is None:
            return self.pixels.read(channel, t, z, box)
        planes = self.pixels.read(channel, t, z, self.whole)
        values = planes.astype(np.float32)
        for plane, value in zip(planes, values, strict=True):
            value[find(plane)] = np.nan
        return np.ascontiguousarray(values[(..., *box.slices)])


@dataclass(frozen=True)
class _MaskedByChannel:
    """Pixels of a field, of which channels lack those where a mask is 0."""

    pixels: PixelSource
    channels: frozenset[int]
    mask: int

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region; float32 with NaN where the mask is 0."""
        values = self.pixels.read(channel, t, z, box)
        if channel not in self.channels:
            return values
        acquired = self.pixels.read(self.mask, t, [0], box)[0] > 0
        return np.where(acquired, values, np.nan).astype(np.float32)


@dataclass(frozen=True)
class _Shifted:
    """Pixels of a field, of which one channel is moved."""

    pixels: PixelSource
    whole: Box
    channel: int
    shift_yx: tuple[int, int]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region; float32 with NaN where the moved image does not reach."""
        if channel != self.channel:
            return self.pixels.read(channel, t, z, box)
        dy, dx = self.shift_yx
        wanted = Box(box.y0 - dy, box.y1 - dy, box.x0 - dx, box.x1 - dx)
        part = wanted.intersect(self.whole)
        values = np.full((len(z), *box.shape), np.nan, np.float32)
        if part.size:
            place = (..., *part.relative_to(wanted).slices)
            values[place] = self.pixels.read(channel, t, z, part)
        return values


def without_saturated(fov: Fov, names: Sequence[str], level: float | None = None) -> Fov:
    """Leave out saturated pixels.

    Parameters
    ----------
    fov
        The field.
    names
        Channels that this is about.
    level
        Least value that counts as saturated; by default the largest of the image's type, or the
        largest that occurs where the image is not of integers.
    """

    def at(name: str) -> FindMissing:
        dtype = fov.channel(name).dtype
        if level is not None:
            return lambda image: np.asarray(image >= level)
        if dtype.kind in "ui":
            return lambda image: np.asarray(image == np.iinfo(dtype).max)
        return lambda image: np.asarray(image == np.fmax.reduce(image, axis=None))

    return _masked(fov, {name: at(name) for name in names})


def without_zeros(fov: Fov, names: Sequence[str], *, rectangles: bool) -> Fov:
    """Leave out pixels that are exactly 0, all or only those that fill a rectangle."""
    find = zero_rectangles if rectangles else _zeros
    return _masked(fov, dict.fromkeys(names, find))


def without_unmasked(fov: Fov, names: Sequence[str], mask: str) -> Fov:
    """Leave out pixels where a channel, a mask or labels, is 0; raises `ChannelError`."""
    index = fov.channel_index(mask)
    channels = frozenset(fov.channel_index(name) for name in names)
    return _as_float(replace(fov, pixels=_MaskedByChannel(fov.pixels, channels, index)), names)


def shifted(fov: Fov, name: str, shift_yx: tuple[int, int]) -> Fov:
    """Move the image of a channel by whole rows and columns; what is then unknown is left out."""
    pixels = _Shifted(fov.pixels, fov.box, fov.channel_index(name), shift_yx)
    return _as_float(replace(fov, pixels=pixels), [name])


def zero_rectangles(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels in rectangles of zeros, as programs leave them where nothing was acquired.

    Parameters
    ----------
    image
        (Y, X).

    Returns
    -------
    ndarray
        (Y, X) bool: True in connected groups of zeros that fill their bounding box, the sides of
        which are at least `SMALLEST_RECTANGLE_PX`.
    """
    zeros = _zeros(image)
    found = np.zeros(image.shape, np.bool_)
    labels, _ = ndimage.label(zeros)
    for index, place in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[place] == index
        if min(inside.shape) >= SMALLEST_RECTANGLE_PX and inside.all():
            found[place] = True
    return found


def _zeros(image: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(image == 0)


def _masked(fov: Fov, missing: dict[str, FindMissing]) -> Fov:
    by_index = {fov.channel_index(name): find for name, find in missing.items()}
    return _as_float(replace(fov, pixels=_Masked(fov.pixels, fov.box, by_index)), tuple(missing))


def _as_float(fov: Fov, names: Sequence[str]) -> Fov:
    """The same field, whose channels say that they hold numbers that may be NaN."""
    dtype = np.dtype(np.float32)
    channels = tuple(replace(c, dtype=dtype) if c.name in names else c for c in fov.channels)
    return replace(fov, channels=channels)
